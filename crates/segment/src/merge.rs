//! Compaction: several runs become one segment with every row version, and commit times as a column.
//!
//! A winner is a greatest rank, and ranks do not say which run a row is in; so an answer over the merged run is
//! the answer over the runs it was made of.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, RecordBatch},
    compute::interleave,
};
use lineate_storage::blob::BlobStore;
use lineate_types::HistoryId;

use crate::{
    Rank, Result,
    run::{KeyRef, RowSource, RunKeys, batches::batch_bytes},
    schema::ViewSchema,
    segment::{CommitSource, SegmentInfo, SegmentWriter},
};

/// Rows moved at a time, at first; later batches are as large as [`BATCH_BYTES`] allows.
const FIRST_ROWS: usize = 1_024;
/// Rows moved at a time, at least.
const LEAST_ROWS: usize = 64;
/// Rows moved at a time, at most.
const MOST_ROWS: usize = 32_768;
/// Bytes of rows moved at a time, roughly.
const BATCH_BYTES: usize = 32 * 1024 * 1024;

/// Merges runs of one history into one segment, written with the columns of `schema`, the newest version among
/// them. Holds the key parts of all runs, one row group and some batches in memory.
///
/// # Errors
/// The runs are empty together, a run cannot be read, or the blobs cannot be written.
pub fn merge_runs(
    blobs: &dyn BlobStore,
    history: HistoryId,
    schema: ViewSchema,
    runs: &[&dyn RowSource],
) -> Result<SegmentInfo> {
    let keys = runs.iter().map(|run| run.keys()).collect::<Result<Vec<_>>>()?;
    let mut writer = SegmentWriter::new(blobs, history, schema, CommitSource::Column)?;
    runs.iter().try_for_each(|run| writer.check_columns(*run))?;
    let mut batch = MergeBatch::new(runs);
    let mut most_rows = FIRST_ROWS;
    let mut heads = vec![0; keys.len()];
    while let Some(key) = least_key(&keys, &heads) {
        let mut rows = RowsOfKey::take(&keys, &mut heads, key);
        let mut of_key = 0;
        while let Some((run, row)) = rows.next(&keys) {
            batch.push(run, row);
            of_key += 1;
            if batch.len() >= most_rows {
                batch.keys.push((key, std::mem::take(&mut of_key)));
                most_rows = batch.write(&mut writer)?;
            }
        }
        if of_key > 0 {
            batch.keys.push((key, of_key));
        }
    }
    if batch.len() > 0 {
        batch.write(&mut writer)?;
    }
    writer.finish()
}

/// The least key that a run still has.
fn least_key<'k>(keys: &'k [Arc<RunKeys>], heads: &[usize]) -> Option<KeyRef<'k>> {
    keys.iter().zip(heads).filter_map(|(run, head)| run.keys().get(*head)).min()
}

/// What is left of the rows of one key in each run that has it.
struct RowsOfKey {
    /// The number of the run and the indices in it.
    parts: Vec<(usize, Range<usize>)>,
}

impl RowsOfKey {
    /// Takes the rows of `key` from every run whose head it is.
    fn take(keys: &[Arc<RunKeys>], heads: &mut [usize], key: KeyRef<'_>) -> Self {
        let mut parts = Vec::new();
        for (number, (run, head)) in keys.iter().zip(heads).enumerate() {
            if run.keys().get(*head) == Some(key) {
                parts.push((number, run.rows_of(*head)));
                *head += 1;
            }
        }
        Self { parts }
    }

    /// The row of the least rank; of equal ones, the first run's.
    fn next(&mut self, keys: &[Arc<RunKeys>]) -> Option<(usize, u32)> {
        let next_of = |(number, rows): &(usize, Range<usize>)| -> Option<Rank> {
            keys.get(*number).filter(|_| !rows.is_empty()).map(|run| run.rank(rows.start))
        };
        let part = match self.parts.as_mut_slice() {
            [only] => Some(only),
            parts => parts.iter_mut().filter(|(_, rows)| !rows.is_empty()).min_by_key(|part| next_of(part)),
        };
        let (number, rows) = part?;
        // The key parts are of whole runs, where an index is a row number.
        rows.next().map(|index| (*number, index as u32))
    }
}

/// The next rows of the merged run, and where they are.
struct MergeBatch<'a> {
    runs: &'a [&'a dyn RowSource],
    /// The rows taken from each run, which ascend.
    rows_of_run: Vec<Vec<u32>>,
    /// For each row of the batch: its run, and its place among the rows taken from it.
    places: Vec<(usize, usize)>,
    keys: Vec<(KeyRef<'a>, u32)>,
}

impl<'a> MergeBatch<'a> {
    fn new(runs: &'a [&'a dyn RowSource]) -> Self {
        Self { runs, rows_of_run: vec![Vec::new(); runs.len()], places: Vec::new(), keys: Vec::new() }
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn push(&mut self, run: usize, row: u32) {
        if let Some(rows) = self.rows_of_run.get_mut(run) {
            self.places.push((run, rows.len()));
            rows.push(row);
        }
    }

    /// Writes the rows and forgets them. Returns how many rows the next batch should have.
    fn write(&mut self, writer: &mut SegmentWriter) -> Result<usize> {
        let stored = writer.stored_schema().clone();
        let gather = |(run, rows): (&&dyn RowSource, &Vec<u32>)| run.gather(rows, &stored);
        let parts = self.runs.iter().zip(&self.rows_of_run).map(gather).collect::<Result<Vec<_>>>()?;
        let columns = (0..stored.fields().len()).map(|position| {
            let arrays = parts.iter().filter_map(|part| part.columns().get(position));
            let arrays: Vec<&dyn Array> = arrays.map(AsRef::as_ref).collect();
            interleave(&arrays, &self.places)
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let merged = RecordBatch::try_new(stored, columns)?;
        writer.push(self.keys.drain(..), &merged)?;
        let row_bytes = (batch_bytes(&merged) / merged.num_rows().max(1)).max(1);
        self.places.clear();
        self.rows_of_run.iter_mut().for_each(Vec::clear);
        Ok((BATCH_BYTES / row_bytes).clamp(LEAST_ROWS, MOST_ROWS))
    }
}
