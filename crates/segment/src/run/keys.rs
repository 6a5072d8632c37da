//! The key part of one run in memory: what matching needs, without any payload.

use std::ops::Range;

use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use lineate_types::TimestampUs;

use super::KeyTable;
use crate::{Error, Rank, Result};

/// The commit times of the rows of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum CommitTimes {
    /// Every row has this one.
    Constant(TimestampUs),
    /// Each row has its own, in microseconds.
    Column(ScalarBuffer<i64>),
}

/// What matching needs to know of each row, one entry per row in run order.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTimes {
    /// Event times in microseconds.
    pub event: ScalarBuffer<i64>,
    /// Created times in microseconds; none where no row has one.
    pub created: Option<CreatedTimes>,
    /// Commit times.
    pub commit: CommitTimes,
    /// Positions in their commits.
    pub ordinal: ScalarBuffer<i64>,
    /// Which rows are tombstones; none where no row is.
    pub deleted: Option<BooleanBuffer>,
}

/// Created times, some of them null.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTimes {
    /// Microseconds; whatever stands under a null means nothing.
    pub values: ScalarBuffer<i64>,
    /// Which are not null; none where all are.
    pub nulls: Option<NullBuffer>,
}

/// Distinct keys, the rows of each, and their times. The rows of a key are contiguous and ascend by [`Rank`].
#[derive(Debug, Clone, PartialEq)]
pub struct RunKeys {
    keys: KeyTable,
    /// Where the rows of each key start in `times`, and one more entry: where the last ones end.
    starts: Vec<u32>,
    /// The row number, in its run, of the first row of each key; none where it equals `starts`.
    first_rows: Option<Vec<u32>>,
    times: RowTimes,
    latest_commit: TimestampUs,
}

impl RunKeys {
    /// A whole run: entry `n` is row `n`.
    ///
    /// # Errors
    /// The parts do not fit together, or the rows of a key do not ascend by rank.
    pub fn new(keys: KeyTable, starts: Vec<u32>, times: RowTimes) -> Result<Self> {
        Self::build(keys, starts, None, times)
    }

    /// Some keys of a run: the rows of key `n` begin at row `first_rows[n]` of the run.
    ///
    /// # Errors
    /// The parts do not fit together, or the rows of a key do not ascend by rank.
    pub fn subset(keys: KeyTable, starts: Vec<u32>, first_rows: Vec<u32>, times: RowTimes) -> Result<Self> {
        if first_rows.len() != keys.len() {
            return Err(misfit("first rows", first_rows.len(), keys.len()));
        }
        Self::build(keys, starts, Some(first_rows), times)
    }

    fn build(
        keys: KeyTable,
        starts: Vec<u32>,
        first_rows: Option<Vec<u32>>,
        times: RowTimes,
    ) -> Result<Self> {
        let rows = times.event.len();
        times.check_lengths()?;
        if starts.len() != keys.len() + 1 {
            return Err(misfit("row offsets", starts.len(), keys.len() + 1));
        }
        let ascend = starts.is_sorted_by(|a, b| a < b);
        let first_and_last = starts.first().zip(starts.last());
        if !ascend || first_and_last.is_none_or(|(first, last)| *first != 0 || *last as usize != rows) {
            return Err(Error::Invalid(format!("the row offsets of a run must ascend from 0 to {rows}")));
        }
        let latest_commit = match &times.commit {
            CommitTimes::Constant(time) => *time,
            CommitTimes::Column(times) => {
                TimestampUs(times.iter().copied().max().unwrap_or(TimestampUs::MIN.0))
            }
        };
        let run = Self { keys, starts, first_rows, times, latest_commit };
        run.check_order()?;
        Ok(run)
    }

    /// Matching rests on this order, so it is checked once for all bytes that came from outside.
    fn check_order(&self) -> Result<()> {
        for position in 0..self.keys.len() {
            let ranks = self.rows_of(position).map(|index| self.rank(index));
            if !ranks.is_sorted() {
                return Err(Error::Invalid("the rows of a key must ascend by rank".into()));
            }
        }
        Ok(())
    }

