//! A second process, a newer format, clients that vanish: clear errors, and nothing visible of what was cut off.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use lineate_client::{
    Client,
    v1::{IngestRequest, UploadRequest},
};
use lineate_jepsen::{
    history::{History, Row},
    random::Random,
    server::{self, Server},
    table,
    workload::raw_store,
};
use tempfile::TempDir;

/// A server on a new store with definitions.
async fn serving() -> (TempDir, Server, Client) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    server::make_store(&directory.path().join("store"), 2).expect("made");
    let server = start(directory.path());
    let client = server.client().await.expect("answers");
    client.apply(table::definitions()).await.expect("defines");
    (directory, server, client)
}

fn start(directory: &Path) -> Server {
    Server::start(&directory.join("store"), &directory.join("log")).expect("starts")
}

fn some_rows(count: u64) -> Vec<Row> {
    History::default().new_rows(count, &mut Random::new(1))
}

async fn stored_rows(client: &Client) -> u64 {
    let status = client.status().await.expect("answers");
    status.open_rows + status.sealed_rows
}

fn refusal(arguments: &[&str]) -> serde_json::Value {
    let ended = server::run(arguments.iter().chain(&["--format", "json"])).expect("runs");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let text = String::from_utf8(ended.stderr).expect("text");
    // Logs may come before it.
    let error = text.find("{\"error\"").or_else(|| text.find("{\n")).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(&text[error..]).expect("an error as JSON");
    document["error"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_a_directory_is_told_who_has_it() {
    let (directory, server, client) = serving().await;
    let store = directory.path().join("store").display().to_string();
    let pid = format!("process {}", server.pid());
    for command in [
        &["serve", "--data-dir", &store, "--listen", "127.0.0.1:0"][..],
        &["--data-dir", &store, "dataset", "list"],
        &["--data-dir", &store, "verify"],
    ] {
        let error = refusal(command);
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(&store) && message.contains(&pid), "{command:?}: {error}");
        assert!(message.contains(server.address()), "it does not say which --addr to use: {error}");
    }
    assert_eq!(stored_rows(&client).await, 0);
    server.stop().expect("ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_newer_format_is_refused_and_left_as_it_is() {
    let (directory, server, client) = serving().await;
    drop(client);
    server.stop().expect("ends in order");
    let store = directory.path().join("store");
    let format = store.join("FORMAT");
    let old = fs::read_to_string(&format).expect("text");
    fs::write(&format, old.replace("format 2\n", "format 99\n")).expect("written");
    assert_ne!(fs::read_to_string(&format).expect("text"), old);
    let error = refusal(&["serve", "--data-dir", &store.display().to_string(), "--listen", "127.0.0.1:0"]);
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("99") && message.contains("FORMAT"), "{error}");
    fs::write(&format, old).expect("written");
    let server = start(directory.path());
    assert_eq!(stored_rows(&server.client().await.expect("answers")).await, 0);
    server.stop().expect("nothing was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_upload_that_was_cut_off_nothing_can_be_used() {
    let (directory, server, client) = serving().await;
    let csv = table::csv(&some_rows(1_000));
    let mut store = raw_store(server.address()).await.expect("answers");
    let half = UploadRequest { chunk: csv.slice(..csv.len() / 2), last: false };
    // The stream ends without a last chunk.
    let cut = store.upload(tokio_stream::iter([half.clone()])).await;
    assert!(cut.is_err(), "an upload without an end was accepted: {cut:?}");
    // The connection goes away in the middle.
    {
        let mut vanishing = raw_store(server.address()).await.expect("answers");
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        sender.send(half).await.expect("open");
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let cut = tokio::time::timeout(Duration::from_millis(300), vanishing.upload(requests)).await;
        assert!(cut.is_err(), "half an upload was answered: {cut:?}");
        drop(sender);
    }
    assert_eq!(stored_rows(&client).await, 0);
    let left = || fs::read_dir(directory.path().join("store/tmp")).expect("listed").count();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while left() > 0 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(), 0, "what was cut off is still on the disk");
    server.stop().expect("ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_client_vanished_is_there_wholly_or_not_at_all() {
    let (directory, server, client) = serving().await;
    let rows = some_rows(20_000);
    let upload = lineate_client::UploadSource::Bytes { name: "a.csv".into(), bytes: table::csv(&rows) };
    let uploaded = client.upload(upload, |_| ()).await.expect("uploads");
    let file = lineate_client::v1::IngestFile { upload_id: uploaded.upload_id, name: "a.csv".into() };
    {
        let mut vanishing = raw_store(server.address()).await.expect("answers");
        let request = IngestRequest { view: "loaded".into(), files: vec![file], again: false };
        let mut events = vanishing.ingest(request).await.expect("begins").into_inner();
        let _first = events.message().await;
    }
    // Whether it was finished or given up, it ends; stopping in order waits for it.
    server.stop().expect("ends in order");
    let server = start(directory.path());
    let client = server.client().await.expect("answers");
    let found = stored_rows(&client).await;
    assert!(found == 0 || found == rows.len() as u64, "{found} of {} rows are there", rows.len());
    // The same files again make it whole.
    let upload = lineate_client::UploadSource::Bytes { name: "a.csv".into(), bytes: table::csv(&rows) };
    let uploaded = client.upload(upload, |_| ()).await.expect("uploads");
    let file = lineate_client::v1::IngestFile { upload_id: uploaded.upload_id, name: "a.csv".into() };
    let report = client.ingest("loaded", vec![file], false, |_| ()).await.expect("loads");
    assert_eq!(report.already_loaded, found != 0);
    assert_eq!(stored_rows(&client).await, rows.len() as u64);
    server.stop().expect("ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_push_whose_client_vanished_whole_batches_are_there() {
    use lineate_client::v1::{PushBatch, PushOpen, PushRequest, push_batch, push_request::Request};
    let (_directory, server, client) = serving().await;
    let writer = client.open_writer(None).await.expect("issued");
    let rows = some_rows(1_000);
    let batches: Vec<Bytes> = rows.chunks(100).map(table::ndjson).collect();
    {
        let mut vanishing = raw_store(server.address()).await.expect("answers");
        let (sender, receiver) = tokio::sync::mpsc::channel(32);
        let open = PushOpen { view: "pushed".into(), writer: Some(writer) };
        sender.send(PushRequest { request: Some(Request::Open(open)) }).await.expect("open");
        for (sequence, rows) in (1..).zip(&batches) {
            let rows = Some(push_batch::Rows::Ndjson(rows.clone()));
            let batch = PushBatch { sequence, rows, first_row: 0 };
            sender.send(PushRequest { request: Some(Request::Batch(batch)) }).await.expect("open");
        }
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut acks = vanishing.push(requests).await.expect("begins").into_inner();
        let first = acks.message().await.expect("answers").expect("an answer");
        assert_eq!((first.sequence, first.rows, first.duplicate), (1, 100, false));
    }
    // Sent again under their numbers, all are there, each once.
    let (sender, receiver) = tokio::sync::mpsc::channel(32);
    let open = PushOpen { view: "pushed".into(), writer: Some(writer) };
    sender.send(PushRequest { request: Some(Request::Open(open)) }).await.expect("open");
    for (sequence, rows) in (1..).zip(&batches) {
        let batch = PushBatch { sequence, rows: Some(push_batch::Rows::Ndjson(rows.clone())), first_row: 0 };
        sender.send(PushRequest { request: Some(Request::Batch(batch)) }).await.expect("open");
    }
    drop(sender);
    let mut store = raw_store(server.address()).await.expect("answers");
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut acks = store.push(requests).await.expect("begins").into_inner();
    let mut answered = 0;
    while let Some(ack) = acks.message().await.expect("answers") {
        assert!(ack.shards.iter().all(|shard| shard.error.is_none()), "{ack:?}");
        answered += 1;
    }
    assert_eq!(answered, batches.len());
    assert_eq!(stored_rows(&client).await, rows.len() as u64);
    server.stop().expect("ends in order");
}
