//! Training sets: a spine joined with a service at a snapshot, exactly and repeatably.
//!
//! The spine is stored before matching. A window of it is joined at a time: its keys are sorted once for all views
//! with the same key columns, matched for each view against every run of the shard that owns them, on several threads,
//! and the winning rows are gathered run by run; the columns are put together in spine order, while threads of their
//! own hash and store those before. Verifying does the same again from the segments and compares.
//!
//! Invariants:
//! - the columns depend on the spine, the service version, the mode and the snapshot alone;
//! - spine rows keep their order, duplicates and columns;
//! - memory is bounded by the bytes of a window, the keys that are kept ([`lineate_types::limits::TRAINING_KEY_BYTES`])
//!   and those of one shard's history a thread, whatever the size of the set and of its rows;
//! - verifying never reads the stored output to compute what it should be.
//!
//! Deliberately absent, until the SQL surface needs it: DataFusion (ADR 0002).

mod assembly;
mod columns;
mod create;
mod error;
mod files;
mod join;
mod rows;
mod threads;
mod verify;

pub use create::{DatasetReport, DatasetRequest, create};
pub use error::{Error, Result};
pub use rows::DatasetRows;
pub use verify::{ColumnCheck, FileCheck, VerifyReport, verify};
