//! The threads that sort and write the segments of a bulk load.
//!
//! Invariants:
//! - what waits or is being written takes at most half of [`limits::SORT_BYTES`], or is one sorter alone;
//! - the segments of a shard stand in the order their rows were handed over, whichever thread wrote them first;
//! - nothing begins after a failure, and every segment that was written is told of, so that it can be given up.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use lineate_segment::{
    run::RunSorter,
    schema::ViewSchema,
    segment::{CommitSource, SegmentInfo, write_run},
};
use lineate_storage::blob::BlobStore;
use lineate_types::{HistoryId, ShardId, TimestampUs, limits};

use crate::{Error, Result};

/// The segments of a load.
pub(crate) type SegmentsByShard = BTreeMap<ShardId, Vec<SegmentInfo>>;

/// Where segments of a view go.
pub(crate) struct Target<'a> {
    pub(crate) blobs: &'a dyn BlobStore,
    pub(crate) history: HistoryId,
    pub(crate) schema: ViewSchema,
}

/// Takes full sorters, leaves segments.
pub(crate) struct SegmentPool {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Bytes of the sorters that wait or are being written.
    bytes: usize,
    /// Sorters handed over so far.
    jobs: usize,
    /// By the number of the job.
    written: BTreeMap<usize, (ShardId, SegmentInfo)>,
    failure: Option<Error>,
    /// Nothing more comes.
    closed: bool,
}

struct Job {
    number: usize,
    shard: ShardId,
    sorter: RunSorter,
}

/// How many segments are written, of those that were begun or wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) segments: usize,
    pub(crate) of: usize,
}

impl SegmentPool {
    /// Runs `work` beside threads that write what it hands over. Gives the segments written, whatever became of the
    /// work: where it succeeds, they are all that it handed over and waited for.
    pub(crate) fn run<T>(
        target: &Target<'_>,
        threads: usize,
        work: impl FnOnce(&Self) -> Result<T>,
    ) -> (SegmentsByShard, Result<T>) {
        let pool = Self { state: Mutex::default(), changed: Condvar::new() };
        let result = thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| pool.write_all(target));
            }
            let _closing = Closing(&pool);
            work(&pool)
        });
        let state = pool.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut segments = SegmentsByShard::new();
        for (shard, segment) in state.written.into_values() {
            segments.entry(shard).or_default().push(segment);
        }
        (segments, result)
    }

    /// Hands rows over; waits while too many are under way.
    ///
    /// # Errors
    /// A segment could not be written.
    pub(crate) fn write(&self, shard: ShardId, sorter: RunSorter) -> Result<()> {
        let bytes = sorter.bytes();
        let mut state = self.lock();
        while state.failure.is_none() && state.bytes > 0 && state.bytes + bytes > limits::SORT_BYTES / 2 {
            state = self.wait(state);
        }
        state.check()?;
        let number = state.jobs;
        state.jobs += 1;
        state.bytes += bytes;
        state.waiting.push_back(Job { number, shard, sorter });
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until all that was handed over is written, calling back with how far that is, at first at once; its
    /// error ends it.
    ///
    /// # Errors
    /// A segment could not be written, or the callback's.
    pub(crate) fn wait_for_all(&self, mut on_segment: impl FnMut(Written) -> Result<()>) -> Result<()> {
        let mut told = None;
        let mut state = self.lock();
        loop {
            state.check()?;
            let written = Written { segments: state.written.len(), of: state.jobs };
            if told == Some(written) {
                state = self.wait(state);
                continue;
            }
            drop(state);
            on_segment(written)?;
            if written.segments == written.of {
                return Ok(());
            }
            told = Some(written);
            state = self.lock();
        }
    }

    /// One thread's part.
    fn write_all(&self, target: &Target<'_>) {
        let mut state = self.lock();
        loop {
            if let Some(Job { number, shard, sorter }) = state.waiting.pop_front() {
                drop(state);
                let mut writing = Writing {
                    pool: self,
                    bytes: sorter.bytes(),
                    outcome: Err(Error::Internal(BROKEN_OFF.into())),
                };
                writing.outcome = target.write(sorter).map(|segment| (number, shard, segment));
                drop(writing);
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state = self.wait(state);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Target<'_> {
    fn write(&self, sorter: RunSorter) -> Result<SegmentInfo> {
        // The commit time is decided later and stands in the manifest.
        let run = sorter.finish(TimestampUs::MAX)?;
        Ok(write_run(self.blobs, self.history, self.schema.clone(), &run, CommitSource::Manifest)?)
    }
}

/// What a segment failed of whose thread panicked.
const BROKEN_OFF: &str = "the writing of a segment broke off";

/// A segment that is being written; what became of it is told also by a thread that panics.
struct Writing<'a> {
    pool: &'a SegmentPool,
    bytes: usize,
    outcome: Result<(usize, ShardId, SegmentInfo)>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(Error::Internal(BROKEN_OFF.into())));
        let mut state = self.pool.lock();
        state.bytes = state.bytes.saturating_sub(self.bytes);
        match outcome {
            Ok((number, shard, segment)) => drop(state.written.insert(number, (shard, segment))),
            Err(error) => {
                state.failure.get_or_insert(error);
                state.waiting.clear();
            }
        }
        self.pool.changed.notify_all();
    }
}

