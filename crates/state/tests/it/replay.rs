//! Machines are functions of their commands: the same commands give the same state, replies and stored bytes,
//! and what is stored restores to the same machine.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use lineate_segment::{
    intake::encode_ipc,
    schema::ViewSchema,
    segment::{SegmentCommit, SegmentInfo, TimeRange},
};
use lineate_state::{
    Position, RunNumber, codec,
    shard::{Compact, RunKey, Seal, ShardCommand, ShardMachine, ShardReply, ShardRequest, Write, Written},
};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{
    Bucket, DataType, Feature, Hash, HistoryId, KeyColumn, KeyType, TimestampUs, ViewDefinition, ViewId,
    WriterId, WriterPosition,
};

const TREE: &str = "shard";

fn name(text: &str) -> lineate_types::Name {
    text.parse().expect("a name")
}

fn view() -> ViewDefinition {
    ViewDefinition {
        id: ViewId(1),
        history: HistoryId(1),
        project: name("p"),
        name: name("v"),
        version: 1,
        entity: name("e"),
        keys: vec![KeyColumn { name: name("id"), key_type: KeyType::String }],
        event_time: name("at"),
        created_time: None,
        ttl: None,
        naive_times_are_utc: false,
        features: vec![Feature { name: name("x"), data_type: DataType::Int64 }],
    }
}

fn rows(values: &[(&str, i64, i64)]) -> Vec<u8> {
    let schema = ViewSchema::of(&view());
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(values.iter().map(|(id, _, _)| id)));
    let times =
        TimestampMicrosecondArray::from_iter_values(values.iter().map(|(_, at, _)| *at)).with_timezone("UTC");
    let xs: ArrayRef = Arc::new(Int64Array::from_iter_values(values.iter().map(|(_, _, x)| *x)));
    let deleted: ArrayRef = Arc::new(BooleanArray::from(vec![false; values.len()]));
    let batch = RecordBatch::try_new(schema.arrow().clone(), vec![ids, Arc::new(times), xs, deleted]);
    encode_ipc(&batch.expect("canonical")).expect("encodes").to_vec()
}

/// A machine beside the store it writes to.
struct Host {
    machine: ShardMachine,
    kv: MemKv,
    index: u64,
}

impl Host {
    fn new() -> Self {
        Self { machine: ShardMachine::default(), kv: MemKv::new(), index: 0 }
    }

    fn apply(&mut self, command: ShardCommand) -> ShardReply {
        self.index += 1;
        let at = Position { index: self.index, commit_time: TimestampUs(self.index as i64 * 10) };
        let request = ShardRequest { agent: Hash::of(b"p"), command };
        let mut batch = KvBatch::new();
        let reply = self.machine.apply(at, &codec::encode(&request), &mut batch).expect("no damage");
        self.kv.apply(TREE, batch).expect("stores");
        reply
    }

    fn write(&mut self, sequence: Option<u64>, rows: Vec<u8>) -> ShardReply {
        let position = sequence.map(|sequence| WriterPosition { writer: WriterId(7), epoch: 1, sequence });
        self.apply(ShardCommand::Write(Write {
            view: ViewId(1),
            position,
            rows: rows.into(),
            opened: position.map(|_| TimestampUs(1)),
        }))
    }

    fn stored(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            pairs.push((key.to_vec(), value.to_vec()));
            Ok(())
        };
        self.kv.scan(TREE, b"", &mut visit).expect("scans");
        pairs
    }
}

fn written(commit_time: i64, rows: u64, replayed: bool) -> ShardReply {
    ShardReply::Written(Written { commit_time: TimestampUs(commit_time), rows, replayed })
}

