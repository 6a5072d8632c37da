//! The deterministic state machines of a store: one for the meta group, one for each shard.
//!
//! `apply(command) -> reply`: the same commands in the same order give the same state, the same replies and the
//! same stored bytes on every replica. What a machine changes goes into the caller's [`KvBatch`], so that the
//! caller can store it together with the applied index in one atomic step.
//!
//! Invariants:
//! - no clock, no randomness, no disk, no thread: time comes as the entry's commit time;
//! - a command that cannot be done changes nothing and is answered with a [`Refusal`]; only damaged state is an
//!   [`Error`], and then the replica stops;
//! - applying a command twice, where a client may send it twice, changes nothing the second time.
//!
//! Deliberately absent: Raft (see `lineate-consensus`), and everything that takes long (see `lineate-node`).
//!
//! [`KvBatch`]: lineate_storage::kv::KvBatch

pub mod catalog;
pub mod codec;
mod error;
mod id;
pub mod meta;
mod opening;
mod scan;
pub mod shard;

use lineate_types::TimestampUs;

pub use error::{Error, Refusal};
pub use id::{LoadId, RunNumber};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Where in the log a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The Raft index.
    pub index: u64,
    /// The commit time of whatever the command commits, strictly increasing in the group.
    pub commit_time: TimestampUs,
}
