//! Every bound of the system, in one place. A bound that is reached is reported, never worked around.

/// Buckets of the entity-key space. Fixed for ever: it is part of the data format.
pub const BUCKETS: u16 = 1024;
/// Shards of a store that names no number.
pub const DEFAULT_SHARDS: u16 = 16;

/// Bytes of a name.
pub const NAME_BYTES: usize = 63;
/// Join keys of one entity.
pub const KEY_COLUMNS: usize = 16;
/// Bytes of one encoded entity key.
pub const KEY_BYTES: usize = 4 * 1024;
/// Features of one view.
pub const FEATURES_PER_VIEW: usize = 4_096;
/// Features of one service.
pub const FEATURES_PER_SERVICE: usize = 16_384;
/// Nesting of one data type.
pub const TYPE_DEPTH: usize = 16;
/// Elements of a vector type.
pub const VECTOR_LENGTH: u32 = 65_536;
/// Bytes of one definition file.
pub const DEFINITION_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one row, keys and times included.
pub const ROW_BYTES: usize = 1024 * 1024;
/// Bytes of one column of one batch while foreign data is converted, unpacked from dictionaries and the like.
pub const INTAKE_COLUMN_BYTES: usize = 512 * 1024 * 1024;
/// Rows of one batch read from a foreign file.
pub const INTAKE_BATCH_ROWS: usize = 16_384;
/// Bytes of one batch read from a foreign file, decoded, aimed at.
pub const INTAKE_BATCH_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one message of a foreign Arrow IPC file.
pub const INTAKE_MESSAGE_BYTES: usize = 1024 * 1024 * 1024;
/// Bytes of one line or record of a foreign text file: a row whose text is longer than its values.
pub const INTAKE_LINE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of text after which a batch read from a text file ends.
pub const INTAKE_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// Nesting of a foreign Arrow type.
pub const INTAKE_TYPE_DEPTH: usize = 32;
/// Rows of one pushed batch.
pub const BATCH_ROWS: usize = 65_536;
/// Bytes of one command in the Raft log.
pub const COMMAND_BYTES: usize = 8 * 1024 * 1024;
/// Commands proposed and not yet applied, per group.
pub const PROPOSALS_IN_FLIGHT: usize = 1_024;
/// Bytes of commands proposed and not yet applied, per group.
pub const PROPOSAL_BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// Reads and closes asked for and not yet answered, per group.
pub const READS_IN_FLIGHT: usize = 16_384;
/// Entries of one Raft message between peers.
pub const PEER_MESSAGE_ENTRIES: usize = 131_072;
/// Bytes of one Raft message between peers.
pub const PEER_MESSAGE_BYTES: usize = 2 * LOG_ENTRY_BYTES;
/// Bytes of frames of other peers a node queues before it drops them.
pub const PEER_FRAME_BYTES_QUEUED: usize = 256 * 1024 * 1024;

/// Bytes of one entry of the Raft log: a command with its envelope, with room to spare.
pub const LOG_ENTRY_BYTES: usize = 2 * COMMAND_BYTES;
/// Bytes of one append to the Raft log, all groups together.
pub const LOG_BATCH_BYTES: usize = 256 * 1024 * 1024;
/// Bytes that the files of the Raft log may take before it is cut, unless a node is opened with another bound.
pub const LOG_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of a checkpoint that are read from, or put into, the ordered key-value store at once.
pub const CHECKPOINT_PIECE_BYTES: usize = 256 * 1024;
/// Bytes of changes that wait to be written to a checkpoint, above which applying waits.
pub const CHECKPOINT_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one key of the ordered key-value store.
pub const KV_KEY_BYTES: usize = 6 * 1024;
/// Bytes of one value of the ordered key-value store.
pub const KV_VALUE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the name of one tree of the ordered key-value store.
pub const KV_TREE_BYTES: usize = 255;

