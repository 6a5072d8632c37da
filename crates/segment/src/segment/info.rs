//! What a manifest says of a segment.

use lineate_types::{Bucket, Hash, HistoryId, TimestampUs};
use minicbor::{Decode, Encode};

/// A segment, described well enough to decide whether to open it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SegmentInfo {
    /// The Parquet file: the BLAKE3 of its bytes.
    #[n(0)]
    pub segment: Hash,
    /// The size of the Parquet file.
    #[n(1)]
    pub segment_bytes: u64,
    /// The key index: the BLAKE3 of its bytes.
    #[n(2)]
    pub key_index: Hash,
    /// The size of the key index.
    #[n(3)]
    pub key_index_bytes: u64,
    /// The logical hash of the rows: the same however they are encoded.
    #[n(4)]
    pub logical: Hash,
    /// The history the rows belong to.
    #[n(5)]
    pub history: HistoryId,
    /// How many rows there are, at least one.
    #[n(6)]
    pub rows: u64,
    /// How many distinct keys there are.
    #[n(7)]
    pub keys: u64,
    /// How many rows are tombstones.
    #[n(8)]
    pub tombstones: u64,
    /// The least bucket.
    #[n(9)]
    pub first_bucket: Bucket,
    /// The greatest bucket.
    #[n(10)]
    pub last_bucket: Bucket,
    /// The event times.
    #[n(11)]
    pub event_times: TimeRange,
    /// The created times that are not null; none if all are.
    #[n(12)]
    pub created_times: Option<TimeRange>,
    /// The commit times.
    #[n(13)]
    pub commit: SegmentCommit,
}

/// The least and the greatest of some times, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TimeRange {
    /// The least.
    #[n(0)]
    pub min: TimestampUs,
    /// The greatest.
    #[n(1)]
    pub max: TimestampUs,
}

/// Where the commit times of a segment's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum SegmentCommit {
    /// Nowhere yet: a bulk load that is not committed. Such a segment cannot be opened.
    #[n(0)]
    Pending,
    /// Here: every row of a bulk load has this one.
    #[n(1)]
    At(#[n(0)] TimestampUs),
    /// In a column of the file.
    #[n(2)]
    Column(#[n(0)] TimeRange),
}

impl SegmentInfo {
    /// This segment of a bulk load once it is committed. A segment whose commit times are a column stays as it
    /// is.
    #[must_use]
    pub fn committed_at(self, commit_time: TimestampUs) -> Self {
        match self.commit {
            SegmentCommit::Column(_) => self,
            SegmentCommit::Pending | SegmentCommit::At(_) => {
                Self { commit: SegmentCommit::At(commit_time), ..self }
            }
        }
    }

    /// The least and the greatest commit time; none before the commit.
    pub fn commit_times(&self) -> Option<TimeRange> {
        match self.commit {
            SegmentCommit::Pending => None,
            SegmentCommit::At(time) => Some(TimeRange { min: time, max: time }),
            SegmentCommit::Column(range) => Some(range),
        }
    }
}

impl TimeRange {
    /// The range that also holds `time`.
    #[must_use]
    pub fn with(range: Option<Self>, time: TimestampUs) -> Self {
        match range {
            None => Self { min: time, max: time },
            Some(Self { min, max }) => Self { min: min.min(time), max: max.max(time) },
        }
    }
}
