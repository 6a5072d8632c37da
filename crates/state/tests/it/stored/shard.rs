//! A shard: every letter of its tree.

use expect_test::expect;
use lineate_segment::segment::SegmentCommit;
use lineate_state::{
    LoadId, Position, RunNumber, codec,
    shard::{
        Compact, Fence, Resolve, RunKey, Seal, ShardCommand, ShardMachine, ShardReply, ShardRequest, Stage,
        Write,
    },
};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{
    DurationUs, Feature, HistoryId, KeyColumn, KeyType, TimestampUs, ViewDefinition, ViewId, WriterId,
    WriterPosition, limits,
};

use super::{TREE, check, hash, name, pairs, pieces, range, segment};

/// Canonical rows of [`view`], two of them: `a` and `b`.
const ROWS: &[u8] = include_bytes!("../../testdata/rows.arrows");

/// One feature of every type.
const TYPES: [&str; 16] = [
    "bool",
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "bytes",
    "timestamp",
    "date",
    "uuid",
    "json",
    "decimal(38,9)",
    "list<int64>",
    "map<string,list<float64>>",
    "struct<a:int64,b:string>",
    "vector<float32,768>",
];

fn view(id: u32, version: u32) -> ViewDefinition {
    ViewDefinition {
        id: ViewId(id),
        history: HistoryId(1),
        project: name("p"),
        name: name("v"),
        version,
        entity: name("e"),
        keys: vec![KeyColumn { name: name("id"), key_type: KeyType::String }],
        event_time: name("at"),
        created_time: None,
        ttl: None,
        naive_times_are_utc: false,
        features: vec![Feature { name: name("x"), data_type: "int64".parse().expect("a type") }],
    }
}

/// A key and a feature of every type, and everything that a view may leave out.
fn wide_view() -> ViewDefinition {
    let key = |key_type: KeyType| KeyColumn { name: name(&format!("k_{key_type}")), key_type };
    let feature = |(position, text): (usize, &&str)| Feature {
        name: name(&format!("f{position}")),
        data_type: text.parse().expect("a type"),
    };
    ViewDefinition {
        id: ViewId(3),
        history: HistoryId(2),
        name: name("wide"),
        keys: KeyType::ALL.map(key).into(),
        created_time: Some(name("known")),
        ttl: Some(DurationUs(10_800_000_000)),
        naive_times_are_utc: true,
        features: TYPES.iter().enumerate().map(feature).collect(),
        ..view(3, 1)
    }
}

/// A machine beside the tree it writes.
struct Host {
    machine: ShardMachine,
    kv: MemKv,
    index: u64,
}

impl Host {
    fn apply(&mut self, command: ShardCommand) -> ShardReply {
        self.index += 1;
        let at = Position { index: self.index, commit_time: TimestampUs(self.index as i64 * 10) };
        let request = ShardRequest { agent: hash(90), command };
        let mut batch = KvBatch::new();
        let reply = self.machine.apply(at, &codec::encode(&request), &mut batch).expect("no damage");
        self.kv.apply(TREE, batch).expect("stores");
        assert!(!matches!(reply, ShardReply::Refused(_) | ShardReply::UnknownView), "{reply:?}");
        reply
    }

    fn write(&mut self, view: u32, sequence: Option<u64>) {
        let position = sequence.map(|sequence| WriterPosition { writer: WriterId(7), epoch: 1, sequence });
        let opened = position.map(|_| TimestampUs(5));
        self.apply(ShardCommand::Write(Write {
            view: ViewId(view),
            position,
            rows: ROWS.to_vec().into(),
            opened,
        }));
    }

    fn load(&mut self, load: LoadId, rows: u64) {
        let segments = vec![segment(load.0 as u8, rows, SegmentCommit::Pending)];
        self.apply(ShardCommand::Stage(Stage { load, view: ViewId(1), segments }));
    }

    fn resolve(&mut self, load: LoadId, commit_time: i64) {
        self.apply(ShardCommand::Resolve(Resolve { load, commit_time: Some(TimestampUs(commit_time)) }));
    }
}

/// A history that leaves a pair of every kind but the opening that gave way.
fn told() -> Host {
    let mut host = Host { machine: ShardMachine::default(), kv: MemKv::new(), index: 0 };
    for view in [view(1, 1), view(2, 2), wide_view()] {
        host.apply(ShardCommand::Define(view));
    }
    // A sealed run of two versions of the view, still to be recorded; one that is recorded; a frozen and an open one.
    for run in 0..2 {
        host.write(1, Some(2 * run + 1));
        host.write(2, None);
        host.apply(ShardCommand::Freeze(HistoryId(1)));
        let run = RunKey { history: HistoryId(1), run: RunNumber(run) };
        let sealed = segment(1, 4, SegmentCommit::Column(range(40, 50)));
        host.apply(ShardCommand::Seal(Seal { run, segment: sealed }));
        if run.run == RunNumber(1) {
            host.apply(ShardCommand::Recorded(run));
        }
    }
    host.write(1, Some(4));
    host.apply(ShardCommand::Freeze(HistoryId(1)));
    host.write(2, None);
    // A load that is there, one that is compacted, one that is staged.
    for (load, commit_time) in [(20, 1_000), (21, 1_001)] {
        host.load(LoadId(load), 5);
        host.resolve(LoadId(load), commit_time);
    }
    let output = segment(30, 9, SegmentCommit::Column(range(40, 1_001)));
    host.apply(ShardCommand::Compact(Compact { history: HistoryId(1), inputs: vec![1, 3], output }));
    host.load(LoadId(300), 6);
    host.apply(ShardCommand::Fence(Fence { writer: WriterId(8), epoch: 3, opened: TimestampUs(77) }));
    host
}

#[test]
fn the_tree_of_a_shard_is_these_bytes_and_restores() {
    let host = told();
    let letters: String = pairs(&host.kv, b"").lines().map(|line| &line[..1]).collect();
    let mut letters: Vec<char> = letters.chars().collect();
    letters.dedup();
    assert_eq!(letters.iter().collect::<String>(), "mnortvwx");
    let restore = |kv: &dyn OrderedKv, tree: &str| ShardMachine::restore(kv, tree).expect("restores");
    check(&host.kv, &host.machine, "shard-state-v2.txt", restore);
}

#[test]
fn what_a_shard_forgot_of_a_writer_and_the_opening_that_gave_way_are_these_bytes() {
    let mut host = told();
    for sequence in 5..=limits::WRITER_WINDOW + 5 {
        host.write(1, Some(sequence));
    }
    let forgotten = pairs(&host.kv, &[b"w".as_slice(), &7_u64.to_be_bytes()].concat());
    for number in 0..limits::WRITERS as u64 {
        let (writer, opened) = (WriterId(100 + number), TimestampUs(100 + number as i64));
        host.apply(ShardCommand::Fence(Fence { writer, epoch: 1, opened }));
    }
    let text = forgotten + &pairs(&host.kv, b"e");
    expect![[r#"
        w 0000000000000007 0283010505
        e - 0282184d08
    "#]]
    .assert_eq(&text);
    let restored = ShardMachine::restore(&host.kv, TREE).expect("restores");
    assert_eq!(pieces(&restored), pieces(&host.machine));
}
