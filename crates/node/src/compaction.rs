//! Compaction: a history with many segments in a shard gets fewer and larger ones, within bounds.
//!
//! Of the segments in order of size, those neighbours are merged whose sum is the greatest multiple of the largest among
//! them: so whatever is written again is in a much larger segment afterwards, and that happens to a row a few times
//! only. (Merging the smallest ones merges large ones again and again for the sake of one small one: with 4,096 equal
//! segments, and 8 left, each row was written 146 times instead of 6.)
//!
//! Two segments that are not full always fit one compaction; so there are at most [`CompactionBounds::segments`] that
//! are not full, and full ones hold about half of a bound or more. Full ones are left alone for ever.
//!
//! The output is new data to the disk: what is kept free of it stays free (ADR 0009).

use std::{ops::Range, sync::Arc};

use lineate_segment::{
    merge::merge_runs,
    run::RowSource,
    schema::ViewSchema,
    segment::{Segment, SegmentInfo},
};
use lineate_state::shard::{Compact, ShardCommand};
use lineate_storage::blob::{Lease, Pin};
use lineate_types::{ErrorKind, HasKind, HistoryId, ShardId, limits};
use tracing::Instrument;

use crate::{Node, Result, maintenance::system};

/// What bounds compactions. One of the sizes is reached before the others, depending on the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionBounds {
    /// Segments that are not full, above which some are merged.
    pub segments: usize,
    /// The size of all inputs of one compaction. What is over half of any of them is full.
    pub inputs: CompactionSize,
}

/// The size of a segment, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionSize {
    /// Rows.
    pub rows: u64,
    /// Bytes of key indexes.
    pub key_bytes: u64,
    /// Bytes of Parquet files.
    pub bytes: u64,
}

impl Default for CompactionBounds {
    fn default() -> Self {
        let inputs = CompactionSize {
            rows: limits::COMPACTION_ROWS,
            key_bytes: limits::COMPACTION_KEY_BYTES,
            bytes: limits::COMPACTION_BYTES,
        };
        Self { segments: limits::SEGMENTS_BEFORE_COMPACTION, inputs }
    }
}

impl CompactionBounds {
    /// The usual sizes, and at most so many segments.
    pub fn down_to(segments: usize) -> Self {
        Self { segments, ..Self::default() }
    }

    fn is_full(&self, segment: CompactionSize) -> bool {
        !segment.plus(segment).fits(self.inputs)
    }

    /// Which segments to merge next, ascending by size; none or at least two.
    fn choose(&self, mut segments: Vec<(u64, SegmentInfo)>) -> Vec<(u64, SegmentInfo)> {
        segments.retain(|(_, segment)| !self.is_full(CompactionSize::of(segment)));
        if segments.len() <= self.segments.max(1) {
            return Vec::new();
        }
        segments.sort_by_key(|(number, segment)| (segment.rows, *number));
        let sizes: Vec<CompactionSize> =
            segments.iter().map(|(_, segment)| CompactionSize::of(segment)).collect();
        let chosen = self.choose_neighbours(&sizes);
        segments.drain(chosen).collect()
    }

    /// Of sizes that ascend by rows, the neighbours that fit and whose sum is the greatest multiple of the largest.
    fn choose_neighbours(&self, sizes: &[CompactionSize]) -> Range<usize> {
        let mut chosen = 0..0;
        // Sum and largest of the chosen ones, in rows.
        let mut best = (0_u128, 1_u128);
        for start in 0..sizes.len() {
            let mut sum = CompactionSize::default();
            let most = limits::SEGMENTS_BEFORE_COMPACTION.max(2);
            for (end, size) in sizes.iter().enumerate().skip(start).take(most) {
                sum = sum.plus(*size);
                if !sum.fits(self.inputs) {
                    break;
                }
                let (rows, largest) = (u128::from(sum.rows), u128::from(size.rows));
                if end > start && rows * best.1 > best.0 * largest {
                    best = (rows, largest);
                    chosen = start..end + 1;
                }
            }
        }
        chosen
    }
}

impl CompactionSize {
    fn of(segment: &SegmentInfo) -> Self {
        Self { rows: segment.rows, key_bytes: segment.key_index_bytes, bytes: segment.segment_bytes }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            key_bytes: self.key_bytes.saturating_add(other.key_bytes),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn fits(self, bound: Self) -> bool {
        self.rows <= bound.rows && self.key_bytes <= bound.key_bytes && self.bytes <= bound.bytes
    }
}

/// Segments to be merged, and what that takes.
pub(crate) struct Inputs {
    shard: ShardId,
    history: HistoryId,
    numbers: Vec<u64>,
    infos: Vec<SegmentInfo>,
    /// Of the newest version of the view.
    schema: ViewSchema,
    /// What was found in the manifest can be opened while this is held.
    pin: Pin,
}

/// What became of a compaction that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The segments are one.
    Done,
    /// The manifest moved on meanwhile.
    Overtaken,
    /// The disk has no room for another copy of the segments beside what is kept free. Nothing was read.
    NoRoom,
}

