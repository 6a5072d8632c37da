//! Sorts the rows of a bulk load in memory: keys and times are sorted, columns stay where they lie.

use std::sync::Arc;

use arrow::array::RecordBatch;
use lineate_types::{TimestampUs, limits};

use super::{
    EncodedKeys, SortedRun,
    batches::{RowBatches, batch_bytes},
    group::KeyGroups,
    rank_part::RankPart,
    sorted::RunBuilder,
};
use crate::{Error, Rank, Result, schema::ViewSchema};

/// Takes canonical batches of one view version and gives a sorted run. Holds at most
/// [`limits::SORT_BYTES`]: whoever has more writes what is there as one segment and goes on with another
/// sorter, since an answer does not depend on how rows are spread over runs.
#[derive(Debug)]
pub struct RunSorter {
    schema: ViewSchema,
    batches: RowBatches,
    keys: EncodedKeys,
    rows: Vec<SortRow>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SortRow {
    event_time: TimestampUs,
    created_time: Option<TimestampUs>,
    ordinal: i64,
    deleted: bool,
}

/// What sorting holds of a row beside its columns and the bytes of its key.
const BYTES_PER_ROW: usize = size_of::<SortRow>() + 16 + 48;
/// Rows of the batches that smaller ones are joined to: the parts of a batch of a file are about as large, unless
/// there are many shards.
const JOINED_ROWS: usize = 1_024;

impl RunSorter {
    /// An empty sorter for batches of one view version.
    pub fn new(schema: ViewSchema) -> Self {
        let (batches, keys) = (RowBatches::joining(JOINED_ROWS), EncodedKeys::default());
        Self { schema, batches, keys, rows: Vec::new(), bytes: 0 }
    }

    /// Adds the rows of a canonical batch; `ordinals` are their positions in the load.
    ///
    /// # Errors
    /// The batch is not canonical, there are not as many ordinals as rows, or the rows would take more than
    /// [`limits::SORT_BYTES`]; then nothing was added.
    pub fn push(&mut self, batch: &RecordBatch, ordinals: impl ExactSizeIterator<Item = i64>) -> Result<()> {
        self.push_encoded(batch, &EncodedKeys::of(batch, &self.schema)?, ordinals)
    }

    /// As [`RunSorter::push`], of rows whose keys are encoded already.
    ///
    /// # Errors
    /// As [`RunSorter::push`], or there are not as many keys as rows.
    pub fn push_encoded(
        &mut self,
        batch: &RecordBatch,
        keys: &EncodedKeys,
        ordinals: impl ExactSizeIterator<Item = i64>,
    ) -> Result<()> {
        let rows = batch.num_rows();
        if ordinals.len() != rows || keys.len() != rows {
            let (ordinals, keys) = (ordinals.len(), keys.len());
            return Err(Error::Invalid(format!(
                "{ordinals} ordinals and {keys} keys for {rows} rows; expected as many"
            )));
        }
        let part = RankPart::of(batch, &self.schema)?;
        let bytes = self.bytes + batch_bytes(batch) + rows * BYTES_PER_ROW + keys.key_bytes();
        if bytes > limits::SORT_BYTES {
            let (actual, limit) = (bytes as u64, limits::SORT_BYTES as u64);
            return Err(Error::TooMuch { what: "bytes of rows to sort in memory", actual, limit });
        }
        self.batches.push(batch.clone())?;
        self.bytes = bytes;
        self.keys.extend(keys);
        self.rows.extend(ordinals.enumerate().map(|(row, ordinal)| SortRow {
            event_time: TimestampUs(part.event_times.value(row)),
            created_time: part.created_time(row),
            ordinal,
            deleted: part.is_deleted(row),
        }));
        Ok(())
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.bytes + self.batches.batch_overhead()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows in run order. Rows of a bulk load have no commit time yet: pass [`TimestampUs::MAX`], which no
    /// snapshot reaches, and write the segment so that it takes the commit time from the manifest.
    ///
    /// # Errors
    /// The distinct keys take more than `u32::MAX` bytes.
    pub fn finish(self, commit_time: TimestampUs) -> Result<SortedRun> {
        let mut builder = RunBuilder::with_capacity(self.rows.len());
        let mut groups = KeyGroups::of(&self.keys)?;
        drop(self.keys);
        let row_at = |row: &u32| self.rows.get(*row as usize);
        for rows in groups.groups_mut() {
            if !rows.is_sorted_by_key(row_at) {
                rows.sort_by_key(row_at);
            }
        }
        let mut keys = groups.keys.iter();
        for rows in groups.starts.array_windows().map(|[start, end]| *start as usize..*end as usize) {
            let Some(key) = keys.next() else { break };
            builder.key(key)?;
            for place in groups.rows.get(rows).unwrap_or_default() {
                let Some(row) = row_at(place) else { continue };
                let SortRow { event_time, created_time, ordinal, deleted } = *row;
                builder.row(&Rank { event_time, created_time, commit_time, ordinal }, deleted, *place);
            }
        }
        builder.finish(Arc::new(self.batches))
    }
}
