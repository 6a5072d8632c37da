//! A disk that is nearly full takes no new data, whatever it comes as.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lineate_node::{
    CompactionBounds, DiskSpace, Error, Node, Unfinished,
    api::{LoadFile, LoadRequest, ModelRequest},
};
use lineate_types::{ErrorKind, HasKind, HistoryId, limits};

use crate::store::{definitions, line, load_request, open_on, push, seal, tester, view};

/// A disk with so many bytes left.
#[derive(Debug, Clone)]
struct Left(Arc<AtomicU64>);

impl DiskSpace for Left {
    fn available_bytes(&self, _: &Path) -> lineate_storage::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

impl Left {
    /// So many bytes beside those that are kept free.
    fn set(&self, beside: u64) {
        self.0.store(limits::RESERVED_DISK_BYTES + beside, Ordering::SeqCst);
    }
}

const PLENTY: u64 = 1 << 40;

async fn store(path: &Path) -> (Node, Left) {
    let left = Left(Arc::new(AtomicU64::new(PLENTY)));
    let node = open_on(path, limits::CACHE_BYTES, limits::LOG_BYTES, Arc::new(left.clone())).await;
    let node = node.expect("the store opens");
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    (node, left)
}

/// Every file of what is beside the log and the state.
fn files(path: &Path) -> usize {
    let entries = ["tmp", "blobs"].map(|part| std::fs::read_dir(path.join(part)).expect("a directory"));
    let mut count = 0;
    for entry in entries.into_iter().flatten() {
        let entry = entry.expect("an entry").path();
        count += if entry.is_dir() { std::fs::read_dir(entry).expect("a directory").count() } else { 1 };
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_stops_before_the_reserve_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, left) = store(dir.path()).await;
    let before = files(dir.path());
    let mut sink = node.upload().await.expect("uploads");
    sink.write(vec![1; 1000].into()).await.expect("there is room");
    left.set(999);
    let refused = sink.write(vec![2; 1000].into()).await.expect_err("the rest is kept free");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    assert!(refused.to_string().contains("besides the"), "{refused}");
    drop(sink);
    assert_eq!((node.uploads().count(), files(dir.path())), (0, before));
    left.set(PLENTY);
    let mut sink = node.upload().await.expect("uploads");
    sink.write(vec![2; 1000].into()).await.expect("there is room");
    assert_eq!(sink.finish().await.expect("finishes").bytes, 1000);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_and_a_model_file_stop_before_the_reserve_and_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, left) = store(dir.path()).await;
    let before = files(dir.path());
    // Room for commands, not for a segment or a blob.
    let LoadRequest { files: handed, .. } = load_request(&node, line("a", 1)).await;
    let request = load_request(&node, line("a", 1)).await;
    left.set(1);
    let refused = node.ingest(&tester(), request, Arc::new(|_| ())).await.expect_err("no room for segments");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    let artifact = handed.first().map(|LoadFile { upload, .. }| *upload);
    let model = ModelRequest {
        project: None,
        name: "m".parse().expect("a name"),
        datasets: vec![],
        artifact,
        code: None,
        parameters: vec![],
        metrics: vec![],
    };
    let refused = node.register_model(&tester(), model).await.expect_err("no room for its file");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    assert_eq!(node.unfinished(), Unfinished::default());
    assert_eq!(files(dir.path()), before);
    node.shutdown().await.expect("stops");
}

/// A disk that has room for so many times it is asked, and then not.
#[derive(Debug, Default)]
struct Filling(AtomicU64);

impl DiskSpace for Filling {
    fn available_bytes(&self, _: &Path) -> lineate_storage::Result<u64> {
        let down = |left: u64| left.checked_sub(1);
        let has_room = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down).is_ok();
        Ok(if has_room { PLENTY } else { limits::RESERVED_DISK_BYTES })
    }
}

async fn two_segments(node: &Node) -> HistoryId {
    for value in 0..2 {
        push(node, &view(node), line("a", value)).await;
        seal(node).await;
    }
    view(node).history
}

/// Compacts whatever can be, in the one shard that has rows.
async fn compact_all(node: &Node, history: HistoryId) -> Result<bool, Error> {
    let mut any = false;
    for shard in node.shard_ids() {
        any |= node.compact(shard, history, &CompactionBounds::down_to(1)).await?;
    }
    Ok(any)
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_waits_for_room_beside_the_reserve_without_reading_or_writing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, left) = store(dir.path()).await;
    let history = two_segments(&node).await;
    let before = files(dir.path());
    // The output takes about as much as the inputs, which are small.
    for beside in [0, node.status().segment_bytes - 1] {
        left.set(beside);
        assert!(!compact_all(&node, history).await.expect("is put off"), "{beside}");
        assert_eq!((node.status().segments, files(dir.path())), (2, before));
    }
    left.set(PLENTY);
    assert!(compact_all(&node, history).await.expect("compacts"));
    assert_eq!(node.status().segments, 1);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_reaches_the_reserve_fails_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(Filling(AtomicU64::new(u64::MAX)));
    let node = open_on(dir.path(), limits::CACHE_BYTES, limits::LOG_BYTES, disk.clone()).await;
    let node = node.expect("the store opens");
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    let history = two_segments(&node).await;
    let before = files(dir.path());
    // Room at first, and when it writes somebody else took it.
    disk.0.store(1, Ordering::SeqCst);
    let refused = compact_all(&node, history).await.expect_err("no room");
    assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
    assert_eq!((node.status().segments, files(dir.path())), (2, before));
    disk.0.store(u64::MAX, Ordering::SeqCst);
    assert!(compact_all(&node, history).await.expect("compacts"));
    node.shutdown().await.expect("stops");
}
