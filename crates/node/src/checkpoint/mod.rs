//! Checkpoints: the whole stored state of a group as one blob, `docs/formats/checkpoint.md`.
//!
//! The key-value store is never the authority: what it holds can be made again from the checkpoint that the log of
//! the group names, and from the log behind it. Invariants:
//! - a checkpoint holds the state at exactly the position it names, although entries are applied while it is written;
//! - it is durable before a log is cut behind it, and read back only if all of it hashes to its name;
//! - a tree that is being rebuilt says that it stands nowhere until it is whole.
//!
//! Deliberately absent: sealed texts, which are no state of a group.

mod format;
mod rebuild;
mod stored_tree;
#[cfg(test)]
mod tests;

use lineate_state::codec;
use lineate_storage::kv::OrderedKv;
use lineate_types::GroupId;
use minicbor::{Decode, Encode};

use crate::Result;

pub(crate) use rebuild::rebuild_if_behind;
pub(crate) use stored_tree::StoredTree;

/// `a` → where the stored state stands in the log.
const APPLIED: &[u8] = b"a";

/// Where the stored state of a group stands in its log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredPosition {
    #[n(0)]
    pub(crate) index: u64,
    #[n(1)]
    pub(crate) term: u64,
}

/// The kv tree of a group.
pub(crate) fn tree_of(group: GroupId) -> String {
    format!("group-{group}")
}

fn stored_position(kv: &dyn OrderedKv, tree: &str) -> Result<StoredPosition> {
    match kv.get(tree, APPLIED)? {
        Some(bytes) => Ok(codec::decode("applied position", &bytes)?),
        None => Ok(StoredPosition::default()),
    }
}
