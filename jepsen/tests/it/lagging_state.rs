//! The state behind the log, as a loss of power leaves it, put there by hand: no FUSE is needed to see it.

use std::{fs, path::Path, process::Command};

use lineate_client::{Client, UploadSource, v1::IngestFile};
use lineate_jepsen::{
    history::History,
    random::Random,
    server::{self, Server},
    table::{self, SERVICE},
    workload::entities,
};

const ROWS: u64 = 500;

fn start(directory: &Path) -> Server {
    Server::start(&directory.join("store"), &directory.join("log")).expect("starts")
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().expect("runs");
    assert!(copied.success(), "cannot copy {}", from.display());
}

async fn load(client: &Client) {
    let rows = History::default().new_rows(ROWS, &mut Random::new(1));
    let upload = UploadSource::Bytes { name: "a.csv".into(), bytes: table::csv(&rows) };
    let upload_id = client.upload(upload, |_| ()).await.expect("uploads").upload_id;
    let file = IngestFile { upload_id, name: "a.csv".into() };
    client.ingest("loaded", vec![file], false, |_| ()).await.expect("loads");
}

async fn everything_is_there(server: &Server) {
    let client = server.client().await.expect("answers");
    let everyone: Vec<i64> = (0..300).collect();
    client.get_features(SERVICE, entities(&everyone), None).await.expect("every segment is there");
    // A lookup waits until the log is applied; the status tells what is there by now.
    let status = client.status().await.expect("answers");
    assert_eq!(status.open_rows + status.sealed_rows, ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_only_the_log_names_yet_outlive_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (store, older) = (directory.path().join("store"), directory.path().join("older"));
    server::make_store(&store, 2).expect("made");
    let server = start(directory.path());
    let client = server.client().await.expect("answers");
    client.apply(table::definitions()).await.expect("defines");
    server.stop().expect("ends in order");
    copy(&store.join("kv"), &older);

    let server = start(directory.path());
    load(&server.client().await.expect("answers")).await;
    server.kill().expect("no panic");
    fs::remove_dir_all(store.join("kv")).expect("removed");
    copy(&older, &store.join("kv"));

    let server = start(directory.path());
    everything_is_there(&server).await;
    server.stop().expect("ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_lost_is_rebuilt_from_a_whole_log() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("store");
    server::make_store(&store, 2).expect("made");
    let server = start(directory.path());
    let client = server.client().await.expect("answers");
    client.apply(table::definitions()).await.expect("defines");
    load(&client).await;
    server.kill().expect("no panic");
    fs::remove_dir_all(store.join("kv")).expect("removed");

    let server = start(directory.path());
    everything_is_there(&server).await;
    server.stop().expect("ends in order");
}
