//! What a node is asked and what it answers, as plain data. The verbs are methods of [`Node`](crate::Node).

use std::{fmt, path::PathBuf, sync::Arc};

use arrow::array::RecordBatch;
use lineate_ledger::merkle::TreeHash;
use lineate_state::{LoadId, catalog::Change};
pub use lineate_storage::DiskUsage;
use lineate_types::{Hash, Name, ShardId, TimestampUs, VersionedName};

use crate::{DiskSpace, Error};

/// How a node is opened.
#[derive(Clone)]
pub struct Options {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Shards of the store that is made if there is none; without, there must be one. An existing store keeps its own.
    pub shards: Option<u16>,
    /// Bytes that the cache of online lookups may take. The shards share it evenly; without any, every lookup reads
    /// segments.
    pub cache_bytes: usize,
    /// Bytes that the files of the Raft log may take before it is cut, unless the state itself takes more. Less than
    /// 512 KiB count as that.
    pub log_bytes: u64,
    /// The wall clock.
    pub clock: Arc<dyn lineate_consensus::Clock>,
    /// What is left on the disk.
    pub disk: Arc<dyn DiskSpace>,
}

/// What applying a definition file did, or would do.
#[derive(Debug, Clone)]
pub struct Applied {
    /// One line per definition, in file order.
    pub changes: Vec<Change>,
    /// Whether anything was applied.
    pub applied: bool,
}

/// A file that was handed over completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadInfo {
    /// Names it in later requests.
    pub id: u64,
    /// The BLAKE3 of its bytes.
    pub hash: Hash,
    /// Its bytes.
    pub bytes: u64,
}

/// A bulk load.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// The project; none means the only one.
    pub project: Option<Name>,
    /// The view.
    pub view: VersionedName,
    /// The files, in order.
    pub files: Vec<LoadFile>,
    /// Whether to load files that were loaded before instead of skipping them.
    pub again: bool,
}

/// A file of a bulk load.
#[derive(Debug, Clone)]
pub struct LoadFile {
    /// Its path, as the caller knows it.
    pub path: String,
    /// The upload that holds it.
    pub upload: u64,
}

/// How far long work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: &'static str,
    /// How much is done, in `unit`.
    pub done: u64,
    /// How much there is in all, if it is known.
    pub total: Option<u64>,
    /// `rows`, `bytes`, `segments` or `files`.
    pub unit: &'static str,
}

/// Called now and then during long work; must return soon.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How a bulk load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The load. Where nothing was to be done: of the earlier ones that brought the files, the last.
    pub load: LoadId,
    /// Whether every file had been loaded before and nothing was changed.
    pub already_loaded: bool,
    /// The view version.
    pub view: String,
    /// The commit time of the rows.
    pub commit_time: TimestampUs,
    /// The load's record.
    pub record: Hash,
    /// Rows loaded now, tombstones included.
    pub rows: u64,
    /// Tombstones among them.
    pub tombstones: u64,
    /// Bytes of the segments written.
    pub segment_bytes: u64,
    /// Segments written, one for each shard with rows.
    pub segments: u64,
    /// Each file, in order.
    pub files: Vec<LoadedFile>,
}

/// A file that a load was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedFile {
    /// Its path, as the caller knows it.
    pub path: String,
    /// The BLAKE3 of its bytes.
    pub hash: Hash,
    /// `parquet`, `csv`, `ndjson` or `arrow`.
    pub format: &'static str,
    /// The rows it brought.
    pub rows: u64,
    /// Whether its bytes were there already, by an earlier load or an earlier file of this one.
    pub skipped: bool,
    /// The commit time of its rows.
    pub commit_time: TimestampUs,
    /// The record of the load that brought it.
    pub record: Hash,
}

/// What became of the rows of one shard in a pushed batch: atomic in the shard.
#[derive(Debug)]
pub struct ShardWrite {
    /// The shard.
    pub shard: ShardId,
    /// Rows of the batch in this shard.
    pub rows: u64,
    /// The commit time and whether it was a replay, or why nothing was written.
    pub result: Result<lineate_state::shard::Written, Error>,
}

