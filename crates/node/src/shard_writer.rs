//! The rows of a bulk load on their way into segments: split by shard, sorted in memory within a bound, written
//! when there is no more room or no more rows.

use std::collections::BTreeMap;

use arrow::{array::RecordBatch, array::UInt32Array, compute::take_record_batch};
use lineate_segment::{
    run::RunSorter,
    schema::ViewSchema,
    segment::{CommitSource, SegmentInfo, write_run},
};
use lineate_storage::blob::BlobStore;
use lineate_types::{HistoryId, ShardId, TimestampUs, limits};

use crate::{Result, push::rows_by_shard};

/// The ordinal of a load's first row. Streamed rows begin at 0. A load's commit time comes from the meta group, a
/// streamed batch's from its shard, so the two can be equal: then the ordinals still differ, and the load wins.
const LOAD_ORDINALS: i64 = 1 << 62;

/// The segments of a load.
pub(crate) type SegmentsByShard = BTreeMap<ShardId, Vec<SegmentInfo>>;

/// Takes the canonical rows of a load and leaves segments.
pub(crate) struct ShardWriter<'a> {
    blobs: &'a dyn BlobStore,
    history: HistoryId,
    schema: ViewSchema,
    shards: u16,
    sorters: BTreeMap<ShardId, RunSorter>,
    segments: SegmentsByShard,
    rows: u64,
}

impl<'a> ShardWriter<'a> {
    /// A writer without rows.
    pub(crate) fn new(blobs: &'a dyn BlobStore, history: HistoryId, schema: ViewSchema, shards: u16) -> Self {
        Self { blobs, history, schema, shards, sorters: BTreeMap::new(), segments: BTreeMap::new(), rows: 0 }
    }

    /// Adds the next rows; their ordinals go on from the rows before.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        for (shard, rows) in rows_by_shard(batch, &self.schema, self.shards)? {
            let ordinals: Vec<i64> =
                rows.iter().map(|row| LOAD_ORDINALS + (self.rows + u64::from(*row)).cast_signed()).collect();
            let part = take_record_batch(batch, &UInt32Array::from(rows))?;
            let sorter = self.sorters.entry(shard).or_insert_with(|| RunSorter::new(self.schema.clone()));
            sorter.push(&part, ordinals.into_iter())?;
        }
        self.rows += batch.num_rows() as u64;
        while self.sorters.values().map(RunSorter::bytes).sum::<usize>() > limits::SORT_BYTES / 2 {
            let largest =
                self.sorters.iter().max_by_key(|(_, sorter)| sorter.bytes()).map(|(shard, _)| *shard);
            let Some(shard) = largest else { break };
            self.write(shard)?;
        }
        Ok(())
    }

    /// Rows taken so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what is left. `on_segment` is told how many segments of how many are written, at first none; its
    /// error ends it.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub(crate) fn finish(&mut self, mut on_segment: impl FnMut(usize, usize) -> Result<()>) -> Result<()> {
        let shards: Vec<ShardId> = self.sorters.keys().copied().collect();
        on_segment(0, shards.len())?;
        for (before, shard) in shards.iter().enumerate() {
            self.write(*shard)?;
            on_segment(before + 1, shards.len())?;
        }
        Ok(())
    }

    /// The segments written so far, of each shard with rows.
    pub(crate) fn into_segments(self) -> SegmentsByShard {
        self.segments
    }

    fn write(&mut self, shard: ShardId) -> Result<()> {
        let Some(sorter) = self.sorters.remove(&shard) else { return Ok(()) };
        // The commit time is decided later and stands in the manifest.
        let run = sorter.finish(TimestampUs::MAX)?;
        let segment = write_run(self.blobs, self.history, self.schema.clone(), &run, CommitSource::Manifest)?;
        self.segments.entry(shard).or_default().push(segment);
        Ok(())
    }
}
