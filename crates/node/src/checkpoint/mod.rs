//! Checkpoints: the whole stored state of a group as one blob, `docs/formats/checkpoint.md`.
//!
//! The key-value store is never the authority: what it holds can be made again from the checkpoint that the log of
//! the group names, and from the log behind it. Invariants:
//! - a checkpoint holds the state at exactly the position it names, although entries are applied while it is written;
//! - it is durable before a log is cut behind it, and read back only if all of it hashes to its name;
//! - a tree that is being rebuilt says that it stands nowhere until it is whole;
//! - a tree or a checkpoint that other entries made than the log of the group is not used: its chain tells.
//!
//! Deliberately absent: sealed texts, which are no state of a group.

mod format;
mod rebuild;
mod stored_tree;
#[cfg(test)]
mod tests;

use lineate_consensus::Applied;
use lineate_state::codec;
use lineate_storage::kv::OrderedKv;
use lineate_types::GroupId;

use crate::Result;

pub(crate) use rebuild::rebuild_unless_it_fits;
pub(crate) use stored_tree::StoredTree;

/// `a` → where the stored state stands in the log: index, term, chain.
const APPLIED: &[u8] = b"a";

/// The kv tree of a group.
pub(crate) fn tree_of(group: GroupId) -> String {
    format!("group-{group}")
}

/// Where the stored state of a group stands in its log.
fn stored_position(kv: &dyn OrderedKv, tree: &str) -> Result<Applied> {
    let Some(bytes) = kv.get(tree, APPLIED)? else { return Ok(Applied::NOTHING) };
    let (index, term, chain) = codec::decode("applied position", &bytes)?;
    Ok(Applied { index, term, chain })
}

fn encode_position(Applied { index, term, chain }: Applied) -> Vec<u8> {
    codec::encode(&(index, term, chain))
}
