//! A sorted run in memory: keys and times in run order, columns where they lie.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray},
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::{Field, FieldRef, Schema, SchemaRef},
};
use lineate_types::TimestampUs;

use super::{CommitTimes, CreatedTimes, KeyRef, KeyTable, RowSource, RowTimes, RunKeys, batches::RowBatches};
use crate::{
    Error, Rank, Result,
    schema::{COMMIT_TIME_COLUMN, ORDINAL_COLUMN},
};

/// A run whose rows are numbered in run order.
#[derive(Debug, Clone)]
pub struct SortedRun {
    keys: Arc<RunKeys>,
    batches: Arc<RowBatches>,
    /// For each row of the run, its row in `batches`.
    places: Vec<u32>,
}

impl SortedRun {
    pub(super) fn new(keys: RunKeys, batches: Arc<RowBatches>, places: Vec<u32>) -> Self {
        Self { keys: Arc::new(keys), batches, places }
    }

    /// Keys and times.
    pub fn run_keys(&self) -> &Arc<RunKeys> {
        &self.keys
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// A column that is not stored with the rows but follows from their ranks.
    fn rank_column(&self, name: &str, rows: &[u32]) -> Option<ArrayRef> {
        let ranks = rows.iter().map(|row| self.keys.rank(*row as usize));
        match name {
            COMMIT_TIME_COLUMN => {
                let times = ranks.map(|rank| rank.commit_time.0);
                Some(Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")))
            }
            ORDINAL_COLUMN => Some(Arc::new(Int64Array::from_iter_values(ranks.map(|rank| rank.ordinal)))),
            _ => None,
        }
    }
}

impl RowSource for SortedRun {
    fn keys(&self) -> Result<Arc<RunKeys>> {
        Ok(self.keys.clone())
    }

    fn columns(&self) -> Vec<FieldRef> {
        self.batches.columns()
    }

    fn row_bytes(&self, schema: &SchemaRef) -> usize {
        self.batches.row_bytes(schema)
    }

    fn gather(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
        let places = rows.iter().map(|row| {
            let place = self.places.get(*row as usize).copied();
            place.ok_or_else(|| Error::Invalid(format!("there is no row {row} in a run of {}", self.rows())))
        });
        let places = places.collect::<Result<Vec<u32>>>()?;
        let is_stored =
            |field: &&Arc<Field>| ![COMMIT_TIME_COLUMN, ORDINAL_COLUMN].contains(&field.name().as_str());
        let stored: Vec<Arc<Field>> = schema.fields().iter().filter(is_stored).cloned().collect();
        let stored = self.batches.gather(&places, &Arc::new(Schema::new(stored)))?;
        let mut stored = stored.columns().iter().cloned();
        let columns = schema.fields().iter().filter_map(|field| match self.rank_column(field.name(), rows) {
            Some(column) => Some(column),
            None => stored.next(),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)?)
    }
}

/// Builds a sorted run from keys in order and the rows of each by rank.
pub(super) struct RunBuilder {
    keys: KeyTable,
    starts: Vec<u32>,
    ranks: Vec<Rank>,
    deleted: Vec<bool>,
    places: Vec<u32>,
}

impl RunBuilder {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            keys: KeyTable::default(),
            starts: vec![],
            ranks: Vec::with_capacity(rows),
            deleted: Vec::with_capacity(rows),
            places: Vec::with_capacity(rows),
        }
    }

    /// Begins the rows of a key above all before.
    pub(super) fn key(&mut self, key: KeyRef<'_>) -> Result<()> {
        self.keys.push(key)?;
        // The callers number their rows in 32 bits.
        self.starts.push(self.ranks.len() as u32);
        Ok(())
    }

    /// Adds a row of the current key, above all before; `place` is where its columns are.
    pub(super) fn row(&mut self, rank: &Rank, deleted: bool, place: u32) {
        self.ranks.push(*rank);
        self.deleted.push(deleted);
        self.places.push(place);
    }

    pub(super) fn finish(mut self, batches: Arc<RowBatches>) -> Result<SortedRun> {
        self.starts.push(self.ranks.len() as u32);
        let times = times_of(&self.ranks, &self.deleted);
        Ok(SortedRun::new(RunKeys::new(self.keys, self.starts, times)?, batches, self.places))
    }
}

fn times_of(ranks: &[Rank], deleted: &[bool]) -> RowTimes {
    let created = |rank: &Rank| rank.created_time;
    let created_times = ranks.iter().any(|rank| created(rank).is_some()).then(|| {
        let nulls: NullBuffer = ranks.iter().map(|rank| created(rank).is_some()).collect();
        CreatedTimes {
            values: ranks.iter().map(|rank| created(rank).map_or(0, |time| time.0)).collect(),
            nulls: (nulls.null_count() > 0).then_some(nulls),
        }
    });
    let first_commit = ranks.first().map_or(TimestampUs::MIN, |rank| rank.commit_time);
    let commit = match ranks.iter().all(|rank| rank.commit_time == first_commit) {
        true => CommitTimes::Constant(first_commit),
        false => CommitTimes::Column(ranks.iter().map(|rank| rank.commit_time.0).collect()),
    };
    RowTimes {
        event: ranks.iter().map(|rank| rank.event_time.0).collect(),
        created: created_times,
        commit,
        ordinal: ranks.iter().map(|rank| rank.ordinal).collect(),
        deleted: deleted.contains(&true).then(|| BooleanBuffer::from(deleted)),
    }
}