impl Inputs {
    /// The numbers of the segments in the manifest.
    pub(crate) fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    fn size(&self) -> CompactionSize {
        self.infos.iter().fold(CompactionSize::default(), |sum, info| sum.plus(CompactionSize::of(info)))
    }
}

impl Node {
    /// Merges some segments of one history in one shard if it has too many, and there is room for them on the disk
    /// beside what is kept free; says whether it did.
    ///
    /// # Errors
    /// A segment is damaged, or the disk is full.
    pub async fn compact(
        &self,
        shard: ShardId,
        history: HistoryId,
        bounds: &CompactionBounds,
    ) -> Result<bool> {
        let _one_at_a_time = self.compacting().lock().await;
        let Some(inputs) = self.choose_inputs(shard, history, bounds) else { return Ok(false) };
        Ok(self.compact_inputs(inputs).await? == Attempt::Done)
    }

    /// What to merge next of a history in a shard, if it has too many segments.
    pub(crate) fn choose_inputs(
        &self,
        shard: ShardId,
        history: HistoryId,
        bounds: &CompactionBounds,
    ) -> Option<Inputs> {
        let pin = self.keeper().pin();
        let machine = self.shard(shard).read();
        let sealed = &machine.history(history)?.sealed;
        let sealed = sealed.iter().map(|(number, sealed)| (*number, sealed.segment.clone()));
        let segments = bounds.choose(sealed.collect());
        if segments.is_empty() {
            return None;
        }
        let (_, schema) = machine.newest_view(history)?;
        let (numbers, infos) = segments.into_iter().unzip();
        Some(Inputs { shard, history, numbers, infos, schema: schema.as_ref().clone(), pin })
    }

    /// Merges segments, and replaces them in the manifest. To be called while [`Self::compacting`] is held.
    ///
    /// # Errors
    /// A segment is damaged, or the disk is full.
    pub(crate) async fn compact_inputs(&self, inputs: Inputs) -> Result<Attempt> {
        let size = inputs.size();
        let Inputs { shard, history, numbers, infos, schema, pin } = inputs;
        // The output takes about as much.
        match self.check_space_for(size.bytes.saturating_add(size.key_bytes)) {
            Err(refusal) if refusal.kind() == ErrorKind::ResourceExhausted => {
                tracing::debug!(%shard, %history, %refusal, "no room to compact");
                return Ok(Attempt::NoRoom);
            }
            checked => checked?,
        }
        let (segments, rows) = (numbers.len() as i64, size.rows.cast_signed());
        let span = tracing::info_span!("compact", %shard, %history, segments, rows);
        let lease = self.lease_blobs();
        let (node, blobs, opening) = (self.clone(), self.new_blobs(&lease), infos.clone());
        let merging = tokio::task::spawn_blocking(move || -> Result<SegmentInfo> {
            let opened = opening.iter().map(|info| node.segments().open(info));
            let opened = opened.collect::<Result<Vec<Arc<Segment>>>>()?;
            drop(pin);
            let runs: Vec<&dyn RowSource> = opened.iter().map(|segment| segment.as_ref() as _).collect();
            Ok(merge_runs(&blobs, history, schema, &runs)?)
        });
        let output = merging.instrument(span.clone()).await??;
        let committing = self.commit_compaction(shard, history, numbers, &lease, output);
        if !committing.instrument(span).await? {
            return Ok(Attempt::Overtaken);
        }
        self.keeper().suspect(infos.iter().flat_map(|info| [info.segment, info.key_index]));
        self.remove_blobs().await?;
        Ok(Attempt::Done)
    }

    /// Replaces segments by what they were merged to; false if the manifest moved on meanwhile.
    ///
    /// # Errors
    /// The command is refused although all inputs are in the manifest: there is something wrong with the output. Or it
    /// could not be replicated.
    async fn commit_compaction(
        &self,
        shard: ShardId,
        history: HistoryId,
        inputs: Vec<u64>,
        lease: &Lease,
        output: SegmentInfo,
    ) -> Result<bool> {
        let compact = ShardCommand::Compact(Compact { history, inputs: inputs.clone(), output });
        match self.name_blobs(lease, self.propose_shard(&system(), shard, compact)).await {
            Err(error)
                if error.kind() == ErrorKind::Conflict && !self.are_sealed(shard, history, &inputs) =>
            {
                Ok(false)
            }
            other => other.map(|_| true),
        }
    }

    fn are_sealed(&self, shard: ShardId, history: HistoryId, numbers: &[u64]) -> bool {
        let machine = self.shard(shard).read();
        machine
            .history(history)
            .is_some_and(|rows| numbers.iter().all(|number| rows.sealed.contains_key(number)))
    }
}

#[cfg(test)]
mod tests {
    use lineate_segment::segment::{SegmentCommit, TimeRange};
    use lineate_types::{Bucket, Hash, TimestampUs};
    use proptest::prelude::*;

    use super::*;
    use crate::small_store::{SHARD, open, push};

    const BOUNDS: CompactionBounds = CompactionBounds {
        segments: 4,
        inputs: CompactionSize { rows: 1_000, key_bytes: 10_000, bytes: 100_000 },
    };