/// Rows of an open run after which it is sealed.
pub const OPEN_RUN_ROWS: usize = 262_144;
/// Bytes of an open run after which it is sealed.
pub const OPEN_RUN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of memory that all open runs of a node take, with those that wait to be sealed, after which the largest are
/// sealed.
pub const OPEN_RUNS_BYTES: usize = 512 * 1024 * 1024;
/// Bytes of rows sorted in memory at once, per shard of a bulk load; more become several segments.
pub const SORT_BYTES: usize = 512 * 1024 * 1024;
/// Threads that sort and write the segments of one bulk load.
pub const LOAD_THREADS: usize = 4;
/// Rows of one payload page of a segment: small, so that a point lookup decodes little.
pub const SEGMENT_PAGE_ROWS: usize = 2_048;
/// Rows of one row group of a segment.
pub const SEGMENT_ROW_GROUP_ROWS: usize = 131_072;
/// Bytes of one row group of a segment, for wide rows.
pub const SEGMENT_ROW_GROUP_BYTES: usize = 128 * 1024 * 1024;
/// Rows of a spine that are joined at once, and so held in memory with their features; of long rows, fewer.
pub const TRAINING_WINDOW_ROWS: usize = 1_048_576;
/// Bytes of the rows of a training set that are joined at once, spine and features.
pub const TRAINING_WINDOW_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of the rows of a training set that are put together, hashed and written at once, or one row alone.
pub const TRAINING_BATCH_BYTES: usize = 32 * 1024 * 1024;
/// Threads that join one training set, beside those that hash and write it.
pub const TRAINING_THREADS: usize = 4;
/// Bytes of the keys and times of runs that one training set keeps from window to window and from view to view.
pub const TRAINING_KEY_BYTES: usize = 256 * 1024 * 1024;
/// Runs that one training set keeps open for that.
pub const TRAINING_RUNS: usize = 1_024;
/// Segments of one view in one shard above which they are compacted, and segments of one compaction.
pub const SEGMENTS_BEFORE_COMPACTION: usize = 8;
/// Rows of one compaction. A segment of more than half of them is compacted no more. Times and ordinals of all
/// rows are in memory meanwhile: 32 bytes of each.
pub const COMPACTION_ROWS: u64 = 16_777_216;
/// Bytes of the key indexes of one compaction. All distinct keys are in memory meanwhile, and an index is larger than
/// its keys, which a run numbers in 32 bits.
pub const COMPACTION_KEY_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of the segments of one compaction: the output takes about as many beside them.
pub const COMPACTION_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Entities of one online lookup.
pub const LOOKUP_ENTITIES: usize = 10_000;
/// Bytes of sealed rows kept in memory for online lookups, unless a node is opened with another bound.
pub const CACHE_BYTES: usize = 256 * 1024 * 1024;
/// Rows of one key kept in memory for online lookups: the present one, and the next to come.
pub const CACHED_ROWS_PER_KEY: usize = 16;
/// Sealed runs of one history in one shard that wait to be folded into the cache; with more, it starts over.
pub const SETTLING_RUNS: usize = 4;
/// Segments of bulk loads of one history in one shard that wait to be read into the cache; older ones are left to
/// lookups.
pub const WARMING_SEGMENTS: usize = 16;
/// Services whose plans are kept.
pub const CACHED_PLANS: usize = 1_024;
/// Lookups that read segments at once; others wait.
pub const LOOKUP_LOADS: usize = 16;
/// Keys read from segments, or folded into the cache, at once.
pub const LOAD_KEYS: usize = 1_024;
/// Sequence numbers a writer's window remembers, per shard and epoch.
pub const WRITER_WINDOW: u64 = 1_024;
/// Sequence numbers that the windows of all writers remember together, per shard; of more, the writer whose newest was
/// committed longest ago forgets all of its own.
pub const WRITER_WINDOWS: usize = 65_536;
/// Writers that may write; of more, the one opened longest ago gives way.
pub const WRITERS: usize = 65_536;

/// Bytes of one upload chunk.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes of one gRPC message, either way.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Nodes one trace returns before it hands out a cursor.
pub const TRACE_NODES: usize = 10_000;

