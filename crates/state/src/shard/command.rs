//! What can be asked of a shard group, and what it answers (`docs/formats/command.md`).

use lineate_segment::segment::SegmentInfo;
use lineate_types::{Hash, Hasher, HistoryId, TimestampUs, ViewDefinition, ViewId, WriterId, WriterPosition};
use minicbor::{Decode, Encode, bytes::ByteVec};

use crate::{LoadId, Refusal, RunNumber};

/// A command with who caused it. The log never holds a name: it could not be erased from it (ADR 0011).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ShardRequest {
    /// Who caused it: the commitment to the principal's name.
    #[n(0)]
    pub agent: Hash,
    /// What to do.
    #[n(1)]
    pub command: ShardCommand,
}

/// A change of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ShardCommand {
    /// Makes a view version known to the shard. The same again changes nothing.
    #[n(0)]
    Define(#[n(0)] ViewDefinition),
    /// Appends rows to the open run of the view's history.
    #[n(1)]
    Write(#[n(0)] Write),
    /// Freezes the open run of a history, if it has rows, so that it can be sealed.
    #[n(2)]
    Freeze(#[n(0)] HistoryId),
    /// Replaces a frozen run by the segment written from it.
    #[n(3)]
    Seal(#[n(0)] Seal),
    /// Adds segments of a bulk load, invisible until the load is resolved.
    #[n(4)]
    Stage(#[n(0)] Stage),
    /// Ends a staged load as the meta group decided.
    #[n(5)]
    Resolve(#[n(0)] Resolve),
    /// Replaces segments by one with the same rows.
    #[n(6)]
    Compact(#[n(0)] Compact),
    /// Forgets that a sealed run was still to be recorded in the ledger.
    #[n(7)]
    Recorded(#[n(0)] RunKey),
    /// Ends the epochs of a writer below one. The same again, and one of an earlier epoch, changes nothing.
    #[n(8)]
    Fence(#[n(0)] Fence),
}

/// Rows of one view version, all of this shard.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Write {
    /// The view version.
    #[n(0)]
    pub view: ViewId,
    /// The place in what an idempotent writer sends.
    #[n(1)]
    pub position: Option<WriterPosition>,
    /// Canonical rows as an Arrow IPC stream.
    #[n(2)]
    pub rows: ByteVec,
    /// When the meta group opened the writer in the position's epoch; writers give way in this order.
    #[n(3)]
    pub opened: Option<TimestampUs>,
}

impl Write {
    /// The hash of what it adds to a history. Rows of two views may be equal byte for byte; the same rows under
    /// another version of a view are the same.
    pub(super) fn payload(&self, history: HistoryId) -> Hash {
        let mut hasher = Hasher::new();
        hasher.update(&history.0.to_be_bytes()).update(&self.rows);
        Hash::finish(&hasher)
    }
}

/// The epoch that a writer is in from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Fence {
    /// The writer.
    #[n(0)]
    pub writer: WriterId,
    /// The epoch; lower ones are over.
    #[n(1)]
    pub epoch: u32,
    /// When the meta group opened the writer in this epoch.
    #[n(2)]
    pub opened: TimestampUs,
}

/// Names one run of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct RunKey {
    /// The history.
    #[n(0)]
    pub history: HistoryId,
    /// The run.
    #[n(1)]
    pub run: RunNumber,
}

/// A frozen run became a segment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seal {
    /// The frozen run.
    #[n(0)]
    pub run: RunKey,
    /// The segment that holds its rows.
    #[n(1)]
    pub segment: SegmentInfo,
}

/// Segments of a bulk load.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stage {
    /// The load.
    #[n(0)]
    pub load: LoadId,
    /// The view version its rows have.
    #[n(1)]
    pub view: ViewId,
    /// The segments, durable on this node.
    #[n(2)]
    pub segments: Vec<SegmentInfo>,
}

/// The end of a staged load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Resolve {
    /// The load.
    #[n(0)]
    pub load: LoadId,
    /// The commit time of its rows; none if it was aborted.
    #[n(1)]
    pub commit_time: Option<TimestampUs>,
}

/// Segments became one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Compact {
    /// The history.
    #[n(0)]
    pub history: HistoryId,
    /// The manifest's numbers of the segments replaced, all of them still in it. Numbers are never used again.
    #[n(1)]
    pub inputs: Vec<u64>,
    /// The segment that holds their rows, commit times in a column.
    #[n(2)]
    pub output: SegmentInfo,
}

/// What a shard answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ShardReply {
    /// Done, or nothing was to be done.
    #[n(0)]
    Done,
    /// The rows are committed.
    #[n(1)]
    Written(#[n(0)] Written),
    /// The load is staged; it must commit above this time.
    #[n(2)]
    Staged {
        /// The commit time of the stage itself.
        #[n(0)]
        floor: TimestampUs,
    },
    /// Nothing was changed.
    #[n(3)]
    Refused(#[n(0)] Refusal),
    /// The view version must be defined here first.
    #[n(4)]
    UnknownView,
}

/// Rows that are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Written {
    /// Their commit time.
    #[n(0)]
    pub commit_time: TimestampUs,
    /// How many.
    #[n(1)]
    pub rows: u64,
    /// Whether they had been committed before, by the same writer position.
    #[n(2)]
    pub replayed: bool,
}

/// A sealed run still to be recorded in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealNote {
    /// The run.
    #[n(0)]
    pub run: RunKey,
    /// The newest view version that wrote to it.
    #[n(1)]
    pub view: ViewId,
    /// The commit time of its first rows.
    #[n(2)]
    pub first_commit: TimestampUs,
    /// The commit time of its last rows.
    #[n(3)]
    pub last_commit: TimestampUs,
    /// Rows of each writer, by writer; rows without a writer are not counted here.
    #[n(4)]
    pub writers: Vec<(WriterId, u64)>,
    /// The segment.
    #[n(5)]
    pub segment: SegmentInfo,
    /// Earlier view versions that wrote to it, ascending.
    #[cbor(n(6), default)]
    pub earlier_views: Vec<ViewId>,
}
