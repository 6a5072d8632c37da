//! Which files a bulk load brings, whatever loads run beside it.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{Record, record::Kind};
use lineate_state::{
    LoadId, Position,
    catalog::authored::Definitions,
    codec,
    meta::{BeginLoad, CommitLoad, Define, MetaCommand, MetaMachine, MetaReply, MetaRequest, SourceDraft},
};
use lineate_storage::kv::{KvBatch, MemKv, OrderedKv};
use lineate_types::{Hash, TimestampUs, ViewId};
use proptest::prelude::*;

const TREE: &str = "meta";

struct Meta {
    machine: MetaMachine,
    kv: MemKv,
    now: i64,
}

impl Meta {
    fn new() -> Self {
        let mut meta = Self { machine: MetaMachine::default(), kv: MemKv::new(), now: 0 };
        let view = |name: &str| {
            serde_json::json!({
                "name": name, "entity": "thing", "event_time": "t",
                "features": [{"name": "x", "type": "int64"}]
            })
        };
        let file: Definitions = serde_json::from_value(serde_json::json!({
            "project": "p",
            "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
            "views": [view("one"), view("two")],
        }))
        .expect("definitions");
        let plan = meta.machine.catalog().plan(&file).expect("plans");
        let (catalog_version, resolved) = (plan.catalog_version, plan.resolved);
        let reply = meta.apply(MetaCommand::Define(Define { catalog_version, resolved, assertions: vec![] }));
        assert_eq!(reply, MetaReply::Done);
        meta
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

    fn restart(&mut self) {
        self.machine = MetaMachine::restore(&self.kv, TREE).expect("restores");
    }

    fn begin(&mut self, view: u32, files: &[u8], again: bool) -> MetaReply {
        let sources = files.iter().map(|file| source(*file)).collect();
        self.apply(MetaCommand::BeginLoad(BeginLoad { view: ViewId(view), sources, again }))
    }

    fn commit(&mut self, load: LoadId) -> MetaReply {
        let files = self.files(load).len();
        self.apply(MetaCommand::CommitLoad(CommitLoad {
            load,
            floor: TimestampUs(0),
            source_rows: vec![1; files],
            tombstones: 0,
            logical: Hash::of(b"rows"),
            segments: vec![],
        }))
    }

    /// The files that a load reads.
    fn files(&self, load: LoadId) -> Vec<Hash> {
        let state = self.machine.load(load).expect("is known");
        state.sources.iter().map(|source| source.physical).collect()
    }
}

fn source(file: u8) -> SourceDraft {
    let physical = Hash::of(&[file]);
    SourceDraft { physical, bytes: 1, format: "csv".into(), path: Some(Hash::of(b"path")) }
}

fn begun(reply: MetaReply) -> (LoadId, Vec<Option<LoadId>>) {
    let begun = match reply {
        MetaReply::LoadBegun { load, skipped } => Some((load, skipped)),
        _ => None,
    };
    begun.expect("a load is begun")
}

#[test]
fn a_load_reads_the_files_that_are_not_there_and_its_record_names_no_others() {
    let mut meta = Meta::new();
    let (first, skipped) = begun(meta.begin(1, &[1], false));
    assert_eq!(skipped, [None]);
    assert!(matches!(meta.commit(first), MetaReply::LoadCommitted { .. }));
    meta.restart();
    let (second, skipped) = begun(meta.begin(1, &[1, 2, 2], false));
    assert_eq!(skipped, [Some(first), None, Some(second)]);
    assert_eq!(meta.files(second), [Hash::of(&[2])]);
    let MetaReply::LoadCommitted { record, .. } = meta.commit(second) else { panic!("is not committed") };
    let ledger = meta.machine.ledger();
    let Some(Record::Load(load)) = ledger.record(&record) else { panic!("is no load") };
    let named = load.sources.iter().map(|source| match ledger.record(source) {
        Some(Record::Source(source)) => source.physical_hash,
        other => panic!("is no source: {other:?}"),
    });
    assert_eq!(named.collect::<Vec<_>>(), [Hash::of(&[2])]);
    assert_eq!(meta.begin(1, &[2, 1], false), MetaReply::AlreadyLoaded { loads: vec![second, first] });
    let (_, skipped) = begun(meta.begin(1, &[1, 2, 2], true));
    assert_eq!(skipped, [None; 3]);
    let (_, skipped) = begun(meta.begin(2, &[1], false));
    assert_eq!(skipped, [None], "another view has none of them");
}

#[test]
fn a_file_has_no_path_only_where_it_is_skipped() {
    let mut meta = Meta::new();
    let (first, _) = begun(meta.begin(1, &[1], false));
    assert!(matches!(meta.commit(first), MetaReply::LoadCommitted { .. }));
    let mut begin = |sources: Vec<SourceDraft>, again| {
        meta.apply(MetaCommand::BeginLoad(BeginLoad { view: ViewId(1), sources, again }))
    };
    let unnamed = |file| SourceDraft { path: None, ..source(file) };
    let (second, skipped) = begun(begin(vec![unnamed(1), source(2), unnamed(2)], false));
    assert_eq!(skipped, [Some(first), None, Some(second)]);
    assert!(matches!(begin(vec![source(2), unnamed(3)], false), MetaReply::Refused(_)));
    assert!(matches!(begin(vec![unnamed(1)], true), MetaReply::Refused(_)));
}

#[test]
fn of_two_loads_that_share_a_file_one_commits_and_the_other_leaves_no_record() {
    let mut meta = Meta::new();
    let (first, _) = begun(meta.begin(1, &[1, 2], false));
    let (second, skipped) = begun(meta.begin(1, &[2, 3], false));
    assert_eq!(skipped, [None, None], "the first is not committed yet");
    assert!(matches!(meta.commit(second), MetaReply::LoadCommitted { .. }));
    let size = meta.machine.ledger().size();
    assert_eq!(meta.commit(first), MetaReply::LoadOvertaken);
    assert_eq!(meta.machine.ledger().size(), size);
    assert_eq!(meta.apply(MetaCommand::AbortLoad { load: first }), MetaReply::Done);
    let (third, skipped) = begun(meta.begin(1, &[1, 2], false));
    assert_eq!(skipped, [None, Some(second)]);
    assert!(matches!(meta.commit(third), MetaReply::LoadCommitted { .. }));
}

#[test]
fn an_aborted_load_keeps_nothing_of_its_files() {
    let mut meta = Meta::new();
    let files: Vec<u8> = (0..=u8::MAX).collect();
    let (load, _) = begun(meta.begin(1, &files, false));
    let stored = |meta: &Meta| meta.kv.get(TREE, &[b"l".as_slice(), &load.0.to_be_bytes()].concat());
    let bytes = |meta: &Meta| stored(meta).expect("reads").expect("is there").len();
    assert!(bytes(&meta) > files.len() * 64);
    assert_eq!(meta.apply(MetaCommand::AbortLoad { load }), MetaReply::Done);
    meta.restart();
    assert!(bytes(&meta) < 32, "{}", bytes(&meta));
    assert_eq!(meta.files(load), []);
    let again = meta.commit(load);
    assert!(matches!(&again, MetaReply::Refused(_)), "{again:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Begin { view: u32, files: Vec<u8>, again: bool },
    Commit(prop::sample::Index),
    Abort(prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let begin = (1..=2_u32, prop::collection::vec(0..5_u8, 1..4), prop::bool::weighted(0.2));
    prop_oneof![
        4 => begin.prop_map(|(view, files, again)| Step::Begin { view, files, again }),
        4 => any::<prop::sample::Index>().prop_map(Step::Commit),
        1 => any::<prop::sample::Index>().prop_map(Step::Abort),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn no_file_comes_twice_into_a_view_unless_asked_for(steps in prop::collection::vec(step(), 1..60)) {
        let mut meta = Meta::new();
        let mut loads: Vec<(LoadId, u32, bool)> = Vec::new();
        // By view and file: the loads that brought it.
        let mut there: BTreeMap<(u32, Hash), BTreeSet<LoadId>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Begin { view, files, again } => {
                    let first = |file: &u8| there.get(&(view, Hash::of(&[*file]))).and_then(|loads| loads.first());
                    let known: Vec<Option<LoadId>> = files.iter().map(|file| first(file).copied()).collect();
                    match meta.begin(view, &files, again) {
                        MetaReply::AlreadyLoaded { loads } => {
                            prop_assert!(!again);
                            prop_assert_eq!(loads.into_iter().map(Some).collect::<Vec<_>>(), known);
                        }
                        reply => {
                            let (load, skipped) = begun(reply);
                            let earlier = skipped.iter().map(|skipped| skipped.filter(|skipped| *skipped != load));
                            let expected = if again { vec![None; files.len()] } else { known };
                            prop_assert_eq!(earlier.collect::<Vec<_>>(), expected);
                            loads.push((load, view, again));
                        }
                    }
                }
                Step::Commit(index) if !loads.is_empty() => {
                    let (load, view, again) = *index.get(&loads);
                    let files = meta.files(load);
                    let place = |file: &Hash| (view, *file);
                    let mine = files.iter().all(|file| there.get(&place(file)).is_some_and(|by| by.contains(&load)));
                    match meta.commit(load) {
                        MetaReply::LoadCommitted { .. } if mine => {}
                        MetaReply::LoadCommitted { .. } => {
                            for file in &files {
                                let by = there.entry(place(file)).or_default();
                                prop_assert!(again || by.is_empty(), "{} comes again", file);
                                by.insert(load);
                            }
                        }
                        MetaReply::LoadOvertaken => {
                            prop_assert!(!again && files.iter().any(|file| there.contains_key(&place(file))));
                        }
                        MetaReply::Refused(_) => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::Abort(index) if !loads.is_empty() => {
                    meta.apply(MetaCommand::AbortLoad { load: index.get(&loads).0 });
                }
                Step::Commit(_) | Step::Abort(_) => {}
                Step::Restart => meta.restart(),
            }
        }
        let recorded = meta.machine.ledger().entries_of(Kind::Load).count();
        let committed: BTreeSet<LoadId> = there.into_values().flatten().collect();
        prop_assert_eq!(recorded, committed.len());
    }
}
