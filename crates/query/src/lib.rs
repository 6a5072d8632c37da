//! Training sets: a spine joined with a service at a snapshot, exactly and repeatably.
//!
//! The spine is stored before matching. A window of it is joined at a time: per view, its keys are sorted once,
//! matched against every run of the shard that owns them, and the winning rows are gathered run by run; the columns
//! are put together in spine order, hashed logically and stored. Verifying does the same again from the segments
//! and compares.
//!
//! Invariants:
//! - the columns depend on the spine, the service version, the mode and the snapshot alone;
//! - spine rows keep their order, duplicates and columns;
//! - memory is bounded by the rows of a window and the keys of one shard's history, whatever the size of the set;
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
mod verify;

pub use create::{DatasetReport, DatasetRequest, create};
pub use error::{Error, Result};
pub use rows::DatasetRows;
pub use verify::{ColumnCheck, FileCheck, VerifyReport, verify};