    fn segment(size: CompactionSize) -> SegmentInfo {
        let times = TimeRange { min: TimestampUs(0), max: TimestampUs(0) };
        SegmentInfo {
            segment: Hash::of(b"segment"),
            segment_bytes: size.bytes,
            key_index: Hash::of(b"index"),
            key_index_bytes: size.key_bytes,
            logical: Hash::of(b"logical"),
            history: HistoryId(1),
            rows: size.rows,
            keys: 1,
            tombstones: 0,
            first_bucket: Bucket(0),
            last_bucket: Bucket(0),
            event_times: times,
            created_times: None,
            commit: SegmentCommit::Column(times),
        }
    }

    fn sum(segments: &[(u64, SegmentInfo)]) -> CompactionSize {
        segments.iter().fold(CompactionSize::default(), |sum, (_, info)| sum.plus(CompactionSize::of(info)))
    }

    /// Seals segments one by one and compacts after each, as a node does. Gives what is left and how many rows were
    /// written again.
    fn run(sealed: &[CompactionSize], bounds: &CompactionBounds) -> (Vec<(u64, SegmentInfo)>, u64) {
        let (mut there, mut next, mut written) = (Vec::new(), 0, 0);
        for size in sealed {
            there.push((next, segment(*size)));
            next += 1;
            loop {
                let inputs = bounds.choose(there.clone());
                if inputs.is_empty() {
                    break;
                }
                let size = sum(&inputs);
                assert!(inputs.len() >= 2 && size.fits(bounds.inputs), "{size:?}");
                written += size.rows;
                there.retain(|(number, _)| inputs.iter().all(|(input, _)| input != number));
                there.push((next, segment(size)));
                next += 1;
            }
            let open = there.iter().filter(|(_, info)| !bounds.is_full(CompactionSize::of(info))).count();
            assert!(open <= bounds.segments, "{open} segments could be merged");
        }
        (there, written)
    }

    proptest! {
        #[test]
        fn every_compaction_is_within_bounds_and_few_segments_are_left_that_are_not_full(
            sizes in prop::collection::vec((1_u64..1_500, 1_u64..15_000, 1_u64..150_000), 1..60)
        ) {
            let of = |(rows, key_bytes, bytes): &(u64, u64, u64)| {
                CompactionSize { rows: *rows, key_bytes: *key_bytes, bytes: *bytes }
            };
            let sizes: Vec<CompactionSize> = sizes.iter().map(of).collect();
            let (left, _) = run(&sizes, &BOUNDS);
            let rows: u64 = sizes.iter().map(|size| size.rows).sum();
            prop_assert_eq!(sum(&left).rows, rows);
        }
    }

    #[test]
    fn a_row_is_written_again_a_few_times_however_many_segments_come() {
        let sizes = vec![CompactionSize { rows: 10, key_bytes: 1, bytes: 1 }; 4_096];
        let inputs = CompactionSize { rows: 16_384, key_bytes: u64::MAX, bytes: u64::MAX };
        let (left, written) = run(&sizes, &CompactionBounds { segments: 8, inputs });
        assert!(left.len() <= 8 + 40_960 / 8_192, "{} segments are left", left.len());
        assert!(written <= 6 * 40_960, "{written} rows were written for 40,960");
    }

    #[test]
    fn a_segment_beyond_the_bounds_keeps_no_others_from_being_merged() {
        let huge = CompactionSize { rows: u64::MAX, key_bytes: u64::MAX, bytes: u64::MAX };
        let small = CompactionSize { rows: 1, key_bytes: 1, bytes: 1 };
        let (left, _) = run(&[huge, small, huge, small, small, small, small, small], &BOUNDS);
        assert_eq!(left.iter().filter(|(_, info)| info.rows == u64::MAX).count(), 2);
        assert!(left.len() <= 2 + BOUNDS.segments);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_compaction_that_is_refused_while_its_inputs_are_there_is_an_error_and_one_of_others_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path().to_owned()).await;
        let mut history = HistoryId(0);
        for _ in 0..2 {
            history = push(&node).await;
            node.seal(&system(), &[history], node.now()).await.expect("seals");
        }
        let inputs = node.choose_inputs(SHARD, history, &CompactionBounds::down_to(1)).expect("two segments");
        let (numbers, one) = (inputs.numbers.clone(), inputs.infos.first().expect("two").clone());
        let commit = async |output: SegmentInfo| {
            let lease = node.lease_blobs();
            node.commit_compaction(SHARD, history, numbers.clone(), &lease, output).await
        };
        let refused = commit(one.clone()).await.expect_err("it lacks the row of the other");
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        assert!(node.are_sealed(SHARD, history, &numbers), "nothing was lost");
        assert_eq!(node.compact_inputs(inputs).await.expect("merges"), Attempt::Done);
        assert!(!node.are_sealed(SHARD, history, &numbers));
        assert!(!commit(one).await.expect("they are merged already"));
        node.shutdown().await.expect("stops");
    }
}
