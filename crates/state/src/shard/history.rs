//! The rows of one history in one shard: the open run, the frozen ones, the sealed ones and staged loads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::array::RecordBatch;
use lineate_segment::{run::OpenRun, schema::ViewSchema, segment::SegmentInfo};
use lineate_types::{TimestampUs, ViewId, WriterId, limits};
use minicbor::{Decode, Encode};

use super::command::Write;
use crate::{LoadId, Position, Result, RunNumber};

/// The rows of one history in one shard.
#[derive(Debug, Default)]
pub struct History {
    /// Rows that are still added to, under the number `open_number`.
    pub open: Option<StreamRun>,
    /// Runs that are full and wait to be sealed, oldest first.
    pub frozen: BTreeMap<RunNumber, Arc<StreamRun>>,
    /// Runs that are segments, by the number the manifest gave them.
    pub sealed: BTreeMap<u64, SealedRun>,
    /// The number of the open run, or of the next one to be opened.
    pub open_number: RunNumber,
}

impl History {
    /// Whether no row was ever kept here.
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.frozen.is_empty() && self.sealed.is_empty()
    }

    /// The number for the next sealed run.
    pub(super) fn next_sealed(&self) -> u64 {
        self.sealed.keys().next_back().map_or(0, |last| last + 1)
    }

    /// Moves the open run to the frozen ones.
    pub(super) fn freeze(&mut self) {
        if let Some(run) = self.open.take() {
            self.frozen.insert(self.open_number, Arc::new(run));
            self.open_number = RunNumber(self.open_number.0 + 1);
        }
    }
}

/// Streamed rows in memory, in the order of their commits.
#[derive(Debug, Clone)]
pub struct StreamRun {
    /// The rows.
    pub rows: OpenRun,
    /// The newest view version that wrote to it.
    pub view: ViewId,
    /// Earlier view versions that wrote to it.
    pub earlier_views: BTreeSet<ViewId>,
    /// The commit time of its first rows.
    pub first_commit: TimestampUs,
    /// The commit time of its last rows.
    pub last_commit: TimestampUs,
    /// Rows by writer; those without one count as of writer 0, which is never issued.
    pub writers: BTreeMap<WriterId, u64>,
    /// Bytes of its batches as they stand in the log.
    pub bytes: usize,
    /// The Raft index of each batch.
    pub indexes: Vec<u64>,
}

const NO_WRITER: WriterId = WriterId(0);

/// A committed batch of an unsealed run, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct StoredRows {
    #[n(0)]
    pub(super) commit_time: TimestampUs,
    #[n(1)]
    pub(super) write: Write,
}

/// A run that is a segment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedRun {
    /// The segment.
    #[n(0)]
    pub segment: SegmentInfo,
    /// The load that brought it; none for streamed and compacted rows.
    #[n(1)]
    pub load: Option<LoadId>,
}

/// A load that is not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StagedLoad {
    /// The view version of its rows.
    #[n(0)]
    pub view: ViewId,
    /// It commits above this time.
    #[n(1)]
    pub floor: TimestampUs,
    /// Its segments.
    #[n(2)]
    pub segments: Vec<SegmentInfo>,
}

impl StreamRun {
    /// A run with its first rows still to come.
    pub(super) fn new(view: ViewId, first_commit: TimestampUs) -> Self {
        Self {
            rows: OpenRun::new(),
            view,
            earlier_views: BTreeSet::new(),
            first_commit,
            last_commit: first_commit,
            writers: BTreeMap::new(),
            bytes: 0,
            indexes: Vec::new(),
        }
    }

    /// Adds committed rows.
    pub(super) fn append(
        &mut self,
        write: &Write,
        schema: &Arc<ViewSchema>,
        rows: RecordBatch,
        at: Position,
    ) -> Result<()> {
        let count = rows.num_rows() as u64;
        self.rows.append(&rows, schema, at.commit_time, 0)?;
        if write.view != self.view {
            self.earlier_views.insert(self.view.min(write.view));
            self.view = self.view.max(write.view);
        }
        self.last_commit = at.commit_time;
        self.indexes.push(at.index);
        self.bytes += write.rows.len();
        let writer = write.position.map_or(NO_WRITER, |position| position.writer);
        *self.writers.entry(writer).or_default() += count;
        Ok(())
    }

    /// Whether it should be frozen.
    pub(super) fn is_full(&self) -> bool {
        self.rows.rows() >= limits::OPEN_RUN_ROWS || self.bytes >= limits::OPEN_RUN_BYTES
    }
}
