//! The meta group: every letter of its tree, and a record of every kind but a collection.

use lineate_ledger::record::Kind;
use lineate_segment::segment::SegmentCommit;
use lineate_state::{
    LoadId, Position, RunNumber,
    catalog::authored::Definitions,
    codec,
    meta::{
        AssertionDraft, BeginLoad, ColumnDraft, CommitLoad, CreateDataset, Define, Erase, FileDraft,
        LoadedSegment, MetaCommand, MetaMachine, MetaReply, MetaRequest, Promote, RegisterModel, SourceDraft,
        SpineDraft, ViewMatches,
    },
    shard::{RunKey, SealNote},
};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{Hash, HistoryId, MatchMode, ShardId, TimestampUs, ViewId, WriterId};
use serde_json::json;

use super::{TREE, check, hash, name, pairs, range, segment};

/// A machine beside the tree it writes.
struct Host {
    machine: MetaMachine,
    kv: MemKv,
    index: u64,
}

impl Host {
    fn apply(&mut self, command: MetaCommand) -> MetaReply {
        self.index += 1;
        let at = Position { index: self.index, commit_time: TimestampUs(self.index as i64 * 10) };
        let request = MetaRequest { agent: hash(90), command };
        let mut batch = KvBatch::new();
        let reply = self.machine.apply(at, &codec::encode(&request), &mut batch).expect("no damage");
        self.kv.apply(TREE, batch).expect("stores");
        assert!(!matches!(reply, MetaReply::Refused(_)), "{reply:?}");
        reply
    }

    /// Defines the view and the service, the view with these features.
    fn define(&mut self, features: serde_json::Value, assertions: Vec<AssertionDraft>) {
        let file: Definitions = serde_json::from_value(json!({
            "project": "flights",
            "entities": [{"name": "route", "keys": [
                {"name": "origin", "type": "string"}, {"name": "day", "type": "date"}
            ]}],
            "views": [{
                "name": "weather", "entity": "route", "event_time": "at", "created_time": "known",
                "ttl": "3h", "naive_times": "utc", "features": features
            }],
            "services": [{"name": "delay", "features": [
                "weather@v1.temp", {"view": "weather@v1", "as": "there", "keys": {"origin": "dest"}}
            ]}]
        }))
        .expect("definitions");
        let plan = self.machine.catalog().plan(&file).expect("plans");
        let (catalog_version, resolved) = (plan.catalog_version, plan.resolved);
        self.apply(MetaCommand::Define(Define { catalog_version, resolved, assertions }));
    }

    fn begin(&mut self, files: &[(u8, &str)]) -> LoadId {
        let source = |(byte, format): &(u8, &str)| SourceDraft {
            physical: hash(*byte),
            bytes: 11,
            format: (*format).into(),
            path: Some(hash(byte + 1)),
        };
        let sources = files.iter().map(source).collect();
        let begun = self.apply(MetaCommand::BeginLoad(BeginLoad { view: ViewId(1), sources, again: false }));
        let load = match begun {
            MetaReply::LoadBegun { load, .. } => Some(load),
            _ => None,
        };
        load.expect("a load is begun")
    }

    fn newest(&self, kind: Kind) -> Hash {
        self.machine.ledger().entries_of(kind).last().expect("one is recorded").record
    }
}

fn assertion(service: bool, of: &str, predicate: &str, value: Option<Hash>) -> AssertionDraft {
    AssertionDraft {
        service,
        project: name("flights"),
        name: name(of),
        predicate: predicate.into(),
        value,
        replaces: None,
    }
}

fn dataset() -> CreateDataset {
    let column = |name: &str, data_type: &str, byte| ColumnDraft {
        name: name.into(),
        data_type: data_type.into(),
        logical: hash(byte),
    };
    let spine = vec![column("when", "timestamp", 40), column("Label", "int64", 41)];
    let output = [spine.clone(), vec![column("weather__temp", "float64", 42)]].concat();
    CreateDataset {
        project: name("flights"),
        name: name("delays"),
        service: name("delay"),
        service_version: 1,
        mode: Some(MatchMode::Event),
        snapshot: TimestampUs(1_000),
        spine: SpineDraft {
            physical: hash(43),
            bytes: 12,
            rows: 3,
            time_column: "when".into(),
            columns: spine,
        },
        rows: 3,
        columns: output,
        files: vec![FileDraft { physical: hash(44), bytes: 10, rows: 3 }],
        matches: vec![ViewMatches { alias: name("weather"), filled: 2, expired: 1 }],
    }
}

