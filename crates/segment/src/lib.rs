//! The columnar history of feature views: rows in runs, runs in segments, answers by point-in-time lookup.
//!
//! A *run* is rows of one history in one shard, sorted by (bucket, key bytes, event time, created time with
//! null lowest, commit time, ordinal). It is open (in memory, growing) or sealed (a *segment*: an immutable
//! Parquet blob with a key index beside it). Both give the same [`run::RunKeys`] to the [`matcher`].
//!
//! Invariants:
//! - an answer depends on rows alone: not on how they are spread over runs, on compaction or on row groups;
//! - the same rows give the same segment bytes;
//! - bytes from a disk or a network never panic: they decode or they are an [`Error`].
//!
//! Deliberately absent: clocks and randomness (arguments), DataFusion, manifests (see `lineate-state`), and
//! which shard owns a row (see `lineate-types`).

pub mod decoded_bytes;
mod error;
pub mod intake;
pub mod key_index;
pub mod logical_hash;
pub mod matcher;
pub mod merge;
pub mod packed;
mod rank;
pub mod row_bytes;
pub mod run;
pub mod schema;
pub mod segment;

pub use error::{Error, Result};
pub use rank::Rank;
pub use segment::{Segment, SegmentInfo};
