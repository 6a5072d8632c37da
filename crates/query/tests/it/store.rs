//! A store in a temporary directory, with the verbs tests use.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use lineate_node::{
    DiskSpace, Node, SystemClock, SystemDisk,
    api::{LoadFile, LoadReport, LoadRequest, OnProgress, Options},
};
use lineate_query::{DatasetReport, DatasetRequest, Result};
use lineate_state::catalog::authored::Definitions;
use lineate_types::{MatchMode, Principal, TimestampUs, limits};
use serde_json::json;

pub(crate) fn tester() -> Principal {
    Principal("local:tester".into())
}

pub(crate) fn quiet() -> OnProgress {
    Arc::new(|_| ())
}

/// Weather by airport with a created time and a TTL, used twice in the service under two keys.
pub(crate) fn definitions() -> Definitions {
    serde_json::from_value(json!({
        "project": "flights",
        "entities": [{"name": "airport", "keys": [{"name": "origin", "type": "string"}]}],
        "views": [{
            "name": "weather", "entity": "airport", "event_time": "event_timestamp",
            "created_time": "created_timestamp", "ttl": "3h", "owner": "ops@example.com",
            "features": [{"name": "temp", "type": "float64"}, {"name": "wind_dir", "type": "int64"}]
        }],
        "services": [{
            "name": "delay_model",
            "features": ["weather.temp", {"view": "weather", "as": "dest_weather", "keys": {"origin": "dest"}}]
        }]
    }))
    .expect("valid definitions")
}

pub(crate) async fn open(path: &Path, shards: u16) -> Node {
    open_on(path, shards, Arc::new(SystemDisk)).await
}

pub(crate) async fn open_on(path: &Path, shards: u16, disk: Arc<dyn DiskSpace>) -> Node {
    let options = Options {
        data_dir: path.to_owned(),
        shards: Some(shards),
        cache_bytes: limits::CACHE_BYTES,
        log_bytes: limits::LOG_BYTES,
        clock: Arc::new(SystemClock),
        disk,
    };
    Node::open(options).await.expect("the store opens")
}

pub(crate) async fn upload(node: &Node, content: impl Into<Bytes>) -> u64 {
    let mut sink = node.upload().await.expect("uploads");
    sink.write(content.into()).await.expect("writes");
    sink.finish().await.expect("finishes").id
}

pub(crate) async fn ingest(node: &Node, view: &str, content: &str) -> lineate_node::Result<LoadReport> {
    let upload = upload(node, content.to_owned()).await;
    let request = LoadRequest {
        project: None,
        view: view.parse().expect("a name"),
        files: vec![LoadFile { path: "rows.ndjson".into(), upload }],
        again: false,
    };
    node.ingest(&tester(), request, quiet()).await
}

pub(crate) async fn create(
    node: &Node,
    spine: &str,
    mode: Option<MatchMode>,
    snapshot: Option<TimestampUs>,
) -> Result<DatasetReport> {
    create_named(node, "delays", "delay_model", spine, mode, snapshot).await
}

pub(crate) async fn create_named(
    node: &Node,
    name: &str,
    service: &str,
    spine: &str,
    mode: Option<MatchMode>,
    snapshot: Option<TimestampUs>,
) -> Result<DatasetReport> {
    let request = DatasetRequest { mode, snapshot, ..request(node, name, service, spine).await };
    lineate_query::create(node, &tester(), request, quiet()).await
}

/// A request for a training set in the default mode, now.
pub(crate) async fn request(node: &Node, name: &str, service: &str, spine: &str) -> DatasetRequest {
    DatasetRequest {
        project: None,
        name: name.parse().expect("a name"),
        service: service.parse().expect("a name"),
        spine: upload(node, spine.to_owned()).await,
        spine_path: "spine.csv".into(),
        time_column: "event_timestamp".into(),
        mode: None,
        snapshot: None,
        window_rows: limits::TRAINING_WINDOW_ROWS,
    }
}
