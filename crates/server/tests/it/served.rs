//! A server of this process on a port of its own, with the verbs tests use.

use std::{path::PathBuf, time::Duration};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    ipc::writer::StreamWriter,
};
use futures::{Stream, stream};
use lineate_proto::v1::{
    self, ApplyRequest, DefinitionFile, IngestEvent, IngestFile, IngestRequest, PushBatch, PushOpen,
    PushRequest, StatusRequest, UploadRequest, push_batch::Rows, push_request::Request as Step,
};
use lineate_server::{Bounds, Result, ServeOptions, Server};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Status, transport::Channel};

/// How long anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

const DEFINITIONS: &str = "\
project: shop
entities:
  - {name: item, keys: [{name: sku, type: string}]}
views:
  - {name: sales, entity: item, event_time: at, features: [{name: sold, type: int64}, {name: note, type: string}]}
services:
  - {name: shelf, features: [\"sales.*\"]}
";

/// A running server.
pub(crate) struct Served {
    pub(crate) address: String,
    pub(crate) channel: Channel,
    pub(crate) directory: TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<()>>,
}

impl Served {
    /// Serves a new store with the definitions.
    pub(crate) async fn start(bounds: Bounds) -> Self {
        Self::start_with(bounds, None).await
    }

    /// The same, with another bound of its log.
    pub(crate) async fn start_with(bounds: Bounds, log_bytes: Option<u64>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = ServeOptions {
            data_dir: directory.path().join("store"),
            listen: "127.0.0.1:0".parse().expect("an address"),
            insecure: false,
            shards: Some(2),
            cache_bytes: None,
            log_bytes,
            bounds,
        };
        let server = Server::bind(options).await.expect("binds");
        let address = server.local_address().to_string();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let channel = connect(&address).await;
        let served = Self { address, channel, directory, stop: Some(stop), running };
        let files = vec![DefinitionFile { name: "shop.yaml".into(), yaml: DEFINITIONS.into() }];
        let applied = v1::catalog_client::CatalogClient::new(served.channel.clone())
            .apply(ApplyRequest { files, plan_only: false })
            .await;
        applied.expect("applies");
        served
    }

    /// Asks it to stop; [`Served::ended`] tells how that went.
    pub(crate) fn ask_to_stop(&mut self) {
        self.stop.take().expect("asked once").send(()).expect("it runs");
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) -> Result<()> {
        drop(self.channel);
        timeout(DEADLINE, self.running).await.expect("ends in time").expect("does not panic")
    }

    /// Stops it in peace.
    pub(crate) async fn stop(mut self) {
        self.ask_to_stop();
        self.ended().await.expect("ends well");
    }

    pub(crate) fn store(&self) -> v1::store_client::StoreClient<Channel> {
        v1::store_client::StoreClient::new(self.channel.clone())
    }

    /// The rows of the store, sealed and open.
    pub(crate) async fn rows(&self) -> u64 {
        let mut admin = v1::admin_client::AdminClient::new(self.channel.clone());
        let status = admin.status(StatusRequest {}).await.expect("tells").into_inner();
        status.sealed_rows + status.open_rows
    }

    /// Uploads a file that is used later.
    pub(crate) async fn upload(&self, content: &[u8]) -> String {
        let chunks = content.chunks(64 * 1024).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let count = chunks.len();
        let requests =
            chunks.into_iter().enumerate().map(move |(at, chunk)| chunk_of(chunk, at + 1 == count));
        let reply = self.store().upload(stream::iter(requests)).await.expect("takes it");
        reply.into_inner().upload_id
    }

    /// Loads an uploaded file.
    pub(crate) async fn ingest(&self, upload_id: String) -> Result<tonic::Streaming<IngestEvent>, Status> {
        let files = vec![IngestFile { upload_id, name: "sales.ndjson".into() }];
        let request = IngestRequest { view: "sales".into(), files, again: true };
        Ok(self.store().ingest(request).await?.into_inner())
    }

    /// Files that wait in the temporary directory.
    pub(crate) fn waiting_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path().join("store/tmp")).expect("lists");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Waits for something another task does.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let holding = async {
            while !holds(self) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, holding).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

/// A connection of its own.
pub(crate) async fn connect(address: &str) -> Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("connects")
}

/// What a page answers over a connection of its own, head and body.
pub(crate) async fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: lineate\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asks");
    let mut answer = Vec::new();
    // Where the server closes before it read all, the rest is a reset.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("is answered in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A part of an upload.
pub(crate) fn chunk_of(chunk: Vec<u8>, last: bool) -> UploadRequest {
    UploadRequest { chunk: chunk.into(), last }
}

/// Rows of `sales` as lines.
pub(crate) fn lines(rows: usize) -> Vec<u8> {
    let line = |row| {
        format!("{{\"sku\":\"s{row}\",\"at\":\"2013-06-01T00:00:00Z\",\"sold\":{row},\"note\":null}}\n")
    };
    (0..rows).map(line).collect::<String>().into_bytes()
}

/// Rows of `sales` as columns.
pub(crate) fn batch(rows: usize) -> RecordBatch {
    let skus = StringArray::from_iter_values((0..rows).map(|row| format!("s{row}")));
    let times = TimestampMicrosecondArray::from(vec![1_370_044_800_000_000; rows]).with_timezone("UTC");
    let sold: Int64Array = (0..rows as i64).map(Some).collect();
    let notes = StringArray::from_iter_values((0..rows).map(|row| format!("note {row}")));
    let columns: [(&str, ArrayRef); 4] = [
        ("sku", Arc::new(skus)),
        ("at", Arc::new(times)),
        ("sold", Arc::new(sold)),
        ("note", Arc::new(notes)),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

/// A batch as a stream of Arrow IPC.
pub(crate) fn ipc(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("begins");
    writer.write(batch).expect("writes");
    writer.into_inner().expect("ends")
}

/// A push of these rows, and of whatever comes after.
pub(crate) fn push(
    rows: Rows,
    rest: impl Stream<Item = PushRequest> + Send + 'static,
) -> impl Stream<Item = PushRequest> + Send + 'static {
    use futures::StreamExt;
    let open = PushOpen { view: "sales".into(), writer: None };
    let batch = PushBatch { sequence: 1, first_row: 1, rows: Some(rows) };
    let steps = [Step::Open(open), Step::Batch(batch)].map(|step| PushRequest { request: Some(step) });
    stream::iter(steps).chain(rest)
}
