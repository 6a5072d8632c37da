//! The open run: rows in the order they came, found by key without sorting.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use lineate_types::{Bucket, EntityKey, TimestampUs};

use super::{
    EncodedKeys, SortedRun,
    batches::{RowBatches, batch_bytes},
    rank_part::RankPart,
    sorted::RunBuilder,
};
use crate::{
    Error, Rank, Result,
    matcher::{Candidate, Cut},
    run::KeyRef,
    schema::ViewSchema,
};

/// An append-only run in memory. Rows are numbered in the order they came; batches may be of several versions
/// of one history.
#[derive(Debug, Clone)]
pub struct OpenRun {
    batches: RowBatches,
    keys: BTreeMap<Bucket, BTreeMap<Box<[u8]>, u32>>,
    /// By the number of the key, then by rank.
    rows: BTreeMap<(u32, Rank), RowEntry>,
    distinct: u32,
    bytes: usize,
    tombstones: u64,
    /// Commit time and ordinal of the last row.
    last: Option<(TimestampUs, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct RowEntry {
    row: u32,
    deleted: bool,
}

/// Rows of the batches that pushes of few rows are joined to.
const JOINED_ROWS: usize = 4_096;
/// What the index holds of a row and of a key, roughly, beside the columns.
const INDEX_BYTES_PER_ROW: usize = 80;
const INDEX_BYTES_PER_KEY: usize = 64;

impl Default for OpenRun {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenRun {
    /// An empty run.
    pub fn new() -> Self {
        Self {
            batches: RowBatches::joining(JOINED_ROWS),
            keys: BTreeMap::new(),
            rows: BTreeMap::new(),
            distinct: 0,
            bytes: 0,
            tombstones: 0,
            last: None,
        }
    }

    /// Appends the rows of one canonical batch of the version `schema` describes, committed at `commit_time`,
    /// the first at position `first_ordinal` of its commit. Returns the number of its first row. Nothing
    /// changes on an error.
    ///
    /// # Errors
    /// The batch is not canonical, or not after every row before by (commit time, ordinal).
    pub fn append(
        &mut self,
        batch: &RecordBatch,
        schema: &ViewSchema,
        commit_time: TimestampUs,
        first_ordinal: i64,
    ) -> Result<u32> {
        let part = RankPart::of(batch, schema)?;
        let keys = EncodedKeys::of(batch, schema)?;
        if let Some(last) = self.last.filter(|last| *last >= (commit_time, first_ordinal)) {
            return Err(Error::Invalid(format!(
                "rows committed at {commit_time} from ordinal {first_ordinal} come after {} ordinal {}",
                last.0, last.1
            )));
        }
        let first_row = self.batches.push(batch.clone())?;
        self.bytes += batch_bytes(batch);
        let columns = keys.iter().zip(part.event_times.values()).enumerate();
        for ((index, (key, event_time)), row) in columns.zip(first_row..) {
            let ordinal = first_ordinal.saturating_add_unsigned(index as u64);
            let rank = Rank {
                event_time: TimestampUs(*event_time),
                created_time: part.created_time(index),
                commit_time,
                ordinal,
            };
            let deleted = part.is_deleted(index);
            let key = self.key_number(key);
            self.rows.insert((key, rank), RowEntry { row, deleted });
            self.tombstones += u64::from(deleted);
            self.bytes += INDEX_BYTES_PER_ROW;
            self.last = Some((commit_time, ordinal));
        }
        Ok(first_row)
    }

    /// The latest row of a key that is visible at a time.
    pub fn find(&self, key: &EntityKey, at: TimestampUs, cut: &Cut) -> Option<Candidate> {
        let number = *self.keys.get(&key.bucket())?.get(key.as_bytes())?;
        let highest = Rank { event_time: at, ..HIGHEST };
        let rows = self.rows.range((number, LOWEST)..=(number, highest)).rev();
        let mut visible = rows.filter(|((_, rank), _)| cut.admits(rank, at));
        let ((_, rank), entry) = visible.next()?;
        Some(Candidate { rank: *rank, row: entry.row, deleted: entry.deleted })
    }

    /// The columns of `schema` of some rows, in the order asked for; a nullable column that a row was written
    /// without is null.
    ///
    /// # Errors
    /// There is no such row, or a column has another type or is missing and not nullable.
    pub fn gather(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
        self.batches.gather(rows, schema)
    }

    /// The run sorted as it stands now, for matching many probes and for sealing. Costs in proportion to the
    /// number of rows; columns are shared, not copied.
    ///
    /// # Errors
    /// The distinct keys take more than `u32::MAX` bytes.
    pub fn freeze(&self) -> Result<SortedRun> {
        let mut builder = RunBuilder::with_capacity(self.rows.len());
        for (bucket, keys) in &self.keys {
            for (key, number) in keys {
                builder.key(KeyRef { bucket: *bucket, bytes: key })?;
                for ((_, rank), entry) in self.rows.range((*number, LOWEST)..=(*number, HIGHEST)) {
                    builder.row(rank, entry.deleted, entry.row);
                }
            }
        }
        builder.finish(Arc::new(self.batches.clone()))
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many distinct keys there are.
    pub fn keys(&self) -> usize {
        self.distinct as usize
    }

    /// How many rows are tombstones.
    pub fn tombstones(&self) -> u64 {
        self.tombstones
    }

    /// Bytes held in memory, roughly: columns, index, and what many small batches cost.
    pub fn bytes(&self) -> usize {
        self.bytes + self.batches.batch_overhead()
    }

    /// Commit time and ordinal of the last row.
    pub fn last(&self) -> Option<(TimestampUs, i64)> {
        self.last
    }

    fn key_number(&mut self, key: KeyRef<'_>) -> u32 {
        let keys = self.keys.entry(key.bucket).or_default();
        if let Some(number) = keys.get(key.bytes) {
            return *number;
        }
        // Distinct keys are no more than rows, whose numbers fit.
        let number = self.distinct;
        self.distinct += 1;
        self.bytes += INDEX_BYTES_PER_KEY + key.bytes.len();
        keys.insert(key.bytes.into(), number);
        number
    }
}

const LOWEST: Rank = Rank {
    event_time: TimestampUs::MIN,
    created_time: None,
    commit_time: TimestampUs::MIN,
    ordinal: i64::MIN,
};
const HIGHEST: Rank = Rank {
    event_time: TimestampUs::MAX,
    created_time: Some(TimestampUs::MAX),
    commit_time: TimestampUs::MAX,
    ordinal: i64::MAX,
};
