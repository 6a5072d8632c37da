//! One process's share of a store: its Raft groups, and everything that takes long beside them.
//!
//! - writing: [`Node::apply`], [`Node::ingest`], [`Node::open_writer`], [`Node::push`], [`Node::register_model`], [`Node::promote`];
//! - reading: [`Node::lookup`] (now), [`Node::snapshot`] (history), [`Node::meta`] (catalog and ledger);
//! - in the background: sealing full runs, recording them, compacting, ending loads that were cut off, cutting logs
//!   behind checkpoints of the state, removing blobs that nothing names.
//!
//! Invariants:
//! - every change is a command in a group's log; nothing here reaches into a state machine to change it;
//! - a blob is durable before a command names it, and removed only when nothing names it;
//! - an answer depends on committed rows alone: not on what is cached, sealed or compacted.
//!
//! Deliberately absent: the wire (see `lineate-server`), training sets (see `lineate-query`).

mod annotations;
pub mod api;
mod blob_removal;
mod checkpoint;
mod clock;
mod compacting;
mod compaction;
mod definitions;
mod disk_reserve;
mod disk_use;
mod erasure;
mod error;
mod ingest;
mod ledger_entries;
mod load_report;
mod log_space;
mod maintenance;
mod models;
mod node;
mod online;
mod push;
mod replica;
mod sealed_texts;
mod segment_pool;
mod segments;
mod service_plan;
mod shard_writer;
#[cfg(test)]
mod small_store;
mod snapshot;
mod storing;
mod unsealed;
mod uploads;
mod verify;
mod work;
mod writers;

pub use annotations::Annotations;
pub use clock::SystemClock;
pub use compaction::{CompactionBounds, CompactionSize};
pub use disk_reserve::{DiskSpace, NewBlobs, SystemDisk};
pub use erasure::{Erased, ErasedText};
pub use error::{Error, Result};
pub use node::Node;
pub use replica::Shared;
pub use sealed_texts::{Opened, SealedTexts};
pub use service_plan::{ServicePlan, ViewPlan};
pub use snapshot::{HistoryRuns, Snapshot};
pub use unsealed::UnsealedRuns;
pub use uploads::{Upload, UploadSink, Uploads};
pub use work::{Caller, Unfinished};
