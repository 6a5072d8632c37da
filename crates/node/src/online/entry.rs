//! What the cache knows of one key in one view: the contenders of its sealed rows, with their values.

use std::sync::Arc;

use lineate_segment::Rank;
use lineate_types::TimestampUs;

use super::skyline::Skyline;

/// The sealed rows of a key that can still answer. Good for the times from `from`, inclusive, to `until`,
/// exclusive; without rows it says that none is sealed that could count then.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which state of the history's bulk loads it holds (see [`super::coverage`]).
    pub(super) epoch: u64,
    pub(super) from: TimestampUs,
    pub(super) until: TimestampUs,
    rows: Box<[EntryRow]>,
    packed: Box<[u8]>,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryRow {
    pub(super) visible_at: TimestampUs,
    pub(super) rank: Rank,
    pub(super) deleted: bool,
    /// Where its values end in the packed bytes; they begin where those of the row before end.
    end: usize,
}

impl Entry {
    /// Packs contenders whose places are their values, empty for tombstones.
    pub(super) fn new<V: AsRef<[u8]>>(epoch: u64, skyline: &Skyline<V>) -> Self {
        let mut rows = Vec::with_capacity(skyline.rows.len());
        let mut packed = Vec::with_capacity(skyline.rows.iter().map(|row| row.place.as_ref().len()).sum());
        for row in &skyline.rows {
            packed.extend_from_slice(row.place.as_ref());
            let (visible_at, rank, deleted) = (row.visible_at, row.rank, row.deleted);
            rows.push(EntryRow { visible_at, rank, deleted, end: packed.len() });
        }
        Self { epoch, from: skyline.from, until: skyline.until, rows: rows.into(), packed: packed.into() }
    }

    /// Whether it can answer at a time, if the history's bulk loads stand at `epoch`.
    pub(super) fn answers(&self, epoch: u64, at: TimestampUs) -> bool {
        self.epoch == epoch && self.from <= at && at < self.until
    }

    /// The winner among its rows at a time it can answer, with its number.
    pub(super) fn winner(&self, at: TimestampUs) -> Option<(usize, &EntryRow)> {
        let number = self.rows.partition_point(|row| row.visible_at <= at).checked_sub(1)?;
        self.rows.get(number).map(|row| (number, row))
    }

    /// The packed values of a row; nothing for a tombstone.
    pub(super) fn values(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).and_then(|before| self.rows.get(before)).map_or(0, |row| row.end);
        let end = self.rows.get(number).map_or(start, |row| row.end);
        self.packed.get(start..end).unwrap_or_default()
    }

    /// Every row with its number.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &EntryRow)> {
        self.rows.iter().enumerate()
    }

    /// Bytes held in memory, counters of the [`Arc`] included.
    pub(super) fn bytes(&self) -> usize {
        2 * size_of::<usize>() + size_of::<Self>() + size_of_val::<[EntryRow]>(&self.rows) + self.packed.len()
    }
}

/// An entry somebody may still read after it left the cache.
pub(super) type SharedEntry = Arc<Entry>;
