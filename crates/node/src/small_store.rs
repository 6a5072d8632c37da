//! A store of one shard, one view of counters and one service, for tests of what is not public.

use std::sync::Arc;

use lineate_segment::intake::{ForeignFile, Intake};
use lineate_types::{HistoryId, ShardId, limits};

use crate::{Node, SystemClock, SystemDisk, api::Options, maintenance::system};

/// Its only shard.
pub(crate) const SHARD: ShardId = ShardId(0);

/// Opens it, or makes it.
pub(crate) async fn open(data_dir: std::path::PathBuf) -> Node {
    let options = Options {
        data_dir,
        shards: Some(1),
        cache_bytes: limits::CACHE_BYTES,
        log_bytes: limits::LOG_BYTES,
        clock: Arc::new(SystemClock),
        disk: Arc::new(SystemDisk),
    };
    let node = Node::open(options).await.expect("the store opens");
    let definitions = serde_json::from_value(serde_json::json!({
        "project": "p",
        "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
        "views": [{
            "name": "counters", "entity": "thing", "event_time": "happened",
            "features": [{"name": "value", "type": "int64"}]
        }],
        "services": [{"name": "s", "features": ["counters.value"]}]
    }));
    node.apply(&system(), &definitions.expect("valid"), false).await.expect("applies");
    node
}

/// Writes a row.
pub(crate) async fn push(node: &Node) -> HistoryId {
    let (project, view) = ("p".parse().expect("a name"), "counters".parse().expect("a name"));
    let view = node.catalog().view(&project, &view).expect("defined").clone();
    let line = "{\"id\": \"a\", \"happened\": \"2024-01-01T00:00:00Z\", \"value\": 1}\n";
    let file = ForeignFile::from_bytes("rows", line.to_owned().into());
    let rows = Intake::new(&view).open(&file).expect("opens").next().expect("rows").expect("reads");
    for write in node.push(&system(), &view, &rows, 0, None).await.expect("pushes") {
        write.result.expect("is written");
    }
    view.history
}
