//! Connecting, uploading, following long work.

use std::io::Write;

use lineate_client::{Client, Error, UploadSource};
use lineate_types::{ErrorKind, HasKind, limits};

use crate::server::FakeStore;

#[tokio::test]
async fn nobody_there_is_said_plainly() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let error = Client::connect(&address).await.expect_err("nobody listens");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_file_arrives_whole() {
    let store = FakeStore::default();
    let bytes: Vec<u8> = (0..2 * limits::CHUNK_BYTES + 17).map(|n| (n % 251) as u8).collect();
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    file.write_all(&bytes).expect("writes");
    let source = UploadSource::File(file.path().to_owned());
    let uploaded = store.client().upload(source, |_| ()).await.expect("uploads");
    assert_eq!((uploaded.upload_id.as_str(), uploaded.bytes), ("u1", bytes.len() as u64));
    let written = store.written.lock().expect("not poisoned");
    assert_eq!(written.uploads, [bytes]);
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let source = UploadSource::File("no/such.parquet".into());
    let error = FakeStore::default().client().upload(source, |_| ()).await.expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no/such.parquet"), "{error}");
}

#[tokio::test]
async fn long_work_reports_progress_and_ends_with_its_result() {
    let mut phases = Vec::new();
    let report = FakeStore::default()
        .client()
        .ingest("weather", vec![], false, |progress| phases.push(progress.phase))
        .await
        .expect("ingests");
    assert_eq!((phases, report.rows), (vec!["reading".to_owned()], 2));
}
