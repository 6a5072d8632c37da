//! Runs: rows of one history in one shard in the order of (bucket, key bytes, rank).
//!
//! Rows come in one by one ([`OpenRun`]) or in bulk ([`RunSorter`]); both end as a [`SortedRun`], which is
//! written as a segment. What matching needs is the same for all: [`RunKeys`].

pub(crate) mod batches;
mod encoded_keys;
pub(crate) mod group;
mod key_table;
mod keys;
mod open;
mod rank_part;
mod sorted;
mod sorter;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{FieldRef, SchemaRef},
};

use crate::Result;

pub use batches::batch_bytes;
pub use encoded_keys::EncodedKeys;
pub use key_table::{KeyRef, KeyTable};
pub use keys::{CommitTimes, CreatedTimes, RowTimes, RunKeys};
pub use open::OpenRun;
pub use sorted::SortedRun;
pub use sorter::RunSorter;

/// A sorted run, wherever it lies: keys to match first, columns of the winning rows then.
pub trait RowSource: Send + Sync {
    /// The key part of the whole run.
    ///
    /// # Errors
    /// The run cannot be read.
    fn keys(&self) -> Result<Arc<RunKeys>>;

    /// Every column that rows of the run were written with, whichever version of the view wrote them.
    fn columns(&self) -> Vec<FieldRef>;

    /// Bytes that the columns of `schema` take in one row, on average and roughly; those it does not have count
    /// nothing.
    fn row_bytes(&self, schema: &SchemaRef) -> usize;

    /// The columns of `schema`, by name, of some rows. `rows` never descend; a row may repeat. A nullable
    /// column that a row was written without is null.
    ///
    /// # Errors
    /// There is no such row, a column has another type or is missing and not nullable, or the run cannot be
    /// read.
    fn gather(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch>;
}
