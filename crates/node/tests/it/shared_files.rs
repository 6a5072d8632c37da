//! Loads that name files which are there, or which another load brings at the same time.

use std::sync::Arc;

use futures::future::join_all;
use lineate_node::{
    Node,
    api::{LoadFile, LoadReport, LoadRequest},
};
use lineate_types::limits;

use crate::store::{line, look, open, tester, values};

/// The row of a file: a key of its own.
fn row(file: usize) -> String {
    line(&format!("key-{file}"), 1)
}

async fn request(node: &Node, files: &[usize], again: bool) -> LoadRequest {
    let mut uploads = Vec::new();
    for file in files {
        let mut sink = node.upload().await.expect("uploads");
        sink.write(row(*file).into()).await.expect("writes");
        let path = format!("file-{file}.ndjson");
        uploads.push(LoadFile { path, upload: sink.finish().await.expect("finishes").id });
    }
    LoadRequest { project: None, view: "counters".parse().expect("a name"), files: uploads, again }
}

async fn load(node: &Node, files: &[usize], again: bool) -> LoadReport {
    let request = request(node, files, again).await;
    node.ingest(&tester(), request, Arc::new(|_| ())).await.expect("loads")
}

fn skipped(report: &LoadReport) -> Vec<bool> {
    report.files.iter().map(|file| file.skipped).collect()
}

fn rows(node: &Node) -> u64 {
    node.status().open_rows + node.status().sealed_rows
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_there_are_skipped_and_the_others_are_one_load() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let first = load(&node, &[0], false).await;
    let second = load(&node, &[0, 1, 2, 1], false).await;
    assert_eq!((second.rows, second.already_loaded), (2, false));
    assert_eq!(skipped(&second), [true, false, false, true]);
    let records: Vec<_> = second.files.iter().map(|file| file.record).collect();
    assert_eq!(records, [first.record, second.record, second.record, second.record]);
    assert!(second.files.iter().all(|file| file.rows == 1), "{second:?}");
    assert_eq!(second.files[0].commit_time, first.commit_time);
    // Nothing is left to be loaded, in whatever order it is asked for.
    let third = load(&node, &[2, 0, 1], false).await;
    assert_eq!((third.rows, third.already_loaded, third.record), (0, true, second.record));
    assert_eq!((skipped(&third), rows(&node)), (vec![true; 3], 3));
    let again = load(&node, &[0, 0], true).await;
    assert_eq!((again.rows, skipped(&again), rows(&node)), (2, vec![false; 2], 5));
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_loads_that_share_files_at_the_same_time_each_file_is_loaded_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    const FILES: usize = 8;
    for round in 0..6 {
        let (before, offset) = (rows(&node), round * FILES);
        let all: Vec<usize> = (offset..offset + FILES).collect();
        let mut requests = Vec::new();
        // Chains of files that overlap, and one load of all.
        for pair in all.windows(3).chain([all.as_slice()]) {
            requests.push(request(&node, pair, false).await);
        }
        let loads = requests.into_iter().map(|request| {
            let node = node.clone();
            tokio::spawn(async move { node.ingest(&tester(), request, Arc::new(|_| ())).await })
        });
        let reports = join_all(loads).await.into_iter().map(|load| load.expect("no panic").expect("loads"));
        let reports: Vec<LoadReport> = reports.collect();
        assert_eq!(reports.iter().map(|report| report.rows).sum::<u64>(), FILES as u64, "{reports:?}");
        let read = reports.iter().flat_map(|report| &report.files).filter(|file| !file.skipped).count();
        assert_eq!((read, rows(&node) - before), (FILES, FILES as u64));
        let ids: Vec<String> = all.iter().map(|file| format!("key-{file}")).collect();
        assert_eq!(values(&look(&node, &ids).await), [Some(1); FILES]);
    }
    assert_eq!(node.unfinished().loads, 0);
    node.shutdown().await.expect("stops");
}
