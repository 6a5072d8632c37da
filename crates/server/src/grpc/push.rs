//! Rows in a stream: one batch after the other, in the order they come, each answered once.

use arrow::{array::RecordBatch, compute::concat_batches};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use lineate_node::api::ShardWrite;
use lineate_proto::{
    status,
    v1::{
        PushAck, PushBatch, PushRequest, Writer, push_ack::ShardResult, push_batch::Rows,
        push_request::Request as Step,
    },
};
use lineate_segment::intake::{Intake, IpcLimits, decode_ipc_stream};
use lineate_types::{HasKind, ViewDefinition, WriterId, WriterPosition};
use tonic::{Code, Status, Streaming};

use super::{view_named, work::Events};
use crate::{Error, Result, app::App, trace};

/// Batches decoded ahead of the one that is being committed.
const DECODED_AHEAD: usize = 2;

/// What a push writes, and under which positions.
struct Target {
    app: App,
    view: ViewDefinition,
    writer: Option<Writer>,
}

/// The answers to a push. The stream ends with the first batch that is refused as a whole.
pub(super) fn acks(app: App, requests: Streaming<PushRequest>) -> Events<PushAck> {
    let opened = futures::stream::once(async move {
        match open(app, requests).await {
            Ok((target, batches)) => answers(target, batches).boxed(),
            Err(error) => futures::stream::once(async { Err(Status::from(error)) }).boxed(),
        }
    });
    opened.flatten().boxed()
}

async fn open(app: App, mut requests: Streaming<PushRequest>) -> Result<(Target, Streaming<PushRequest>)> {
    let first = match requests.next().await {
        Some(Ok(PushRequest { request: Some(Step::Open(open)) })) => open,
        Some(Err(status)) => return Err(cut_short(&status)),
        _ => return Err(Error::Invalid("the first message of a push must open it, naming the view".into())),
    };
    trace::about("view", &first.view);
    let view = view_named(&app, &first.view)?;
    Ok((Target { app, view, writer: first.writer }, requests))
}

fn answers(
    target: Target,
    requests: Streaming<PushRequest>,
) -> impl Stream<Item = Result<PushAck, Status>> + Send {
    let intake = Intake::new(&target.view);
    let decoded = requests
        .map(move |request| {
            let intake = intake.clone();
            async move { decode(request, intake).await }
        })
        .buffered(DECODED_AHEAD);
    let writing = Some((target, Box::pin(decoded)));
    futures::stream::unfold(writing, |state| async move {
        let (target, mut decoded) = state?;
        let answer = match decoded.next().await? {
            Ok((batch, rows)) => target.write(batch, rows).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(ack) => Some((Ok(ack), Some((target, decoded)))),
            Err(error) => Some((Err(Status::from(error)), None)),
        }
    })
}

/// The rows of a batch, off the threads that serve.
async fn decode(request: Result<PushRequest, Status>, intake: Intake) -> Result<(PushBatch, RecordBatch)> {
    let batch = match request {
        Ok(PushRequest { request: Some(Step::Batch(batch)) }) => batch,
        Ok(_) => return Err(Error::Invalid("after its opening a push has batches only".into())),
        Err(status) => return Err(cut_short(&status)),
    };
    let rows = batch.rows.clone();
    let first_row = batch.first_row;
    let decoding = tokio::task::spawn_blocking(move || match rows {
        Some(Rows::Ndjson(text)) => ndjson(&intake, text, first_row),
        Some(Rows::ArrowIpc(bytes)) => arrow_ipc(&bytes),
        None => Err(Error::Invalid("a batch has no rows".into())),
    });
    let rows = decoding.await.map_err(lineate_node::Error::from)??;
    Ok((batch, rows))
}

fn ndjson(intake: &Intake, text: Bytes, first_row: u64) -> Result<RecordBatch> {
    let schema = intake.schema().arrow().clone();
    let batches: lineate_segment::Result<Vec<RecordBatch>> =
        intake.ndjson(std::io::Cursor::new(text), first_row).collect();
    let batches = batches?;
    Ok(concat_batches(&schema, &batches).map_err(lineate_segment::Error::from)?)
}

fn arrow_ipc(bytes: &Bytes) -> Result<RecordBatch> {
    let (schema, batches) = decode_ipc_stream(bytes, IpcLimits::PUSH)?;
    Ok(concat_batches(&schema, &batches).map_err(lineate_segment::Error::from)?)
}

impl Target {
    async fn write(&self, batch: PushBatch, rows: RecordBatch) -> Result<PushAck> {
        let position = self.writer.map(|writer| WriterPosition {
            writer: WriterId(writer.writer_id),
            epoch: writer.epoch,
            sequence: batch.sequence,
        });
        let before = batch.first_row.saturating_sub(1);
        let writes = self.app.node().push(self.app.principal(), &self.view, &rows, before, position).await?;
        Ok(acknowledge(&self.app, batch.sequence, rows.num_rows() as u64, writes))
    }
}

/// The answer to one batch, which is counted.
pub(crate) fn acknowledge(app: &App, sequence: u64, rows: u64, writes: Vec<ShardWrite>) -> PushAck {
    let mut replayed = !writes.is_empty();
    let shards = writes.into_iter().map(|write| {
        let ShardWrite { shard, rows, result } = write;
        let shard = shard.0.into();
        match result {
            Ok(written) => {
                replayed &= written.replayed;
                app.metrics().rows_written(if written.replayed { 0 } else { rows });
                ShardResult { shard, rows, commit_time_us: written.commit_time.0, error: None }
            }
            Err(error) => {
                replayed = false;
                tracing::debug!(kind = %error.kind(), %error, shard, "a shard refused rows");
                ShardResult { shard, rows, commit_time_us: 0, error: Some(status::detail(&error)) }
            }
        }
    });
    let shards = shards.collect();
    PushAck { sequence, rows, duplicate: replayed, shards }
}

fn cut_short(status: &Status) -> Error {
    if status.code() == Code::Unavailable {
        return Error::Stopping;
    }
    Error::Invalid(format!("the push was cut short: {}", status.message()))
}
