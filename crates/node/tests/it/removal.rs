//! What compaction leaves over is removed while others go on reading.

use std::sync::Arc;

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
