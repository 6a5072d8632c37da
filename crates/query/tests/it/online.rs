//! Online answers against the contract: what a lookup says at its `as_of` is what a training set in mode `served`
//! holds at T = `as_of`, and what a plain reading of the contract gives, over random histories with late rows,
//! rows ahead of their time, tombstones and expiry, while runs are sealed and compacted, the store is restarted,
//! and keys are cached, pushed out of the cache, or not cached at all.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::Int64Type,
};
use lineate_node::{
    CompactionBounds, Node, SystemClock, SystemDisk,
    api::{LookupRequest, Options, Status},
};
use lineate_query::DatasetRows;
use lineate_segment::intake::{ForeignFile, Intake};
use lineate_state::catalog::authored::Definitions;
use lineate_types::{DurationUs, HistoryId, MatchMode, TimestampUs, limits};
use proptest::{collection::vec, option, prelude::*, test_runner::TestRunner};
use serde_json::json;

use crate::store::{create_named, ingest, tester};

const TTL: DurationUs = DurationUs(60_000);

fn definitions() -> Definitions {
    let view = |name: &str, created: bool, ttl: bool| {
        let mut view = json!({
            "name": name, "entity": "thing", "event_time": "happened",
            "features": [{"name": "value", "type": "int64"}]
        });
        if created {
            view["created_time"] = json!("created");
        }
        if ttl {
            view["ttl"] = json!(TTL.to_string());
        }
        view
    };
    serde_json::from_value(json!({
        "project": "p",
        "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
        "views": [view("plain", false, true), view("known", true, false)],
        "services": [{"name": "s", "features": ["plain.*", "known.*"]}]
    }))
    .expect("valid definitions")
}

/// A row before it has a place in time: offsets are microseconds from when it is written.
#[derive(Debug, Clone)]
struct Draft {
    key: usize,
    event: i64,
    created: Option<i64>,
    value: Option<i64>,
    deleted: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Push {
        known: bool,
        rows: Vec<Draft>,
    },
    Load {
        known: bool,
        rows: Vec<Draft>,
    },
    Look,
    /// Waits until all that is sealed is in the cache.
    Fold,
    Seal,
    Compact,
    Restart,
}

/// A committed row, as the contract sees it.
#[derive(Debug, Clone)]
struct Row {
    key: usize,
    event: i64,
    created: Option<i64>,
    commit: i64,
    ordinal: i64,
    value: Option<i64>,
    deleted: bool,
}

const KEYS: usize = 3;

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let offset = || prop_oneof![-200_000..20_000_i64, Just(-50_000), Just(0), 0..4_000_i64];
    let draft = (
        0..KEYS,
        offset(),
        option::of(offset()),
        option::weighted(0.8, 0..100_i64),
        prop::bool::weighted(0.15),
    );
    let draft =
        draft.prop_map(|(key, event, created, value, deleted)| Draft { key, event, created, value, deleted });
    vec(draft, 1..5)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), drafts()).prop_map(|(known, rows)| Step::Push { known, rows }),
        1 => (any::<bool>(), drafts()).prop_map(|(known, rows)| Step::Load { known, rows }),
        6 => Just(Step::Look),
        1 => Just(Step::Fold),
        2 => Just(Step::Seal),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
    ];
    vec(step, 6..18)
}

/// The contract, read literally, for mode `served` and S = T.
fn served(rows: &[Row], key: usize, at: i64, heeds_created: bool, ttl: Option<i64>) -> (Status, Option<i64>) {
    let candidates = rows.iter().filter(|row| row.key == key && row.event <= at && row.commit <= at);
    let candidates = candidates.filter(|row| !heeds_created || row.created.unwrap_or(row.commit) <= at);
    let winner = candidates.max_by_key(|row| (row.event, row.created, row.commit, row.ordinal));
    match winner {
        None => (Status::Absent, None),
        Some(row) if row.deleted => (Status::Absent, None),
        Some(row) if ttl.is_some_and(|ttl| row.event < at - ttl) => (Status::Expired, None),
        Some(row) => (if row.value.is_some() { Status::Present } else { Status::Null }, row.value),
    }
}