#[test]
fn what_is_refused_leaves_no_run_and_no_history() {
    let mut host = Host::new();
    host.apply(ShardCommand::Define(view()));
    let too_long = "x".repeat(70_000);
    let run = RunKey { history: HistoryId(1), run: RunNumber(0) };
    let segment = SegmentInfo {
        segment: Hash::of(b"segment"),
        segment_bytes: 1,
        key_index: Hash::of(b"keys"),
        key_index_bytes: 1,
        logical: Hash::of(b"rows"),
        history: HistoryId(1),
        rows: 1,
        keys: 1,
        tombstones: 0,
        first_bucket: Bucket(0),
        last_bucket: Bucket(0),
        event_times: TimeRange { min: TimestampUs(1), max: TimestampUs(1) },
        created_times: None,
        commit: SegmentCommit::Pending,
    };
    let compact = Compact { history: HistoryId(1), inputs: vec![0], output: segment.clone() };
    let refused = [
        host.write(None, rows(&[(&too_long, 1, 1)])),
        host.apply(ShardCommand::Seal(Seal { run, segment })),
        host.apply(ShardCommand::Compact(compact)),
    ];
    assert!(refused.iter().all(|reply| matches!(reply, ShardReply::Refused(_))), "{refused:?}");
    assert_eq!(host.machine.histories().count(), 0);
    assert_eq!(host.write(None, rows(&[("a", 1, 1)])), written(50, 1, false));
    let first_commit = |machine: &ShardMachine| {
        let history = machine.history(HistoryId(1)).expect("has rows");
        history.open.as_ref().map(|run| run.first_commit)
    };
    let restored = ShardMachine::restore(&host.kv, TREE).expect("restores");
    assert_eq!(first_commit(&host.machine), Some(TimestampUs(50)));
    assert_eq!(first_commit(&restored), Some(TimestampUs(50)), "as after a restart");
}

#[test]
fn the_same_commands_store_the_same_bytes_and_restore() {
    let run = || {
        let mut host = Host::new();
        assert_eq!(host.write(None, rows(&[("a", 1, 1)])), ShardReply::UnknownView);
        assert_eq!(host.apply(ShardCommand::Define(view())), ShardReply::Done);
        assert_eq!(host.write(Some(1), rows(&[("a", 1, 1), ("b", 2, 2)])), written(30, 2, false));
        assert_eq!(host.apply(ShardCommand::Freeze(HistoryId(1))), ShardReply::Done);
        assert_eq!(host.write(Some(2), rows(&[("a", 3, 3)])), written(50, 1, false));
        host
    };
    let (first, second) = (run(), run());
    assert_eq!(first.stored(), second.stored());

    let mut restored = Host { machine: ShardMachine::restore(&first.kv, TREE).expect("restores"), ..first };
    let history = restored.machine.history(HistoryId(1)).expect("rows");
    assert_eq!(history.open.as_ref().map(|run| run.rows.rows()), Some(1));
    assert_eq!(history.frozen.values().map(|run| run.rows.rows()).collect::<Vec<_>>(), [2]);
    // What a writer sent before the restart is still answered as it was then.
    assert_eq!(restored.write(Some(1), rows(&[("a", 1, 1), ("b", 2, 2)])), written(30, 2, true));
    assert!(matches!(restored.write(Some(2), rows(&[("z", 1, 1)])), ShardReply::Refused(_)));
    assert_eq!(restored.machine.newest_sequence(WriterId(7), 1), 2);
}

#[test]
fn rows_that_do_not_fit_the_view_are_refused_and_change_nothing() {
    let mut host = Host::new();
    host.apply(ShardCommand::Define(view()));
    let before = host.stored();
    for damaged in [vec![], vec![0; 64], rows(&[("a", 1, 1)])[..40].to_vec()] {
        assert!(matches!(host.write(None, damaged), ShardReply::Refused(_)));
    }
    assert_eq!(host.stored(), before);
    assert!(host.machine.history(HistoryId(1)).is_none_or(|history| history.is_empty()));
}

#[test]
fn a_command_of_a_newer_release_stops_the_replica() {
    let mut machine = ShardMachine::default();
    let at = Position { index: 1, commit_time: TimestampUs(1) };
    let request = ShardRequest {
        agent: Hash::of(b"p"),
        command: ShardCommand::Recorded(RunKey { history: HistoryId(1), run: Default::default() }),
    };
    let mut bytes = codec::encode(&request);
    assert!(machine.apply(at, &bytes, &mut KvBatch::new()).is_ok());
    bytes[0] = codec::FORMAT_VERSION + 1;
    let error = machine.apply(at, &bytes, &mut KvBatch::new()).expect_err("unknown version").to_string();
    assert!(error.contains("newer release"), "{error}");
}
