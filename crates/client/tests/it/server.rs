//! A small store that answers as it is told, served over in-memory pipes.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt};
use lineate_client::{
    Client,
    v1::{self, push_ack::ShardResult, push_request::Request as PushStep, store_server},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// What the store does with the batches of its next connections; ordinary behaviour after the last.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Writes this many batches, answers them, then breaks the stream.
    BreakAfterAnswering(usize),
    /// Writes this many batches and breaks the stream without an answer to the last of them.
    BreakAfterWriting(usize),
    /// Refuses the opening.
    RefuseOpening(Box<v1::ErrorDetail>),
    /// Refuses the first batch.
    Refuse(Box<v1::ErrorDetail>),
}

/// What was written: every batch that took effect, and how often one came again.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) batches: Vec<(u64, Vec<u8>)>,
    pub(crate) repeated: usize,
    pub(crate) uploads: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
pub(crate) struct FakeStore {
    pub(crate) behaviours: Arc<Mutex<Vec<Behaviour>>>,
    pub(crate) written: Arc<Mutex<Written>>,
}

impl FakeStore {
    pub(crate) fn that(behaviours: impl IntoIterator<Item = Behaviour>) -> Self {
        Self { behaviours: Arc::new(Mutex::new(behaviours.into_iter().collect())), written: Arc::default() }
    }

    /// A client of this store, over pipes.
    pub(crate) fn client(&self) -> Client {
        let (pipes, incoming) = mpsc::channel::<std::io::Result<tokio::io::DuplexStream>>(8);
        let service = store_server::StoreServer::new(self.clone());
        tokio::spawn(
            Server::builder().add_service(service).serve_with_incoming(ReceiverStream::new(incoming)),
        );
        Client::over(move || {
            let pipes = pipes.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                pipes.send(Ok(theirs)).await.map_err(std::io::Error::other)?;
                Ok(ours)
            }
        })
    }

    /// Writes a batch once, however often it comes.
    fn write(&self, batch: &v1::PushBatch) -> v1::PushAck {
        let Some(v1::push_batch::Rows::Ndjson(rows)) = &batch.rows else {
            return v1::PushAck::default();
        };
        let mut written = self.written.lock().expect("not poisoned");
        let known = written.batches.iter().any(|(sequence, _)| *sequence == batch.sequence);
        if known {
            written.repeated += 1;
        } else {
            written.batches.push((batch.sequence, rows.to_vec()));
        }
        let count = rows.iter().filter(|byte| **byte == b'\n').count() as u64;
        v1::PushAck {
            sequence: batch.sequence,
            rows: count,
            duplicate: known,
            shards: vec![ShardResult {
                shard: 0,
                rows: count,
                commit_time_us: 1_000 + i64::try_from(batch.sequence).expect("small"),
                error: None,
            }],
        }
    }
}

type Acks = Pin<Box<dyn Stream<Item = Result<v1::PushAck, Status>> + Send>>;
type Events = Pin<Box<dyn Stream<Item = Result<v1::IngestEvent, Status>> + Send>>;

#[tonic::async_trait]
impl store_server::Store for FakeStore {
    type IngestStream = Events;
    type PushStream = Acks;

    async fn upload(
        &self,
        request: Request<Streaming<v1::UploadRequest>>,
    ) -> Result<Response<v1::UploadReply>, Status> {
        let mut chunks = request.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = chunks.next().await {
            let part = part?;
            bytes.extend_from_slice(&part.chunk);
            if part.last {
                let reply = v1::UploadReply {
                    upload_id: "u1".into(),
                    bytes: bytes.len() as u64,
                    ..Default::default()
                };
                self.written.lock().expect("not poisoned").uploads.push(bytes);
                return Ok(Response::new(reply));
            }
        }
        Err(Status::invalid_argument("the upload was cut short"))
    }

    async fn ingest(&self, _: Request<v1::IngestRequest>) -> Result<Response<Self::IngestStream>, Status> {
        let progress =
            v1::Progress { phase: "reading".into(), done: 1, total: Some(2), unit: 1, ..Default::default() };
        let report = v1::LoadReport { view: "weather@v1".into(), rows: 2, ..Default::default() };
        let events = [v1::ingest_event::Event::Progress(progress), v1::ingest_event::Event::Report(report)]
            .map(|event| Ok(v1::IngestEvent { event: Some(event) }));
        Ok(Response::new(futures::stream::iter(events).boxed()))
    }

    async fn open_writer(&self, _: Request<v1::OpenWriterRequest>) -> Result<Response<v1::Writer>, Status> {
        Ok(Response::new(v1::Writer { writer_id: 7, epoch: 1 }))
    }

    async fn push(
        &self,
        request: Request<Streaming<v1::PushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        let behaviour = {
            let mut behaviours = self.behaviours.lock().expect("not poisoned");
            (!behaviours.is_empty()).then(|| behaviours.remove(0))
        };
        if let Some(Behaviour::RefuseOpening(detail)) = behaviour {
            // Late, as a server under load is: the client is done with its side of the stream by then.
            let refusal = async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(lineate_proto::status::from_detail(*detail))
            };
            return Ok(Response::new(futures::stream::once(refusal).boxed()));
        }
        let store = self.clone();
        let batches = request.into_inner().filter_map(|step| async {
            match step.ok()?.request? {
                PushStep::Open(_) => None,
                PushStep::Batch(batch) => Some(batch),
            }
        });
        let acks = batches.enumerate().map(move |(position, batch)| match &behaviour {
            Some(Behaviour::BreakAfterAnswering(count)) if position >= *count => {
                Err(Status::unavailable("restarting"))
            }
            Some(Behaviour::BreakAfterWriting(count)) if position + 1 >= *count => {
                store.write(&batch);
                Err(Status::unavailable("restarting"))
            }
            Some(Behaviour::Refuse(detail)) => Err(lineate_proto::status::from_detail((**detail).clone())),
            _ => Ok(store.write(&batch)),
        });
        Ok(Response::new(acks.boxed()))
    }
}
