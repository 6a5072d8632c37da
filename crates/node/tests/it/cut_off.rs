//! Loads whose caller goes away, at every place: whole or not at all, and nothing is left behind.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lineate_node::{
    Node, Unfinished,
    api::{LoadRequest, OnProgress},
};
use lineate_types::limits;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::sync::Notify;

use crate::store::{SHARDS, blobs, eventually, line, load_request, look, open, tester, values};

const KEYS: usize = 40;
fn ids() -> Vec<String> {
    (0..KEYS).map(|number| format!("key-{number}")).collect()
}

async fn request(node: &Node, value: i64) -> LoadRequest {
    load_request(node, ids().iter().map(|id| line(id, value)).collect()).await
}

/// Tells when so many steps were reported.
fn after_steps(steps: usize) -> (OnProgress, Arc<Notify>) {
    let (count, reached) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let told = reached.clone();
    let progress = move |_| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == steps {
            told.notify_one();
        }
    };
    (Arc::new(progress), reached)
}

/// The value of every key, which must be the same.
async fn value(node: &Node) -> Option<i64> {
    let values = values(&look(node, &ids()).await);
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "a part of a load is visible: {values:?}");
    values[0]
}

async fn assert_nothing_is_left(node: &Node) {
    eventually("an end of everything", || node.unfinished() == Unfinished::default()).await;
    // A segment is two blobs.
    eventually("the removal of unused blobs", || blobs(node) == 2 * node.status().segments).await;
}

#[test]
fn a_load_cut_off_anywhere_is_whole_or_gone_and_leaves_nothing_behind() {
    let runtime = tokio::runtime::Runtime::new().expect("starts");
    let directory = tempfile::tempdir().expect("a directory");
    let node = runtime.block_on(open(directory.path(), limits::CACHE_BYTES));
    let newest = std::cell::Cell::new((0, None));
    // A load reports reading once, a segment for each shard and one step before, and the commit.
    let steps = 0..=usize::from(SHARDS) + 4;
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, ..ProptestConfig::default() });
    let cut = runner.run(&(steps, 0..6_000_u64), |(steps, micros)| {
        runtime.block_on(async {
            let (last, before) = newest.get();
            let next = last + 1;
            let (progress, reached) = after_steps(steps);
            let request = request(&node, next).await;
            let tester = tester();
            let mut load = Box::pin(node.ingest(&tester, request, progress));
            if steps == 0 {
                // Dropped after its first poll, wherever that leads.
                let polled = poll_fn(|context| std::task::Poll::Ready(load.as_mut().poll(context))).await;
                assert!(polled.is_pending());
            } else {
                let cut = async {
                    reached.notified().await;
                    tokio::time::sleep(Duration::from_micros(micros)).await;
                };
                tokio::select! { _ = &mut load => {}, () = cut => {} }
            }
            drop(load);
            assert_nothing_is_left(&node).await;
            let after = value(&node).await;
            assert!(after == before || after == Some(next), "{after:?} after {before:?} and {next}");
            newest.set((next, after));
        });
        Ok(())
    });
    cut.expect("holds");
    // Nothing is locked: a load that nobody cuts off is whole.
    runtime.block_on(async {
        let next = newest.get().0 + 1;
        let request = request(&node, next).await;
        node.ingest(&tester(), request, Arc::new(|_| ())).await.expect("loads");
        assert_eq!(value(&node).await, Some(next));
        assert_nothing_is_left(&node).await;
        node.shutdown().await.expect("stops");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_ends_its_loads_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut before = None;
    for (next, steps) in (1..).zip(1..=usize::from(SHARDS) + 3) {
        let node = open(directory.path(), limits::CACHE_BYTES).await;
        let (progress, reached) = after_steps(steps);
        let request = request(&node, next).await;
        let mut loading = tokio::spawn({
            let node = node.clone();
            async move { node.ingest(&tester(), request, progress).await }
        });
        // Segments that are written together are one step, so there may be fewer.
        let ended = tokio::select! {
            () = reached.notified() => None,
            ended = &mut loading => Some(ended),
        };
        node.shutdown().await.expect("stops");
        let ended = match ended {
            Some(ended) => ended,
            None => loading.await,
        };
        let loaded = ended.expect("ends").is_ok();
        drop(node);
        let node = open(directory.path(), limits::CACHE_BYTES).await;
        assert_eq!(node.unfinished(), Unfinished::default());
        let after = value(&node).await;
        assert_eq!(after, if loaded { Some(next) } else { before });
        before = after;
        node.shutdown().await.expect("stops");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_given_up_leaves_no_file_and_no_place_taken() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let mut sink = node.upload().await.expect("begins");
    sink.write("some bytes".into()).await.expect("writes");
    assert_eq!(node.unfinished().uploads, 1);
    drop(sink);
    assert_eq!(node.unfinished().uploads, 0);
    let mut beginning = Box::pin(node.upload());
    drop(poll_fn(|context| std::task::Poll::Ready(beginning.as_mut().poll(context))).await);
    drop(beginning);
    eventually("the end of an upload that nobody began", || node.unfinished().uploads == 0).await;
    let left = std::fs::read_dir(node.data_dir().tmp_dir()).expect("lists").count();
    assert_eq!(left, 0);
    node.shutdown().await.expect("stops");
}
