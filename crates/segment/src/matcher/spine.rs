//! The keys and times asked for, sorted once and shared by every run and view with these keys.

use std::ops::Range;

use lineate_types::{EntityKey, TimestampUs};

use crate::{
    Error, Result,
    run::{EncodedKeys, KeyRef, KeyTable, group::KeyGroups},
    schema::EntityKeys,
};

/// Probes sorted by (bucket, key bytes, time), with their keys deduplicated. Probe `n` answers the given row
/// `rows()[n]`; rows with a null key have no probe, and no answer.
#[derive(Debug, Clone)]
pub struct Spine {
    keys: KeyTable,
    starts: Vec<u32>,
    times: Vec<i64>,
    rows: Vec<u32>,
}

/// The keys of the rows of a spine, encoded as they come. A row with a null key has none.
#[derive(Debug, Default)]
pub struct SpineKeys {
    keys: EncodedKeys,
    /// The row of each key.
    rows: Vec<u32>,
    /// Rows so far, with a key or without.
    seen: usize,
}

impl SpineKeys {
    /// Adds the next rows.
    ///
    /// # Errors
    /// A key is too long, or there are more than `u32::MAX` rows.
    pub fn push(&mut self, columns: &EntityKeys<'_>) -> Result<()> {
        for row in 0..columns.rows() {
            if self.keys.push_row(columns, row)? {
                self.rows.push(row_number(self.seen)?);
            }
            self.seen += 1;
        }
        Ok(())
    }
}

/// A contiguous part of a spine: whole keys.
#[derive(Debug, Clone)]
pub struct SpinePart<'a> {
    spine: &'a Spine,
    keys: Range<usize>,
}

impl Spine {
    /// Sorts the keys and times of some rows; `keys` and `times` are of one length.
    ///
    /// # Errors
    /// The lengths differ, or there are more than `u32::MAX` rows or bytes of distinct keys.
    pub fn new(keys: &[Option<EntityKey>], times: &[TimestampUs]) -> Result<Self> {
        let mut present = SpineKeys { seen: keys.len(), ..SpineKeys::default() };
        for (row, key) in keys.iter().enumerate() {
            if let Some(key) = key {
                present.keys.push(KeyRef::of(key));
                present.rows.push(row_number(row)?);
            }
        }
        Self::of(&present, times)
    }

    /// Sorts keys that are encoded already, with the times of their rows.
    ///
    /// # Errors
    /// There are not as many times as rows, or more than `u32::MAX` rows or bytes of distinct keys.
    pub fn of(keys: &SpineKeys, times: &[TimestampUs]) -> Result<Self> {
        if keys.seen != times.len() {
            let (keys, times) = (keys.seen, times.len());
            return Err(Error::Invalid(format!(
                "a spine has {keys} keys and {times} times; expected as many"
            )));
        }
        let mut groups = KeyGroups::of(&keys.keys)?;
        if keys.rows.len() < keys.seen {
            for row in &mut groups.rows {
                *row = keys.rows.get(*row as usize).copied().unwrap_or(*row);
            }
        }
        let time_of = |row: &u32| times.get(*row as usize).map_or(i64::MIN, |time| time.0);
        for rows in groups.groups_mut() {
            if !rows.is_sorted_by_key(time_of) {
                rows.sort_by_key(time_of);
            }
        }
        let sorted_times = groups.rows.iter().map(time_of).collect();
        Ok(Self { keys: groups.keys, starts: groups.starts, times: sorted_times, rows: groups.rows })
    }

    /// How many probes there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The distinct keys.
    pub fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// For every probe, the row it was made from.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// For every probe, its time in microseconds.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// All of it.
    pub fn whole(&self) -> SpinePart<'_> {
        SpinePart { spine: self, keys: 0..self.keys.len() }
    }

    /// The probes whose keys fall into some buckets, the end exclusive: what one shard can answer.
    pub fn buckets(&self, buckets: Range<u16>) -> SpinePart<'_> {
        let start = self.keys.first_of_bucket(buckets.start);
        let end = self.keys.first_of_bucket(buckets.end).max(start);
        SpinePart { spine: self, keys: start..end }
    }

    /// The probes of the key at a position.
    pub(super) fn probes_of(&self, position: usize) -> Range<usize> {
        match self.starts.get(position..position.saturating_add(2)) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }
}

impl<'a> SpinePart<'a> {
    /// The spine it is a part of.
    pub fn spine(&self) -> &'a Spine {
        self.spine
    }

    /// The positions of its keys in the spine.
    pub fn keys(&self) -> Range<usize> {
        self.keys.clone()
    }

    /// The probes it holds, as positions in the spine.
    pub fn probes(&self) -> Range<usize> {
        let edge = |position: usize| self.spine.starts.get(position).map_or(0, |start| *start as usize);
        edge(self.keys.start)..edge(self.keys.end)
    }
}

fn row_number(row: usize) -> Result<u32> {
    u32::try_from(row).map_err(|_| Error::TooMuch {
        what: "rows of a run or spine",
        actual: row as u64,
        limit: u64::from(u32::MAX),
    })
}
