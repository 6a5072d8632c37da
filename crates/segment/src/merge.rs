//! Compaction: several runs become one segment with every row version, and commit times as a column.
//!
//! A winner is a greatest rank, and ranks do not say which run a row is in; so an answer over the merged run is
//! the answer over the runs it was made of.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, RecordBatch},
    compute::interleave,
    datatypes::SchemaRef,
};
use lineate_storage::blob::BlobStore;
use lineate_types::HistoryId;

use crate::{
    Rank, Result,
    run::{KeyRef, RowSource, RunKeys, batches::batch_bytes},
    schema::ViewSchema,
    segment::{CommitSource, SegmentInfo, SegmentWriter},
};

/// Rows moved at a time, at least.
const LEAST_ROWS: usize = 16;
/// Rows moved at a time, at most.
const MOST_ROWS: usize = 32_768;
/// How many times more rows than the batch before a batch has at most: the next rows may be longer.
const GROWTH: usize = 4;
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
    let mut most_rows = rows_of(widest_row(runs, writer.stored_schema()));
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

/// Bytes of the rows of the run that has the longest, on average.
fn widest_row(runs: &[&dyn RowSource], schema: &SchemaRef) -> usize {
    runs.iter().map(|run| run.row_bytes(schema)).max().unwrap_or(0)
}

/// How many rows of so many bytes are moved at a time.
fn rows_of(row_bytes: usize) -> usize {
    (BATCH_BYTES / row_bytes.max(1)).clamp(LEAST_ROWS, MOST_ROWS)
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
        let rows = merged.num_rows();
        self.places.clear();
        self.rows_of_run.iter_mut().for_each(Vec::clear);
        Ok(rows_of(batch_bytes(&merged) / rows.max(1)).min(rows.saturating_mul(GROWTH)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use arrow::{
        array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray},
        datatypes::FieldRef,
    };
    use lineate_storage::blob::MemBlobs;
    use lineate_types::{Feature, KeyColumn, KeyType, Name, TimestampUs, ViewDefinition, ViewId};

    use super::*;
    use crate::run::{RunSorter, SortedRun};

    /// A run that keeps how much was gathered from it at once.
    struct Watched {
        run: SortedRun,
        most_bytes: AtomicUsize,
        batches: Mutex<Vec<usize>>,
    }

    impl RowSource for Watched {
        fn keys(&self) -> Result<Arc<RunKeys>> {
            self.run.keys()
        }

        fn columns(&self) -> Vec<FieldRef> {
            self.run.columns()
        }

        fn row_bytes(&self, schema: &SchemaRef) -> usize {
            self.run.row_bytes(schema)
        }

        fn gather(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
            let batch = self.run.gather(rows, schema)?;
            self.most_bytes.fetch_max(batch_bytes(&batch), Ordering::Relaxed);
            self.batches.lock().expect("not poisoned").push(rows.len());
            Ok(batch)
        }
    }

    fn text_view() -> ViewDefinition {
        let name = |text: &str| Name::new(text).expect("a name");
        ViewDefinition {
            id: ViewId(1),
            history: HistoryId(1),
            project: name("p"),
            name: name("v"),
            version: 1,
            entity: name("e"),
            keys: vec![KeyColumn { name: name("k"), key_type: KeyType::Int64 }],
            event_time: name("at"),
            created_time: None,
            ttl: None,
            naive_times_are_utc: false,
            features: vec![Feature { name: name("text"), data_type: "string".parse().expect("a type") }],
        }
    }

    fn run_of(schema: &ViewSchema, texts: &[&str]) -> SortedRun {
        let rows = texts.len() as i64;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..rows)),
            Arc::new(TimestampMicrosecondArray::from_iter_values(0..rows).with_timezone("UTC")),
            Arc::new(StringArray::from(texts.to_vec())),
            Arc::new(BooleanArray::from(vec![false; texts.len()])),
        ];
        let batch = RecordBatch::try_new(schema.arrow().clone(), columns).expect("canonical");
        let mut sorter = RunSorter::new(schema.clone());
        sorter.push(&batch, (0..rows).collect::<Vec<_>>().into_iter()).expect("small");
        sorter.finish(TimestampUs(1)).expect("small")
    }

    #[test]
    fn long_rows_are_merged_a_few_at_a_time_from_the_first_on() {
        let schema = ViewSchema::of(&text_view());
        let long = "x".repeat(512 * 1024);
        let run = Watched {
            run: run_of(&schema, &vec![long.as_str(); 200]),
            most_bytes: AtomicUsize::new(0),
            batches: Mutex::default(),
        };
        let info = merge_runs(&MemBlobs::new(), HistoryId(1), schema, &[&run]).expect("merges");
        assert_eq!(info.rows, 200);
        let most = run.most_bytes.load(Ordering::Relaxed);
        assert!(most <= 2 * BATCH_BYTES, "{most} bytes at once: {:?}", run.batches);
    }
}
