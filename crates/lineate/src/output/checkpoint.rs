//! The state of the ledger that an answer was computed at.

use lineate_client::v1::Checkpoint;
use serde_json::{Map, Value, json};

/// A checkpoint in a few words: `ledger size 17, root 3fb0c1a09d2e`.
pub(crate) fn line(checkpoint: &Checkpoint) -> String {
    let digits = hex(&checkpoint.root);
    match digits.get(..12) {
        None => format!("ledger size {}", checkpoint.size),
        Some(root) => format!("ledger size {}, root {root}", checkpoint.size),
    }
}

/// `at ` and the checkpoint; nothing where there is none.
pub(crate) fn place(checkpoint: Option<&Checkpoint>) -> String {
    checkpoint.map_or(String::new(), |checkpoint| format!("at {}", line(checkpoint)))
}

/// Adds a checkpoint to a document: `size`, and `root` as hex.
pub(crate) fn put(document: &mut Value, checkpoint: Option<&Checkpoint>) {
    if let Value::Object(fields) = document {
        fields.extend(Map::from_iter([
            ("size".to_owned(), json!(checkpoint.map(|checkpoint| checkpoint.size))),
            ("root".to_owned(), json!(checkpoint.map(|checkpoint| hex(&checkpoint.root)))),
        ]));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