/// An online lookup.
#[derive(Debug, Clone)]
pub struct LookupRequest {
    /// The project; none means the only one.
    pub project: Option<Name>,
    /// The service.
    pub service: VersionedName,
    /// One row per entity: the columns that the service's keys come from, by name.
    pub entities: RecordBatch,
    /// Another time than now; answered from the whole history.
    pub at: Option<TimestampUs>,
}

/// What became of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The row has a value.
    Present = 0,
    /// The row's value is null.
    Null = 1,
    /// There is no row, or it is a tombstone.
    Absent = 2,
    /// The latest row is older than the time-to-live; the value is null.
    Expired = 3,
}

impl Status {
    /// Every status, by number.
    pub const ALL: [Self; 4] = [Self::Present, Self::Null, Self::Absent, Self::Expired];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Null => "null",
            Self::Absent => "absent",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer of an online lookup.
#[derive(Debug, Clone)]
pub struct LookupReply {
    /// The service version that answered.
    pub service: String,
    /// The answer holds at this time: no row with a commit time at or below it will ever be added.
    pub as_of: TimestampUs,
    /// The features, one column each (`alias__feature`), one row per entity.
    pub features: RecordBatch,
    /// For each column, the status of each row.
    pub statuses: Vec<Vec<Status>>,
    /// Where the columns come from, in the order of their first columns.
    pub views: Vec<ViewAnswer>,
}

/// What the cache of online lookups did since the node was opened, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Keys of views whose sealed rows were found in the cache.
    pub hits: u64,
    /// Keys of views whose sealed rows were not.
    pub misses: u64,
    /// Entries pushed out by others.
    pub evictions: u64,
    /// Entries held.
    pub entries: u64,
    /// Bytes they take, keys and tables included.
    pub bytes: u64,
    /// Bytes they may take.
    pub capacity_bytes: u64,
    /// Sealed runs and segments of bulk loads that are not in the entries of their keys yet.
    pub folding: u64,
}

/// The rows of one view that answered a lookup.
#[derive(Debug, Clone)]
pub struct ViewAnswer {
    /// The first part of its columns' names.
    pub alias: Name,
    /// The view version.
    pub view: String,
    /// The positions of its columns.
    pub columns: Vec<usize>,
    /// For each entity, the event time of its row, also where it is expired; none where it is absent.
    pub event_times: Vec<Option<TimestampUs>>,
}

/// A model to register.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The project; none means the only one.
    pub project: Option<Name>,
    /// The name; a new version is made.
    pub name: Name,
    /// The training sets it was trained on.
    pub datasets: Vec<VersionedName>,
    /// An upload that holds the model's file.
    pub artifact: Option<u64>,
    /// The revision of the code.
    pub code: Option<String>,
    /// Parameters.
    pub parameters: Vec<(String, String)>,
    /// Metrics, as decimal text.
    pub metrics: Vec<(String, String)>,
}

/// A name that got a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The project.
    pub project: Name,
    /// The name.
    pub name: Name,
    /// The version.
    pub version: u32,
    /// Its record.
    pub record: Hash,
}

/// What a check of the whole store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreCheck {
    /// Ledger entries whose record and place were checked.
    pub entries: u64,
    /// The RFC 9162 root over them.
    pub root: TreeHash,
    /// Blobs whose bytes were hashed again.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sealed texts that were opened again.
    pub texts: u64,
    /// Sealed texts that records commit to and that were erased, or never kept here.
    pub texts_gone: u64,
    /// What is wrong, one line each; empty if all is well.
    pub faults: Vec<String>,
}

/// The state of a node, for people and monitoring.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// The store's identity.
    pub store: String,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Shards.
    pub shards: u16,
    /// Each group.
    pub groups: Vec<lineate_consensus::GroupStatus>,
    /// Rows in open and frozen runs.
    pub open_rows: u64,
    /// Rows in segments.
    pub sealed_rows: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Bytes on the disk; none where the operating system refuses to say.
    pub disk: Option<DiskUsage>,
}
