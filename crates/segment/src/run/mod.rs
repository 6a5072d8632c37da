//! Runs: rows of one history in one shard in the order of (bucket, key bytes, rank).

pub(crate) mod group;
mod key_table;
mod keys;

pub use key_table::{KeyRef, KeyTable};
pub use keys::{CommitTimes, CreatedTimes, RowTimes, RunKeys};
