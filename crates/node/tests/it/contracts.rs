//! What was acknowledged is seen, also where the clock steps back; what is over is refused.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arrow::array::RecordBatch;
use lineate_consensus::Clock;
use lineate_ledger::{Record, record::Kind};
use lineate_node::{
    Node, SystemClock, SystemDisk,
    api::{LookupRequest, ModelRequest, Options},
};
use lineate_segment::intake::{ForeignFile, Intake};
use lineate_state::meta::LoadOutcome;
use lineate_types::{ShardId, TimestampUs, limits};

use crate::store::{SHARDS, definitions, line, load_request, look, push, tester, values, view};

/// The clock of the machine, off by so much.
#[derive(Debug, Clone, Default)]
struct SteppingClock(Arc<AtomicI64>);

impl Clock for SteppingClock {
    fn now(&self) -> TimestampUs {
        TimestampUs(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}

async fn open(path: &Path, clock: SteppingClock) -> Node {
    let (cache_bytes, log_bytes) = (limits::CACHE_BYTES, limits::LOG_BYTES);
    let clock = Arc::new(clock);
    let (shards, disk) = (Some(SHARDS), Arc::new(SystemDisk));
    let options = Options { data_dir: path.to_owned(), shards, cache_bytes, log_bytes, clock, disk };
    let node = Node::open(options).await.expect("the store opens");
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_reported_as_failed_is_not_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SteppingClock::default();
    let node = open(dir.path(), clock.clone()).await;
    let ids = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let request = load_request(&node, ids.iter().map(|id| line(id, 7)).collect()).await;
    let watched = node.clone();
    let watching = std::thread::spawn(move || {
        let is_committed = |outcome| matches!(outcome, LoadOutcome::Committed { .. });
        while !watched.meta().read().loads().any(|(_, load)| is_committed(load.outcome)) {
            std::hint::spin_loop();
        }
        clock.0.fetch_sub(10_000_000, Ordering::SeqCst);
    });
    let loaded = node.ingest(&tester(), request, Arc::new(|_| ())).await;
    watching.join().expect("no panic");
    let seen = values(&look(&node, &ids).await);
    let committed = node.meta().read().loads().map(|(_, load)| load.outcome).collect::<Vec<_>>();
    assert!(loaded.is_ok(), "reported: {loaded:?}; the ledger: {committed:?}; seen: {seen:?}");
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_acknowledged_are_in_a_snapshot_of_now_after_the_clock_stepped_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SteppingClock::default();
    let node = open(dir.path(), clock.clone()).await;
    let counters = view(&node);
    let file = ForeignFile::from_bytes("rows", line("a", 7).into());
    let batch = Intake::new(&counters).open(&file).expect("opens").next().expect("rows").expect("reads");
    let writes = node.push(&tester(), &counters, &batch, 0, None).await.expect("pushes");
    let committed = writes[0].result.as_ref().expect("is written").commit_time;
    clock.0.fetch_sub(1_000_000, Ordering::SeqCst);
    assert_sees(&node, committed).await;
    node.shutdown().await.expect("stops");
    drop(node);
    let node = open(dir.path(), clock).await;
    assert_sees(&node, committed).await;
    node.shutdown().await.expect("stops");
}

/// The row is seen online, and a snapshot of now holds it.
async fn assert_sees(node: &Node, committed: TimestampUs) {
    assert_eq!(values(&look(node, &["a".to_owned()]).await), [Some(7)]);
    let snapshot = node.snapshot(&tester(), None, &[view(node).history]).await.expect("a snapshot");
    let at = snapshot.at();
    assert!(at >= committed, "the snapshot of now is at {at}, a row was acknowledged at {committed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_in_several_shards_are_answered_after_the_clock_stepped_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SteppingClock::default();
    let node = open(dir.path(), clock.clone()).await;
    let ids: Vec<String> = (0..20).map(|key| format!("key-{key}")).collect();
    // Only one of the shards has a row.
    push(&node, &view(&node), line("key-0", 7)).await;
    clock.0.fetch_sub(10_000_000, Ordering::SeqCst);
    let ids_array = Arc::new(arrow::array::StringArray::from(ids)) as _;
    let request = LookupRequest {
        project: None,
        service: "s".parse().expect("a name"),
        entities: RecordBatch::try_from_iter([("id", ids_array)]).expect("a table"),
        at: None,
    };
    let reply = node.lookup(&request).await;
    assert!(reply.is_ok(), "{:?}", reply.err());
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_one_shard_does_not_end_the_background_work_of_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), SteppingClock::default()).await;
    let lines = |value| (0..40).map(|key| line(&format!("key-{key}"), value)).collect::<String>();
    let most = limits::SEGMENTS_BEFORE_COMPACTION as i64;
    let load = async |node: &Node, value| {
        let request = load_request(node, lines(value)).await;
        node.ingest(&tester(), request, Arc::new(|_| ())).await.expect("loads");
    };
    for value in 0..most {
        load(&node, value).await;
    }
    let first = {
        let meta = node.meta().read();
        let ledger = meta.ledger();
        let loads = ledger.entries_of(Kind::Load).filter_map(|entry| match ledger.record(&entry.record) {
            Some(Record::Load(load)) => Some(load.segments.clone()),
            _ => None,
        });
        let mut segments = loads.flatten().filter(|segment| segment.shard == ShardId(0));
        segments.next().expect("a segment of the first shard").physical_hash
    };
    node.blobs().delete(&first).expect("is damaged");
    // So that the file is not open any more.
    node.shutdown().await.expect("stops");
    drop(node);
    let node = open(dir.path(), SteppingClock::default()).await;
    load(&node, most).await;
    let begun = std::time::Instant::now();
    // Nine in each shard: those of the second become two.
    while node.status().segments > 11 {
        assert!(begun.elapsed().as_secs() < 10, "{} segments after 10 s", node.status().segments);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_runs_beyond_the_memory_for_them_are_sealed_the_largest_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), SteppingClock::default()).await;
    let counters = view(&node);
    let lines: String = (0..1_000).map(|key| line(&format!("key-{key}"), 1)).collect();
    push(&node, &counters, lines).await;
    node.bound_open_runs(usize::MAX).await.expect("nothing to do");
    assert_eq!((node.status().open_rows, node.status().sealed_rows), (1_000, 0));
    // Two shards hold about the same: one of them is enough.
    node.bound_open_runs(100_000).await.expect("freezes");
    let begun = std::time::Instant::now();
    while node.status().sealed_rows == 0 {
        assert!(begun.elapsed().as_secs() < 60, "{:?}", node.status());
        tokio::task::yield_now().await;
    }
    let (opened, sealed) = (node.status().open_rows, node.status().sealed_rows);
    assert!(opened > 0 && sealed > opened / 2, "{opened} rows are open, {sealed} are sealed");
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_refused_leaves_no_artifact() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), SteppingClock::default()).await;
    let blobs = || {
        let mut count = 0;
        node.blobs()
            .list(&mut |_, _| {
                count += 1;
                Ok(())
            })
            .expect("lists");
        count
    };
    let before = blobs();
    let mut sink = node.upload().await.expect("uploads");
    sink.write("weights".into()).await.expect("writes");
    let request = ModelRequest {
        project: None,
        name: "m".parse().expect("a name"),
        datasets: Vec::new(),
        artifact: Some(sink.finish().await.expect("finishes").id),
        code: None,
        parameters: Vec::new(),
        metrics: vec![("auc".into(), "no number".into())],
    };
    node.register_model(&tester(), request).await.expect_err("a metric is a number");
    let begun = std::time::Instant::now();
    while blobs() != before {
        assert!(begun.elapsed().as_secs() < 60, "{} blobs, {before} before", blobs());
        tokio::task::yield_now().await;
    }
    node.shutdown().await.expect("stops");
}
