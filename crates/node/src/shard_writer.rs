//! The rows of a bulk load on their way into segments: split by shard, sorted in memory within a bound, written
//! when there is no more room or no more rows.
//!
//! Rows are taken a slice of few bytes at a time, and full sorters are handed over in between: however long the rows
//! of a batch are, what is held beside it stays within the bound.
//!
//! What becomes one segment depends on the rows and their order alone, not on threads: the same files give the same
//! segments.

use std::collections::BTreeMap;

use arrow::{array::RecordBatch, array::UInt32Array, compute::take_record_batch};
use lineate_segment::{
    run::{EncodedKeys, RunSorter, batch_bytes},
    schema::ViewSchema,
};
use lineate_types::{ShardId, limits};

use crate::{
    Result,
    push::rows_by_shard,
    segment_pool::{SegmentPool, Written},
};

/// The ordinal of a load's first row. Streamed rows begin at 0. A load's commit time comes from the meta group, a
/// streamed batch's from its shard, so the two can be equal: then the ordinals still differ, and the load wins.
const LOAD_ORDINALS: i64 = 1 << 62;

/// Takes the canonical rows of a load and hands sorted parts to a pool.
pub(crate) struct ShardWriter<'a> {
    pool: &'a SegmentPool,
    schema: &'a ViewSchema,
    shards: u16,
    bounds: WriterBounds,
    sorters: BTreeMap<ShardId, RunSorter>,
    rows: u64,
}

/// What a writer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterBounds {
    /// Bytes of the sorters that are being filled.
    pub(crate) held_bytes: usize,
    /// Bytes of rows that are split at once, or one row alone.
    pub(crate) slice_bytes: usize,
}

impl Default for WriterBounds {
    fn default() -> Self {
        Self { held_bytes: limits::SORT_BYTES / 2, slice_bytes: limits::SORT_BYTES / 32 }
    }
}

impl<'a> ShardWriter<'a> {
    /// A writer without rows.
    pub(crate) fn new(pool: &'a SegmentPool, schema: &'a ViewSchema, shards: u16) -> Self {
        Self::with_bounds(pool, schema, shards, WriterBounds::default())
    }

    /// A writer without rows that holds no more than that.
    pub(crate) fn with_bounds(
        pool: &'a SegmentPool,
        schema: &'a ViewSchema,
        shards: u16,
        bounds: WriterBounds,
    ) -> Self {
        Self { pool, schema, shards, bounds, sorters: BTreeMap::new(), rows: 0 }
    }

    /// Adds the next rows; their ordinals go on from the rows before.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut waiting = vec![batch.clone()];
        while let Some(slice) = waiting.pop() {
            let rows = slice.num_rows();
            if rows > 1 && batch_bytes(&slice) > self.bounds.slice_bytes {
                waiting.push(slice.slice(rows / 2, rows - rows / 2));
                waiting.push(slice.slice(0, rows / 2));
                continue;
            }
            self.push_slice(&slice)?;
            self.hand_over_largest()?;
        }
        Ok(())
    }

    fn push_slice(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = EncodedKeys::of(batch, self.schema)?;
        for (shard, rows) in rows_by_shard(&keys, self.shards) {
            let ordinals: Vec<i64> =
                rows.iter().map(|row| LOAD_ORDINALS + (self.rows + u64::from(*row)).cast_signed()).collect();
            let keys = keys.take(&rows)?;
            let part = take_record_batch(batch, &UInt32Array::from(rows))?;
            let sorter = self.sorters.entry(shard).or_insert_with(|| RunSorter::new(self.schema.clone()));
            sorter.push_encoded(&part, &keys, ordinals.into_iter())?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn hand_over_largest(&mut self) -> Result<()> {
        while self.sorters.values().map(RunSorter::bytes).sum::<usize>() > self.bounds.held_bytes {
            let largest =
                self.sorters.iter().max_by_key(|(_, sorter)| sorter.bytes()).map(|(shard, _)| *shard);
            let Some(sorter) = largest.and_then(|shard| self.sorters.remove_entry(&shard)) else { break };
            self.pool.write(sorter.0, sorter.1)?;
        }
        Ok(())
    }

    /// Rows taken so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Hands over what is left and waits until everything is written, calling back with how far that is; its error
    /// ends it.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub(crate) fn finish(self, on_segment: impl FnMut(Written) -> Result<()>) -> Result<()> {
        for (shard, sorter) in self.sorters {
            self.pool.write(shard, sorter)?;
        }
        self.pool.wait_for_all(on_segment)
    }
}