/// Bytes of one ledger record: it must fit a command of the meta group.
pub const RECORD_BYTES: usize = 6 * 1024 * 1024;
/// Inputs one ledger record may name.
pub const RECORD_EDGES: usize = 65_536;
/// Loads and seals that a training set names one by one; more are named in collections of as many.
pub const COLLECTION_MEMBERS: usize = 4_096;
/// Bytes of a short text in a ledger record: the name of a column, parameter or metric, or a metric's value.
pub const RECORD_LABEL_BYTES: usize = 1_024;
/// Bytes of one sealed text: an owner, a path, a parameter.
pub const SEALED_TEXT_BYTES: usize = 256 * 1024;
/// Bytes of one sealed text as it is stored, with salt and framing.
pub const SEALED_BYTES: usize = SEALED_TEXT_BYTES + 1024;
/// Bytes of one file of sealed texts: what an erasure writes anew.
pub const SEALED_FILE_BYTES: usize = 8 * 1024 * 1024;
/// Edges one trace returns before it hands out a cursor.
pub const TRACE_EDGES: usize = 100_000;
/// Ids that the answer to an ambiguous one names.
pub const AMBIGUOUS_IDS: usize = 8;
/// Records that say more of a node, moves of aliases, and named nodes that showing it gives at most, each.
pub const SHOWN_RECORDS: usize = 1_000;
/// Bytes of related records, and of texts, that showing a node gives at most, each.
pub const SHOWN_BYTES: usize = 1024 * 1024;
/// Levels of a trace that are drawn as a tree; deeper ones are counted.
pub const TRACE_TREE_DEPTH: usize = 64;
/// Nodes a comparison of two ancestries visits before it is refused.
pub const DIFF_NODES: usize = 1_000_000;

/// Uploads that wait to be used.
pub const UPLOADS: usize = 1_024;
/// Files of one bulk load.
pub const LOAD_FILES: usize = 4_096;
/// Segments kept open, where the process may have as many files open ([`open_segments`]).
pub const OPEN_SEGMENTS: usize = 4_096;
/// Segments kept open, however few files the process may have open.
pub const OPEN_SEGMENTS_MIN: usize = 16;
/// File descriptors for all that is neither a connection nor an open segment: logs, uploads, files being written, and
/// segments that are read and were not kept.
pub const RESERVED_DESCRIPTORS: u64 = 256;

/// Connections of one server.
pub const CONNECTIONS: usize = 4_096;
/// Requests under way on one HTTP/2 connection.
pub const STREAMS_PER_CONNECTION: u32 = 128;
/// Bytes of the headers of one request.
pub const HEADER_BYTES: u32 = 32 * 1024;
/// Requests of one server that may be on their way to the head of an answer.
pub const REQUESTS_UNDER_WAY: usize = 2_048;
/// Answers of one server that may be on their way, streams included.
pub const ANSWERS_UNDER_WAY: usize = 8_192;
/// Loads, joins and verifications that run at once; more are refused.
pub const HEAVY_REQUESTS: usize = 8;
/// Parts of training sets that are read at once; each holds a thread.
pub const DATASET_STREAMS: usize = 64;
/// How long an upload waits to be used, in microseconds.
pub const UPLOAD_US: i64 = 3_600_000_000;
/// Runs of one shard that wait to be sealed; writes to the shard are refused beyond.
pub const FROZEN_RUNS: usize = 8;
/// Bytes of the disk that no new data may take: what was taken is finished with them.
pub const RESERVED_DISK_BYTES: u64 = 32 * 1024 * 1024;

/// File descriptors of one open segment: its rows and its key index.
const DESCRIPTORS_PER_SEGMENT: u64 = 2;

/// Connections of one server whose process may have so many file descriptors: a quarter of them at most.
pub const fn connections(descriptors: u64) -> usize {
    at_most(descriptors / 4, CONNECTIONS as u64) as usize
}

/// Segments kept open by a process that may have so many file descriptors: what connections and
/// [`RESERVED_DESCRIPTORS`], which take a quarter each at most, leave.
pub const fn open_segments(descriptors: u64) -> usize {
    let reserved = at_most(descriptors / 4, RESERVED_DESCRIPTORS);
    let left = (descriptors - connections(descriptors) as u64 - reserved) / DESCRIPTORS_PER_SEGMENT;
    let most = at_most(left, OPEN_SEGMENTS as u64) as usize;
    if most < OPEN_SEGMENTS_MIN { OPEN_SEGMENTS_MIN } else { most }
}

const fn at_most(number: u64, most: u64) -> u64 {
    if number < most { number } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_open_segments_leave_descriptors_for_the_rest() {
        for (descriptors, expected) in [
            (0, (0, OPEN_SEGMENTS_MIN)),
            (256, (64, 64)),
            (1_024, (256, 256)),
            (4_096, (1_024, 1_408)),
            (20_000, (CONNECTIONS, OPEN_SEGMENTS)),
            (u64::MAX, (CONNECTIONS, OPEN_SEGMENTS)),
        ] {
            assert_eq!((connections(descriptors), open_segments(descriptors)), expected, "{descriptors}");
        }
    }
}
