//! The bytes that a group's tree holds, which are all there is once its log is cut (`docs/formats/state.md`). After a
//! scripted history every pair of a shard and of meta is the one in `tests/testdata`, and what stands there restores to
//! the same machine: in this release and in every later one.

mod meta;
mod shard;

use std::{fmt::Debug, fmt::Write as _, path::Path};

use expect_test::expect_file;
use lineate_segment::segment::{SegmentCommit, SegmentInfo, TimeRange};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{Bucket, Hash, HistoryId, Name, TimestampUs};

const TREE: &str = "group";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn hash(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn segment(byte: u8, rows: u64, commit: SegmentCommit) -> SegmentInfo {
    SegmentInfo {
        segment: hash(byte),
        segment_bytes: 300,
        key_index: hash(byte + 1),
        key_index_bytes: 40,
        logical: hash(byte + 2),
        history: HistoryId(1),
        rows,
        keys: 2,
        tombstones: 1,
        first_bucket: Bucket(7),
        last_bucket: Bucket(900),
        event_times: range(-1, 9),
        created_times: None,
        commit,
    }
}

fn range(min: i64, max: i64) -> TimeRange {
    TimeRange { min: TimestampUs(min), max: TimestampUs(max) }
}

/// Every pair whose key begins with `prefix`, a line each: the letter, the rest of the key, the value.
fn pairs(kv: &MemKv, prefix: &[u8]) -> String {
    let mut lines = String::new();
    kv.scan(TREE, prefix, &mut |key, value| {
        let (letter, rest) = key.split_first().expect("no key is empty");
        let rest = if rest.is_empty() { "-".to_owned() } else { hex(rest) };
        writeln!(lines, "{} {rest} {}", char::from(*letter), hex(value)).expect("memory");
        Ok(())
    })
    .expect("scans");
    lines
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// Checks that a tree holds what a file says, and that what the file says restores to `machine`.
fn check<M: Debug>(kv: &MemKv, machine: &M, file: &str, restore: fn(&dyn OrderedKv, &str) -> M) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata").join(file);
    expect_file![&path].assert_eq(&pairs(kv, b""));
    let text = std::fs::read_to_string(&path).expect("is there");
    let mut batch = KvBatch::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("letter, key and value");
        let (letter, rest, value) = (word(), word().trim_start_matches('-'), word());
        batch.put([letter.as_bytes(), &bytes(rest)].concat(), bytes(value));
    }
    let stored = MemKv::new();
    stored.apply(TREE, batch).expect("stores");
    assert_eq!(pieces(&restore(&stored, TREE)), pieces(machine));
}

/// All that a machine shows of itself, in pieces without an order: Arrow keeps what it says of a column in a hash map.
fn pieces(machine: &impl Debug) -> Vec<String> {
    let text = format!("{machine:?}");
    let mut pieces: Vec<String> = text.split([',', '{', '}']).map(|piece| piece.trim().to_owned()).collect();
    pieces.sort();
    pieces
}

/// `a`, which `lineate-node` puts beside what a machine stores, in the same form.
#[test]
fn where_a_tree_stands_in_its_log_is_these_bytes() {
    let position = lineate_state::codec::encode(&(513_u64, 3_u64, hash(9)));
    assert_eq!(hex(&position), format!("0283190201035820{}", "09".repeat(32)));
}
