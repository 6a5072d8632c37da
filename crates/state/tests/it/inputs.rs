//! What the record of a training set names, however long the streams behind it are.

use std::collections::BTreeSet;

use lineate_ledger::{
    Record,
    graph::{At, Trace},
};
use lineate_segment::segment::{SegmentCommit, SegmentInfo, TimeRange};
use lineate_state::{
    Position, RunNumber,
    catalog::authored::Definitions,
    codec,
    meta::{
        ColumnDraft, CreateDataset, Define, MetaCommand, MetaMachine, MetaReply, MetaRequest, SpineDraft,
    },
    shard::{RunKey, SealNote},
};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{Bucket, Hash, HistoryId, NodeRef, ShardId, TimestampUs, ViewId, WriterId, limits};

const TREE: &str = "meta";
const GROUP: u64 = limits::COLLECTION_MEMBERS as u64;

struct Host {
    machine: MetaMachine,
    kv: MemKv,
    now: i64,
}

impl Host {
    fn new() -> Self {
        let mut host = Self { machine: MetaMachine::default(), kv: MemKv::new(), now: 0 };
        let file: Definitions = serde_json::from_value(serde_json::json!({
            "project": "p",
            "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
            "views": [
                {"name": "long", "entity": "thing", "event_time": "t", "features": [{"name": "x", "type": "int64"}]},
                {"name": "short", "entity": "thing", "event_time": "t", "features": [{"name": "x", "type": "int64"}]}
            ],
            "services": [{"name": "both", "features": ["long.x", "short.x"]}]
        }))
        .expect("definitions");
        let plan = host.machine.catalog().plan(&file).expect("plans");
        let (catalog_version, resolved) = (plan.catalog_version, plan.resolved);
        let reply = host.apply(MetaCommand::Define(Define { catalog_version, resolved, assertions: vec![] }));
        assert_eq!(reply, MetaReply::Done);
        host
    }

    fn apply(&mut self, command: MetaCommand) -> MetaReply {
        self.now += 1;
        let at = Position { index: self.now as u64, commit_time: TimestampUs(self.now) };
        let request = MetaRequest { agent: Hash::of(b"p"), command };
        let mut batch = KvBatch::new();
        let reply = self.machine.apply(at, &codec::encode(&request), &mut batch).expect("no damage");
        self.kv.apply(TREE, batch).expect("stores");
        reply
    }

    /// Records sealed runs of a history, each committed just before it is recorded.
    fn seal(&mut self, history: u32, runs: std::ops::Range<u64>) {
        for number in runs {
            let committed = TimestampUs(self.now);
            let bytes = Hash::of(&[history.to_le_bytes().as_slice(), &number.to_le_bytes()].concat());
            let times = TimeRange { min: committed, max: committed };
            let segment = SegmentInfo {
                segment: bytes,
                segment_bytes: 1,
                key_index: bytes,
                key_index_bytes: 1,
                logical: bytes,
                history: HistoryId(history),
                rows: 1,
                keys: 1,
                tombstones: 0,
                first_bucket: Bucket(0),
                last_bucket: Bucket(0),
                event_times: times,
                created_times: None,
                commit: SegmentCommit::Column(times),
            };
            let note = SealNote {
                run: RunKey { history: HistoryId(history), run: RunNumber(number) },
                view: ViewId(history),
                first_commit: committed,
                last_commit: committed,
                writers: vec![(WriterId(0), 1)],
                segment,
                earlier_views: vec![],
            };
            assert_eq!(self.apply(MetaCommand::RecordSeal { shard: ShardId(0), note }), MetaReply::Done);
        }
    }

    fn create(&mut self, time_column: &str) -> MetaReply {
        let column = ColumnDraft { name: "t".into(), data_type: "timestamp".into(), logical: Hash::of(b"t") };
        self.apply(MetaCommand::CreateDataset(CreateDataset {
            project: "p".parse().expect("a name"),
            name: "d".parse().expect("a name"),
            service: "both".parse().expect("a name"),
            service_version: 1,
            mode: None,
            snapshot: TimestampUs(self.now),
            spine: SpineDraft {
                physical: Hash::of(b"spine"),
                bytes: 1,
                rows: 0,
                time_column: time_column.into(),
                columns: vec![column.clone()],
            },
            rows: 0,
            columns: vec![column],
            files: vec![],
            matches: vec![],
        }))
    }

    /// The inputs that the newest training set names, and the loads and seals it stands on.
    fn inputs(&mut self) -> (BTreeSet<Hash>, usize) {
        assert!(matches!(self.create("t"), MetaReply::Versioned { .. }));
        let ledger = self.machine.ledger();
        let node: NodeRef = "dataset:d".parse().expect("a node");
        let id = ledger.graph().resolve(&node, None, At::Newest).expect("there").id;
        let dataset = match ledger.record(&id) {
            Some(Record::Dataset(dataset)) => Some(dataset),
            _ => None,
        };
        let mut seals = 0;
        let mut walk = ledger.graph().walk(id, &Trace::default()).expect("walks");
        loop {
            seals += walk.nodes.iter().filter(|found| found.node.word() == "seal").count();
            let Some(cursor) = &walk.cursor else { break };
            walk = ledger.graph().resume(cursor, limits::TRACE_NODES).expect("walks");
        }
        (dataset.expect("a training set").inputs.clone(), seals)
    }
}

#[test]
fn a_training_set_over_a_long_stream_names_collections_that_later_ones_share() {
    let mut host = Host::new();
    host.seal(1, 0..GROUP - 1);
    host.seal(2, 0..1);
    let (named, seals) = host.inputs();
    assert_eq!((named.len() as u64, seals as u64), (GROUP, GROUP), "as many as one collection: one by one");

    host.seal(1, GROUP - 1..GROUP + 10);
    let (named, seals) = host.inputs();
    assert_eq!((named.len(), seals as u64), (3, GROUP + 11));

    host.seal(1, GROUP + 10..GROUP + 20);
    let (later, seals) = host.inputs();
    assert_eq!((later.len(), seals as u64), (3, GROUP + 21));
    assert_eq!(named.intersection(&later).count(), 2, "what is full or did not grow is the same record");

    let restored = MetaMachine::restore(&host.kv, TREE).expect("restores");
    assert_eq!(restored.ledger().tree().root(), host.machine.ledger().tree().root());
}

#[test]
fn a_training_set_may_have_more_inputs_than_one_record_may_name() {
    let mut host = Host::new();
    let runs = limits::RECORD_EDGES as u64 + 1;
    host.seal(1, 0..runs);
    let (named, seals) = host.inputs();
    assert_eq!((named.len(), seals as u64), (17, runs));
}

#[test]
fn a_training_set_that_is_refused_leaves_no_collection_behind() {
    let mut host = Host::new();
    host.seal(1, 0..GROUP + 1);
    let before = host.machine.ledger().size();
    assert!(matches!(host.create("no such column"), MetaReply::Refused(_)));
    assert_eq!(host.machine.ledger().size(), before);
}
