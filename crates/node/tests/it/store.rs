//! A store in a temporary directory with one view of counters, and the verbs tests use.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::Int64Type,
};
use lineate_node::{
    CompactionBounds, DiskSpace, Error, Node, SystemClock, SystemDisk,
    api::{LoadFile, LoadRequest, LookupReply, LookupRequest, Options},
};
use lineate_segment::intake::{ForeignFile, Intake};
use lineate_state::catalog::authored::Definitions;
use lineate_types::{Name, Principal, TimestampUs, ViewDefinition, limits};

pub(crate) const SHARDS: u16 = 2;

pub(crate) fn tester() -> Principal {
    Principal("local:tester".into())
}

pub(crate) fn definitions() -> Definitions {
    definitions_with(&[])
}

/// The same, with more features by name and type.
pub(crate) fn definitions_with(more: &[(&str, &str)]) -> Definitions {
    let features = [("value", "int64"), ("label", "string")].iter().chain(more);
    let features: Vec<_> =
        features.map(|(name, data_type)| serde_json::json!({"name": name, "type": data_type})).collect();
    serde_json::from_value(serde_json::json!({
        "project": "p",
        "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
        "views": [{
            "name": "counters", "entity": "thing", "event_time": "happened",
            "features": features
        }],
        "services": [{"name": "s", "features": ["counters.value"]}]
    }))
    .expect("valid definitions")
}

pub(crate) async fn open_with(path: &Path, cache_bytes: usize, log_bytes: u64) -> Result<Node, Error> {
    open_on(path, cache_bytes, log_bytes, Arc::new(SystemDisk)).await
}

pub(crate) async fn open_on(
    path: &Path,
    cache_bytes: usize,
    log_bytes: u64,
    disk: Arc<dyn DiskSpace>,
) -> Result<Node, Error> {
    let (data_dir, shards, clock) = (path.to_owned(), Some(SHARDS), Arc::new(SystemClock));
    Node::open(Options { data_dir, shards, cache_bytes, log_bytes, clock, disk }).await
}

pub(crate) async fn open(path: &Path, cache_bytes: usize) -> Node {
    let node = open_with(path, cache_bytes, limits::LOG_BYTES).await.expect("the store opens");
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    node
}

pub(crate) fn view(node: &Node) -> ViewDefinition {
    let name = |text: &str| Name::new(text).expect("a name");
    node.catalog().view(&name("p"), &"counters".parse().expect("a name")).expect("defined").clone()
}

/// The event time of a value.
pub(crate) fn happened(value: i64) -> TimestampUs {
    TimestampUs(1_700_000_000_000_000 + value)
}

/// A row whose event time is so many microseconds after a fixed time in the past: the greatest value wins.
pub(crate) fn line(id: &str, value: i64) -> String {
    let happened = happened(value);
    format!("{{\"id\": \"{id}\", \"happened\": \"{happened}\", \"value\": {value}, \"label\": \"{id}\"}}\n")
}

pub(crate) async fn push(node: &Node, view: &ViewDefinition, lines: String) {
    let file = ForeignFile::from_bytes("rows", lines.into());
    let batch = Intake::new(view).open(&file).expect("opens").next().expect("rows").expect("reads");
    for write in node.push(&tester(), view, &batch, 0, None).await.expect("pushes") {
        write.result.expect("is written");
    }
}

pub(crate) async fn load(node: &Node, lines: String) {
    let request = load_request(node, lines).await;
    node.ingest(&tester(), request, Arc::new(|_| ())).await.expect("loads");
}

/// A load of some lines, handed over and not begun.
pub(crate) async fn load_request(node: &Node, lines: String) -> LoadRequest {
    let mut sink = node.upload().await.expect("uploads");
    sink.write(lines.into()).await.expect("writes");
    let upload = sink.finish().await.expect("finishes").id;
    LoadRequest {
        project: None,
        view: "counters".parse().expect("a name"),
        files: vec![LoadFile { path: "rows.ndjson".into(), upload }],
        again: false,
    }
}

pub(crate) async fn seal(node: &Node) {
    node.snapshot(&tester(), None, &[view(node).history]).await.expect("seals");
}

pub(crate) async fn compact(node: &Node) {
    for shard in node.shard_ids() {
        node.compact(shard, view(node).history, &CompactionBounds::down_to(1)).await.expect("compacts");
    }
}

/// Waits until everything sealed is in the cache, as far as there is room.
pub(crate) async fn folded(node: &Node) {
    let begun = Instant::now();
    while node.cache_stats().folding > 0 {
        assert!(begun.elapsed().as_secs() < 30, "{:?}", node.cache_stats());
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn look(node: &Node, ids: &[String]) -> LookupReply {
    look_at(node, ids, None).await
}

pub(crate) async fn look_at(node: &Node, ids: &[String], at: Option<TimestampUs>) -> LookupReply {
    let ids = Arc::new(StringArray::from(ids.to_vec())) as _;
    let request = LookupRequest {
        project: None,
        service: "s".parse().expect("a name"),
        entities: RecordBatch::try_from_iter([("id", ids)]).expect("a table"),
        at,
    };
    node.lookup(&request).await.expect("answers")
}

pub(crate) fn values(reply: &LookupReply) -> Vec<Option<i64>> {
    let column = reply.features.column(0);
    assert_eq!(column.len(), reply.features.num_rows());
    column.as_primitive::<Int64Type>().iter().collect()
}

/// How long background work may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a condition holds, which background work is about to bring about.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come about");
        tokio::task::yield_now().await;
    }
}

/// How many blobs there are.
pub(crate) fn blobs(node: &Node) -> u64 {
    let mut count = 0;
    let counted = node.blobs().list(&mut |_, _| {
        count += 1;
        Ok(())
    });
    counted.expect("lists");
    count
}
