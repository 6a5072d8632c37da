//! Rows in a stream, under a writer's positions: what is sent again after a lost connection is not written twice.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use lineate_proto::v1::{
    PushAck, PushBatch, PushOpen, PushRequest, Writer, push_batch, push_request::Request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{Client, Error, Result, connect::service};

/// Batches sent and not yet answered.
const WINDOW: usize = 16;

/// Rows that are written together.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The rows.
    pub payload: RowsPayload,
    /// The number of the first row in what the caller reads, from 1, for error messages.
    pub first_row: u64,
}

/// The form of some rows.
#[derive(Debug, Clone)]
pub enum RowsPayload {
    /// JSON objects, one a line.
    Ndjson(Bytes),
    /// An Arrow IPC stream.
    ArrowIpc(Bytes),
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSummary {
    /// The writer it was done under.
    pub writer: Writer,
    /// Batches acknowledged.
    pub batches: u64,
    /// Rows acknowledged.
    pub rows: u64,
    /// Batches that had been committed before.
    pub duplicates: u64,
    /// The greatest commit time of a row, in microseconds; none if there was no row.
    pub last_commit_us: Option<i64>,
}

impl Client {
    /// Writes batches of rows under a new writer, calling back with each answer, until the stream ends.
    ///
    /// A lost connection is opened again and what was not answered is sent again under the same positions.
    ///
    /// # Errors
    /// Rows do not fit the view, cannot be read, or the server is away for long. Batches answered before are
    /// written.
    pub async fn push(
        &self,
        view: &str,
        batches: impl Stream<Item = io::Result<Rows>>,
        on_ack: impl FnMut(&PushAck),
    ) -> Result<PushSummary> {
        let writer = self.open_writer(None).await?;
        let summary = PushSummary { writer, batches: 0, rows: 0, duplicates: 0, last_commit_us: None };
        let mut push = Push {
            client: self,
            view,
            unanswered: VecDeque::new(),
            next_sequence: 1,
            attempts: 0,
            summary,
            on_ack,
        };
        push.run(std::pin::pin!(batches)).await?;
        Ok(push.summary)
    }
}

struct Push<'a, OnAck> {
    client: &'a Client,
    view: &'a str,
    /// Batches sent or to be sent, oldest first; at most [`WINDOW`].
    unanswered: VecDeque<PushBatch>,
    next_sequence: u64,
    /// Failures since the last answer.
    attempts: u32,
    summary: PushSummary,
    on_ack: OnAck,
}

/// One stream to the server. `WINDOW` requests and the opening always fit its queue.
struct Connection {
    /// None once there is nothing more to send: the server then answers what it has and ends the stream.
    requests: Option<mpsc::Sender<PushRequest>>,
    acks: Streaming<PushAck>,
}

impl<OnAck: FnMut(&PushAck)> Push<'_, OnAck> {
    async fn run<Batches>(&mut self, mut batches: std::pin::Pin<&mut Batches>) -> Result<()>
    where
        Batches: Stream<Item = io::Result<Rows>>,
    {
        let mut connection: Option<Connection> = None;
        let mut exhausted = false;
        while !(exhausted && self.is_answered() && self.summary.batches > 0) {
            let Some(open) = connection.as_mut() else {
                match self.connect(exhausted).await {
                    Ok(opened) => connection = Some(opened),
                    Err(error) => self.client.retry().pause_or_fail(&mut self.attempts, error).await?,
                }
                continue;
            };
            let answer = tokio::select! {
                biased;
                ack = open.acks.next() => ack,
                rows = batches.next(), if !exhausted && self.unanswered.len() < WINDOW => {
                    match rows.transpose().map_err(Error::Rows)? {
                        // If the stream is gone, its answer says why.
                        Some(rows) => {
                            let batch = self.enqueue(rows);
                            if let Some(requests) = &open.requests {
                                drop(requests.send(request(batch)).await);
                            }
                        }
                        None => {
                            exhausted = true;
                            open.requests = None;
                        }
                    }
                    continue;
                }
            };
            let answered = match answer {
                Some(Ok(ack)) => self.answered(&ack),
                Some(Err(status)) => Err(status.into()),
                // The end of an answered stream of no rows: the view and the writer were accepted.
                None if exhausted && self.is_answered() => break,
                None => Err(Error::lost("the server ended the push")),
            };
            if let Err(error) = answered {
                connection = None;
                self.client.retry().pause_or_fail(&mut self.attempts, error).await?;
            }
        }
        Ok(())
    }

    fn is_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// Opens a stream, sends again what was not answered, and ends it if nothing is to follow.
    async fn connect(&self, exhausted: bool) -> Result<Connection> {
        let (requests, receiver) = mpsc::channel(WINDOW + 1);
        let open = PushOpen { view: self.view.to_owned(), writer: Some(self.summary.writer) };
        let opening = std::iter::once(PushRequest { request: Some(Request::Open(open)) });
        for message in opening.chain(self.unanswered.iter().cloned().map(request)) {
            requests.try_send(message).map_err(|_| Error::answer("the queue of a push overflowed"))?;
        }
        let mut store = service!(self.client, store_client::StoreClient);
        let acks = store.push(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Connection { requests: (!exhausted).then_some(requests), acks })
    }

    fn enqueue(&mut self, rows: Rows) -> PushBatch {
        let payload = match rows.payload {
            RowsPayload::Ndjson(bytes) => push_batch::Rows::Ndjson(bytes),
            RowsPayload::ArrowIpc(bytes) => push_batch::Rows::ArrowIpc(bytes),
        };
        let batch =
            PushBatch { sequence: self.next_sequence, rows: Some(payload), first_row: rows.first_row };
        self.next_sequence += 1;
        self.unanswered.push_back(batch.clone());
        batch
    }

    /// Takes the answer to the oldest batch.
    fn answered(&mut self, ack: &PushAck) -> Result<()> {
        let expected = self.unanswered.front().map(|batch| batch.sequence);
        if expected != Some(ack.sequence) {
            return Err(Error::answer(format!(
                "batch {} was answered while {expected:?} was the next",
                ack.sequence
            )));
        }
        if let Some(detail) = ack.shards.iter().find_map(|shard| shard.error.clone()) {
            return Err(Error::Refused(Box::new(detail)));
        }
        self.unanswered.pop_front();
        self.attempts = 0;
        self.summary.batches += 1;
        self.summary.rows += ack.rows;
        self.summary.duplicates += u64::from(ack.duplicate);
        let newest = ack.shards.iter().map(|shard| shard.commit_time_us).max();
        self.summary.last_commit_us = self.summary.last_commit_us.max(newest);
        (self.on_ack)(ack);
        Ok(())
    }
}

fn request(batch: PushBatch) -> PushRequest {
    PushRequest { request: Some(Request::Batch(batch)) }
}