/// A store that can be opened again.
struct Store<'a> {
    path: &'a Path,
    cache_bytes: usize,
    /// None only while it is restarted: the directory is free when the last handle is gone.
    node: Option<Node>,
}

const SHARDS: u16 = 3;

impl<'a> Store<'a> {
    async fn open(path: &'a Path, cache_bytes: usize) -> Self {
        Self { path, cache_bytes, node: Some(open_node(path, cache_bytes).await) }
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect("open")
    }

    async fn restart(&mut self) {
        self.node().shutdown().await.expect("stops");
        self.node = None;
        self.node = Some(open_node(self.path, self.cache_bytes).await);
    }

    fn histories(&self) -> Vec<HistoryId> {
        self.node().catalog().views().map(|view| view.history).collect()
    }

    async fn seal(&self) {
        self.node().snapshot(&tester(), None, &self.histories()).await.expect("seals");
    }

    async fn fold(&self) {
        while self.node().cache_stats().folding > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn compact(&self) {
        for history in self.histories() {
            for shard in self.node().shard_ids() {
                self.node().compact(shard, history, &CompactionBounds::down_to(1)).await.expect("compacts");
            }
        }
    }
}

async fn open_node(path: &Path, cache_bytes: usize) -> Node {
    let options = Options {
        data_dir: path.to_owned(),
        shards: Some(SHARDS),
        cache_bytes,
        log_bytes: limits::LOG_BYTES,
        clock: Arc::new(SystemClock),
        disk: Arc::new(SystemDisk),
    };
    Node::open(options).await.expect("the store opens")
}

struct Case<'a, 's> {
    store: &'s mut Store<'a>,
    number: usize,
    plain: Vec<Row>,
    known: Vec<Row>,
    looks: Vec<(TimestampUs, [Vec<Option<i64>>; 2])>,
}

impl Case<'_, '_> {
    fn node(&self) -> &Node {
        self.store.node()
    }

    fn id(&self, key: usize) -> String {
        format!("case{}-{key}", self.number)
    }

    fn ndjson(&self, known: bool, drafts: &[Draft], now: i64) -> String {
        let line = |draft: &Draft| {
            let mut line = json!({
                "id": self.id(draft.key), "happened": TimestampUs(now + draft.event).to_string(),
                "value": draft.value, "__deleted": draft.deleted
            });
            if known {
                line["created"] = json!(draft.created.map(|created| TimestampUs(now + created).to_string()));
            }
            format!("{line}\n")
        };
        drafts.iter().map(line).collect()
    }

    fn committed(
        &mut self,
        known: bool,
        now: i64,
        row: usize,
        draft: &Draft,
        commit: TimestampUs,
        bulk: bool,
    ) {
        let rows = if known { &mut self.known } else { &mut self.plain };
        rows.push(Row {
            key: draft.key,
            event: now + draft.event,
            created: draft.created.filter(|_| known).map(|created| now + created),
            commit: commit.0,
            ordinal: i64::try_from(row).expect("small") + if bulk { 1 << 62 } else { 0 },
            value: draft.value,
            deleted: draft.deleted,
        });
    }

    async fn push(&mut self, known: bool, drafts: &[Draft]) {
        let now = self.node().now().0;
        let name = if known { "known" } else { "plain" };
        let project = "p".parse().expect("a name");
        let view =
            self.node().catalog().view(&project, &name.parse().expect("a name")).expect("defined").clone();
        // One row at a time, so that each row's commit time is known.
        for draft in drafts {
            let text = self.ndjson(known, std::slice::from_ref(draft), now);
            let file = ForeignFile::from_bytes("row", text.into());
            let batch = Intake::new(&view).open(&file).expect("opens").next().expect("a row").expect("reads");
            let writes = self.node().push(&tester(), &view, &batch, 0, None).await.expect("pushes");
            let commit =
                writes.first().and_then(|write| write.result.as_ref().ok()).expect("one shard").commit_time;
            self.committed(known, now, 0, draft, commit, false);
        }
    }

    async fn load(&mut self, known: bool, drafts: &[Draft]) {
        let now = self.node().now().0;
        let name = if known { "known" } else { "plain" };
        let report = ingest(self.node(), name, &self.ndjson(known, drafts, now)).await.expect("loads");
        for (row, draft) in drafts.iter().enumerate() {
            self.committed(known, now, row, draft, report.commit_time, true);
        }
    }