/// Ends the threads when the work is over, however it ended: what waits still then is nobody's.
struct Closing<'a>(&'a SegmentPool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.waiting.clear();
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
    use lineate_storage::blob::{BlobFault, MemBlobs};
    use lineate_types::{ErrorKind, HasKind, KeyColumn, KeyType, Name, ViewDefinition, ViewId};

    use super::*;
    use crate::shard_writer::{ShardWriter, WriterBounds};

    const SHARDS: u16 = 8;
    const BATCHES: i64 = 5;
    const BATCH_ROWS: i64 = 500;

    fn schema() -> ViewSchema {
        let name = |text: &str| Name::new(text).expect("a name");
        ViewSchema::of(&ViewDefinition {
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
            features: Vec::new(),
        })
    }

    fn batch(schema: &ViewSchema, number: i64) -> RecordBatch {
        let rows = number * BATCH_ROWS..(number + 1) * BATCH_ROWS;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row % 97))),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.map(|row| row * 7 % 1_000))
                    .with_timezone("UTC"),
            ),
            Arc::new(BooleanArray::from(vec![false; BATCH_ROWS as usize])),
        ];
        RecordBatch::try_new(schema.arrow().clone(), columns).expect("canonical")
    }

    fn load(blobs: &MemBlobs, threads: usize) -> (SegmentsByShard, Result<Vec<Written>>) {
        let target = Target { blobs, history: HistoryId(1), schema: schema() };
        SegmentPool::run(&target, threads, |pool| {
            let mut writer = ShardWriter::new(pool, &target.schema, SHARDS);
            (0..BATCHES).try_for_each(|number| writer.push(&batch(&target.schema, number)))?;
            let mut told = Vec::new();
            writer.finish(|written| {
                told.push(written);
                Ok(())
            })?;
            Ok(told)
        })
    }

    #[test]
    fn segments_are_the_same_whatever_the_number_of_threads() {
        let (alone, told) = load(&MemBlobs::new(), 1);
        assert_eq!(alone.len(), usize::from(SHARDS));
        let all = Written { segments: usize::from(SHARDS), of: usize::from(SHARDS) };
        assert_eq!(told.expect("loads").last(), Some(&all));
        for threads in 2..=4 {
            assert_eq!(load(&MemBlobs::new(), threads).0, alone, "{threads} threads");
        }
    }

    #[test]
    fn a_batch_of_more_than_a_writer_holds_becomes_several_segments() {
        let bounds = WriterBounds { held_bytes: 10_000, slice_bytes: 2_000 };
        let load = |threads| {
            let (blobs, schema) = (MemBlobs::new(), schema());
            let target = Target { blobs: &blobs, history: HistoryId(1), schema };
            let (segments, result) = SegmentPool::run(&target, threads, |pool| {
                let mut writer = ShardWriter::with_bounds(pool, &target.schema, 1, bounds);
                writer.push(&batch(&target.schema, 0))?;
                writer.push(&batch(&target.schema, 1))?;
                writer.finish(|_| Ok(()))
            });
            result.expect("loads");
            segments.into_values().flatten().collect::<Vec<_>>()
        };
        let segments = load(1);
        assert_eq!(segments.iter().map(|segment| segment.rows).sum::<u64>(), 2 * BATCH_ROWS as u64);
        assert!(segments.len() > 4, "{} segments", segments.len());
        for threads in 2..=4 {
            assert_eq!(load(threads), segments, "{threads} threads");
        }
    }

    #[test]
    fn a_shard_keeps_the_order_in_which_its_rows_were_handed_over() {
        let (blobs, schema) = (MemBlobs::new(), schema());
        let target = Target { blobs: &blobs, history: HistoryId(1), schema: schema.clone() };
        let sizes = [BATCHES, 1, 3, 2];
        let (segments, result) = SegmentPool::run(&target, 4, |pool| {
            for batches in sizes {
                let mut sorter = RunSorter::new(schema.clone());
                for number in 0..batches {
                    let ordinals: Vec<i64> = (number * BATCH_ROWS..(number + 1) * BATCH_ROWS).collect();
                    sorter.push(&batch(&schema, number), ordinals.into_iter())?;
                }
                pool.write(ShardId(3), sorter)?;
            }
            pool.wait_for_all(|_| Ok(()))
        });
        result.expect("writes");
        let rows: Vec<u64> = segments.into_values().flatten().map(|segment| segment.rows).collect();
        assert_eq!(rows, sizes.map(|batches| (batches * BATCH_ROWS) as u64));
    }

    #[test]
    fn a_failure_ends_the_work_and_what_was_written_is_told() {
        for threads in 1..=4 {
            let blobs = MemBlobs::new();
            blobs.inject([BlobFault::None, BlobFault::None, BlobFault::None, BlobFault::Full]);
            let (segments, result) = load(&blobs, threads);
            let error = result.expect_err("the disk is full");
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
            let told: Vec<_> = segments.into_values().flatten().collect();
            assert!(told.len() < usize::from(SHARDS), "{threads} threads");
            for segment in told {
                assert!(blobs.open(&segment.segment).is_ok() && blobs.open(&segment.key_index).is_ok());
            }
        }
    }

    #[test]
    fn an_error_of_the_work_leaves_only_segments_that_are_told_of() {
        let blobs = MemBlobs::new();
        let target = Target { blobs: &blobs, history: HistoryId(1), schema: schema() };
        let (segments, result) = SegmentPool::run(&target, 2, |pool| {
            let mut writer = ShardWriter::new(pool, &target.schema, SHARDS);
            writer.push(&batch(&target.schema, 0))?;
            writer.finish(|_| Err(Error::Cancelled))
        });
        assert!(matches!(result, Err(Error::Cancelled)));
        let told: BTreeSet<_> =
            segments.values().flatten().flat_map(|segment| [segment.segment, segment.key_index]).collect();
        let mut stored = BTreeSet::new();
        let listed = blobs.list(&mut |hash, _| {
            stored.insert(hash);
            Ok(())
        });
        listed.expect("lists");
        assert_eq!(stored, told);
    }
}
