//! Records of rows coming in: files, bulk loads, sealed runs of streamed rows.

use std::collections::{BTreeMap, BTreeSet};

use lineate_types::{Hash, Name, ShardId, TimestampUs, WriterId};
use minicbor::{Decode, Encode};

use crate::{Sealed, canonical::words};

/// The format of a loaded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Format {
    Parquet,
    Csv,
    Ndjson,
    Arrow,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Parquet, Self::Csv, Self::Ndjson, Self::Arrow];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Arrow => "arrow",
        }
    }
}

words!(Format, "file format");

/// A file that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Source {
    /// The project it was loaded into.
    #[n(0)]
    pub project: Name,
    /// The plain BLAKE3 of the file, as `b3sum` prints it.
    #[n(1)]
    pub physical_hash: Hash,
    /// Its length.
    #[n(2)]
    pub bytes: u64,
    /// Its rows.
    #[n(3)]
    pub rows: u64,
    /// Its format, told by its content.
    #[n(4)]
    pub format: Format,
    /// The path it was given by.
    #[n(5)]
    pub path: Sealed,
}

/// A segment that a load wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct LoadSegment {
    /// The shard that holds it.
    #[n(0)]
    pub shard: ShardId,
    /// The plain BLAKE3 of the segment file.
    #[n(1)]
    pub physical_hash: Hash,
    /// Its rows.
    #[n(2)]
    pub rows: u64,
}

/// One atomic bulk load of files into a view.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Load {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The record of the view version.
    #[n(1)]
    pub view: Hash,
    /// The records of the files, in the order they were given: the order of their rows.
    #[n(2)]
    pub sources: Vec<Hash>,
    /// The load's number, unique in the store.
    #[n(3)]
    pub load_id: u64,
    /// The rows loaded, tombstones included.
    #[n(4)]
    pub rows: u64,
    /// How many of them are tombstones.
    #[n(5)]
    pub tombstones: u64,
    /// The logical hash of the rows.
    #[n(6)]
    pub logical_hash: Hash,
    /// The segments written, by shard.
    #[n(7)]
    pub segments: BTreeSet<LoadSegment>,
    /// The commit time of all rows.
    #[n(8)]
    pub commit_time: TimestampUs,
    /// Who loaded them.
    #[n(9)]
    pub principal: Sealed,
}

/// Streamed rows of a view in one shard, sealed as a segment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Seal {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The record of the newest view version that rows came in under.
    #[n(1)]
    pub view: Hash,
    /// The shard.
    #[n(2)]
    pub shard: ShardId,
    /// The least commit time of its rows.
    #[n(3)]
    pub first_commit: TimestampUs,
    /// The greatest commit time of its rows.
    #[n(4)]
    pub last_commit: TimestampUs,
    /// The rows, tombstones included.
    #[n(5)]
    pub rows: u64,
    /// The rows of each writer, which add up to `rows`.
    #[n(6)]
    pub writers: BTreeMap<WriterId, u64>,
    /// The logical hash of the rows.
    #[n(7)]
    pub logical_hash: Hash,
    /// The plain BLAKE3 of the segment file as sealed, before any compaction.
    #[n(8)]
    pub physical_hash: Hash,
    /// The records of the earlier versions of the view that rows came in under; none, never an empty set, where all
    /// came in under `view`.
    #[n(9)]
    pub earlier_views: Option<BTreeSet<Hash>>,
}