    async fn look(&mut self) {
        let ids: Vec<String> = (0..KEYS).map(|key| self.id(key)).collect();
        let entities = RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(ids)) as _)]);
        let request = LookupRequest {
            project: None,
            service: "s".parse().expect("a name"),
            entities: entities.expect("a table"),
            at: None,
        };
        let reply = self.node().lookup(&request).await.expect("answers");
        let mut values: [Vec<Option<i64>>; 2] = Default::default();
        for (column, (rows, heeds_created, ttl)) in
            [(&self.plain, false, Some(TTL.0)), (&self.known, true, None)].into_iter().enumerate()
        {
            let answered = reply.features.column(column).as_primitive::<Int64Type>();
            for key in 0..KEYS {
                let value = answered.is_valid(key).then(|| answered.value(key));
                let expected = served(rows, key, reply.as_of.0, heeds_created, ttl);
                assert_eq!(
                    (reply.statuses[column][key], value),
                    expected,
                    "column {column}, key {key} at {}: {rows:#?}",
                    reply.as_of
                );
                values[column].push(value);
            }
        }
        self.looks.push((reply.as_of, values));
    }

    /// Every lookup again, as a training set in mode `served`.
    async fn compare_with_training_sets(&self) {
        for (as_of, expected) in &self.looks {
            let rows = (0..KEYS).map(|key| format!("{as_of},{}\n", self.id(key)));
            let spine = format!("event_timestamp,id\n{}", rows.collect::<String>());
            let report =
                create_named(self.node(), "looks", "s", &spine, Some(MatchMode::Served), Some(*as_of)).await;
            let version = report.expect("joins").versioned.version;
            let project = "p".parse().expect("a name");
            let name = format!("looks@v{version}").parse().expect("a name");
            let dataset = self.node().dataset(&project, &name).expect("exists");
            let batch = DatasetRows::new(self.node(), &dataset)
                .expect("stored")
                .next()
                .expect("rows")
                .expect("reads");
            for (column, expected) in expected.iter().enumerate() {
                let column = batch.column(column + 2).as_primitive::<Int64Type>();
                let values: Vec<Option<i64>> = column.iter().collect();
                assert_eq!(&values, expected, "as of {as_of}");
            }
        }
    }
}

/// Random histories in a store whose cache takes some bytes.
fn check_histories(cache_bytes: usize, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let store = runtime.block_on(async {
        let store = Store::open(directory.path(), cache_bytes).await;
        store.node().apply(&tester(), &definitions(), false).await.expect("applies");
        store
    });
    let store = std::cell::RefCell::new(store);
    let mut runner = TestRunner::new(ProptestConfig { cases, max_shrink_iters: 50, ..Default::default() });
    let number = std::cell::Cell::new(0);
    let result = runner.run(&steps(), |steps| {
        number.set(number.get() + 1);
        let mut store = store.borrow_mut();
        runtime.block_on(async {
            let mut case =
                Case { store: &mut store, number: number.get(), plain: vec![], known: vec![], looks: vec![] };
            for step in &steps {
                match step {
                    Step::Push { known, rows } => case.push(*known, rows).await,
                    Step::Load { known, rows } => case.load(*known, rows).await,
                    Step::Look => case.look().await,
                    Step::Fold => case.store.fold().await,
                    Step::Seal => case.store.seal().await,
                    Step::Compact => case.store.compact().await,
                    Step::Restart => case.store.restart().await,
                }
            }
            case.compare_with_training_sets().await;
        });
        Ok(())
    });
    runtime.block_on(store.borrow().node().shutdown()).expect("stops");
    result.expect("every answer follows the contract");
}

#[test]
fn a_lookup_equals_served_at_its_as_of() {
    check_histories(limits::CACHE_BYTES, 24);
}

#[test]
fn a_lookup_equals_served_at_its_as_of_while_keys_push_each_other_out_of_the_cache() {
    // Room for a few entries in each shard.
    check_histories(usize::from(SHARDS) * 2_048, 12);
}

#[test]
fn a_lookup_equals_served_at_its_as_of_without_any_cache() {
    check_histories(0, 4);
}