    /// The distinct keys.
    pub fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.times.event.len()
    }

    /// The times of the rows.
    pub fn times(&self) -> &RowTimes {
        &self.times
    }

    /// The greatest commit time.
    pub fn latest_commit(&self) -> TimestampUs {
        self.latest_commit
    }

    /// The entries of the key at a position, ascending by rank.
    pub fn rows_of(&self, position: usize) -> Range<usize> {
        match self.starts.get(position..position.saturating_add(2)) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// The row number, in its run, of entry `index`, which belongs to the key at `position`.
    pub fn row_number(&self, position: usize, index: usize) -> u32 {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        match &self.first_rows {
            None => index,
            Some(first_rows) => {
                let start = self.starts.get(position).copied().unwrap_or(0);
                let first = first_rows.get(position).copied().unwrap_or(0);
                first.saturating_add(index.saturating_sub(start))
            }
        }
    }

    /// The rank of entry `index`.
    pub fn rank(&self, index: usize) -> Rank {
        Rank {
            event_time: TimestampUs(at(&self.times.event, index)),
            created_time: self.created_time(index),
            commit_time: self.commit_time(index),
            ordinal: at(&self.times.ordinal, index),
        }
    }

    /// Whether entry `index` is a tombstone.
    pub fn is_deleted(&self, index: usize) -> bool {
        self.times.deleted.as_ref().is_some_and(|deleted| index < deleted.len() && deleted.value(index))
    }

    /// The created time of entry `index`, if it has one.
    pub fn created_time(&self, index: usize) -> Option<TimestampUs> {
        let created = self.times.created.as_ref()?;
        let null = created.nulls.as_ref().is_some_and(|nulls| index < nulls.len() && nulls.is_null(index));
        (!null).then(|| TimestampUs(at(&created.values, index)))
    }

    /// The commit time of entry `index`.
    pub fn commit_time(&self, index: usize) -> TimestampUs {
        match &self.times.commit {
            CommitTimes::Constant(time) => *time,
            CommitTimes::Column(times) => TimestampUs(at(times, index)),
        }
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> usize {
        let created = self.times.created.as_ref().map_or(0, |created| created.values.len() * 8);
        let commit = match &self.times.commit {
            CommitTimes::Constant(_) => 0,
            CommitTimes::Column(times) => times.len() * 8,
        };
        let first_rows = self.first_rows.as_ref().map_or(0, |rows| rows.len() * 4);
        self.keys.memory_bytes() + self.starts.len() * 4 + first_rows + self.rows() * 16 + created + commit
    }
}

impl RowTimes {
    fn check_lengths(&self) -> Result<()> {
        let rows = self.event.len();
        let commit = match &self.commit {
            CommitTimes::Constant(_) => rows,
            CommitTimes::Column(times) => times.len(),
        };
        let created = self.created.as_ref();
        for (what, length) in [
            ("ordinals", self.ordinal.len()),
            ("commit times", commit),
            ("created times", created.map_or(rows, |created| created.values.len())),
            (
                "nulls of created times",
                created.and_then(|created| created.nulls.as_ref()).map_or(rows, NullBuffer::len),
            ),
            ("tombstone marks", self.deleted.as_ref().map_or(rows, BooleanBuffer::len)),
        ] {
            if length != rows {
                return Err(misfit(what, length, rows));
            }
        }
        match u32::try_from(rows) {
            Ok(_) => Ok(()),
            Err(_) => {
                let limit = u64::from(u32::MAX);
                Err(Error::TooMuch { what: "rows of a run", actual: rows as u64, limit })
            }
        }
    }
}

fn misfit(what: &str, actual: usize, expected: usize) -> Error {
    Error::Invalid(format!("a run has {actual} {what}; expected {expected}"))
}

/// Every index that reaches here was cut from `0..rows` by [`RunKeys::rows_of`].
fn at(values: &ScalarBuffer<i64>, index: usize) -> i64 {
    values.get(index).copied().unwrap_or(i64::MIN)
}
