//! Compaction stays within its bounds, and what it leaves over is removed while others go on reading.

use std::sync::Arc;

use lineate_node::{CompactionBounds, CompactionSize};
use lineate_segment::run::RowSource;
use lineate_types::{ShardId, limits};

use crate::store::{SHARDS, blobs, compact, eventually, line, load, look, open, tester, values, view};

/// All values of column `value`, by segment and row.
fn read(runs: &[Arc<dyn RowSource>]) -> usize {
    let rows = |run: &Arc<dyn RowSource>| -> usize {
        let keys = run.keys().expect("reads");
        let rows: Vec<u32> =
            (0..keys.keys().len()).flat_map(|key| keys.rows_of(key)).map(|row| row as u32).collect();
        let schema = Arc::new(arrow::datatypes::Schema::new(run.columns()));
        run.gather(&rows, &schema).expect("gathers").num_rows()
    };
    runs.iter().map(rows).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_frees_its_inputs_while_a_snapshot_and_its_open_runs_are_held() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let ids: Vec<String> = (0..40).map(|number| format!("key-{number}")).collect();
    for value in 0..4 {
        load(&node, ids.iter().map(|id| line(id, value)).collect()).await;
    }
    let history = view(&node).history;
    let snapshot = node.snapshot(&tester(), None, &[history]).await.expect("a snapshot");
    let runs = || -> Vec<_> {
        (0..SHARDS).flat_map(|shard| snapshot.runs(history, ShardId(shard)).expect("opens")).collect()
    };
    let open = runs();
    assert_eq!(open.len(), 4 * usize::from(SHARDS));
    compact(&node).await;
    let left = 2 * u64::from(SHARDS);
    eventually("the removal of what was compacted", || blobs(&node) == left).await;
    assert_eq!(read(&open), 160, "what was open stays readable");
    let compacted = runs();
    assert_eq!((compacted.len(), read(&compacted)), (usize::from(SHARDS), 160), "the snapshot is the same");
    assert_eq!(values(&look(&node, &ids).await), vec![Some(3); 40]);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_to_compact_is_left_alone_and_the_rest_is_compacted_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let ids: Vec<String> = (0..40).map(|number| format!("key-{number}")).collect();
    let inputs = CompactionSize { rows: 60, key_bytes: u64::MAX, bytes: u64::MAX };
    let bounds = CompactionBounds { segments: 1, inputs };
    let history = view(&node).history;
    for value in 0..8 {
        load(&node, ids.iter().map(|id| line(id, value)).collect()).await;
        for shard in node.shard_ids() {
            while node.compact(shard, history, &bounds).await.expect("compacts") {}
        }
    }
    let snapshot = node.snapshot(&tester(), None, &[history]).await.expect("a snapshot");
    let mut all = 0;
    for shard in node.shard_ids() {
        let runs = snapshot.runs(history, shard).expect("opens");
        let rows: Vec<usize> = runs.iter().map(|run| run.keys().expect("reads").rows()).collect();
        assert!(rows.iter().all(|rows| *rows <= 60), "{rows:?}");
        assert!(rows.iter().filter(|rows| **rows <= 30).count() <= 1, "{rows:?}");
        all += rows.iter().sum::<usize>();
    }
    assert_eq!(all, 320);
    assert_eq!(values(&look(&node, &ids).await), vec![Some(7); 40]);
    node.shutdown().await.expect("stops");
}