fn model(datasets: Vec<Hash>, artifact: Option<FileDraft>) -> RegisterModel {
    RegisterModel {
        project: name("flights"),
        name: name("late"),
        datasets,
        run: [50; 16],
        code: artifact.map(|_| hash(51)),
        parameters: vec![("depth".into(), hash(52))],
        metrics: vec![("auc".into(), "0.71".into())],
        artifact,
    }
}

/// A history that leaves a pair of every kind.
fn told() -> Host {
    let mut host = Host { machine: MetaMachine::default(), kv: MemKv::new(), index: 0 };
    let temp = json!({"name": "temp", "type": "decimal(5,1)"});
    let owner = assertion(false, "weather", "owner", Some(hash(10)));
    host.define(json!([temp]), vec![owner, assertion(true, "delay", "description", Some(hash(11)))]);
    for resume in [None, Some(WriterId(1)), None] {
        host.apply(MetaCommand::OpenWriter { resume });
    }
    // A load that is committed, one that is under way, one that was given up.
    let load = host.begin(&[(20, "parquet"), (22, "csv")]);
    host.apply(MetaCommand::CommitLoad(CommitLoad {
        load,
        floor: TimestampUs(3),
        source_rows: vec![3, 4],
        tombstones: 1,
        logical: hash(24),
        segments: [(0, 25, 5), (3, 26, 2)]
            .map(|(shard, byte, rows)| LoadedSegment { shard: ShardId(shard), physical: hash(byte), rows })
            .into(),
    }));
    host.begin(&[(27, "ndjson")]);
    let load = host.begin(&[(29, "arrow")]);
    host.apply(MetaCommand::AbortLoad { load });
    let wind = json!({"name": "wind", "type": "list<int32>"});
    let withdrawn = AssertionDraft {
        replaces: Some(host.newest(Kind::Assertion)),
        ..assertion(true, "delay", "description", None)
    };
    host.define(json!([temp, wind]), vec![withdrawn]);
    host.apply(MetaCommand::RecordSeal {
        shard: ShardId(3),
        note: SealNote {
            run: RunKey { history: HistoryId(1), run: RunNumber(258) },
            view: ViewId(2),
            first_commit: TimestampUs(60),
            last_commit: TimestampUs(70),
            writers: vec![(WriterId(0), 1), (WriterId(2), 4)],
            segment: segment(30, 5, SegmentCommit::Column(range(60, 70))),
            earlier_views: vec![ViewId(1)],
        },
    });
    host.apply(MetaCommand::CreateDataset(dataset()));
    let datasets = vec![host.newest(Kind::Dataset)];
    let artifact = FileDraft { physical: hash(53), bytes: 99, rows: 0 };
    host.apply(MetaCommand::RegisterModel(model(datasets.clone(), Some(artifact))));
    host.apply(MetaCommand::RegisterModel(RegisterModel { run: [54; 16], ..model(datasets, None) }));
    for (version, alias) in [(1, "production"), (2, "production"), (1, "shadow")] {
        let (project, model, alias) = (name("flights"), name("late"), name(alias));
        host.apply(MetaCommand::Promote(Promote { project, model, version, alias }));
    }
    let about = host.newest(Kind::View);
    host.apply(MetaCommand::Erase(Erase { about, texts: [hash(10)].into() }));
    host
}

#[test]
fn the_tree_of_meta_is_these_bytes_and_restores() {
    let host = told();
    let letters: String = pairs(&host.kv, b"").lines().map(|line| &line[..1]).collect();
    let mut letters: Vec<char> = letters.chars().collect();
    letters.dedup();
    assert_eq!(letters.iter().collect::<String>(), "Scdeklqsvw");
    let recorded = Kind::ALL.iter().filter(|kind| host.machine.ledger().entries_of(**kind).next().is_some());
    assert_eq!(
        recorded.count(),
        Kind::ALL.len() - 1,
        "all but a collection, which takes thousands of inputs"
    );
    let restore = |kv: &dyn OrderedKv, tree: &str| MetaMachine::restore(kv, tree).expect("restores");
    check(&host.kv, &host.machine, "meta-state-v2.txt", restore);
}
