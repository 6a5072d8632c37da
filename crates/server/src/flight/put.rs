//! What is put over Flight. Rows of a view: each message of rows is one batch, answered with a `PushAck`. Labels: one
//! upload, answered with an `UploadReply`.

use arrow_flight::{FlightData, PutResult};
use futures::{StreamExt, stream};
use lineate_proto::v1::PushPosition;
use lineate_segment::intake::IpcLimits;
use lineate_types::{ViewDefinition, WriterId, WriterPosition};
use prost::Message;
use tonic::{Status, Streaming};

use super::{
    incoming::{Arrived, Incoming},
    named, spine,
};
use crate::{
    Error, Result,
    app::App,
    grpc::{Events, push, view_named},
    trace,
};

/// What a stream brings.
enum Put {
    Rows(ViewDefinition),
    Labels,
}

/// The answers to a put. The stream ends with the first batch that is refused as a whole.
pub(super) fn acks(app: App, messages: Streaming<FlightData>) -> Events<PutResult> {
    let opened = stream::once(async move {
        match open(&app, messages).await {
            Ok((Put::Rows(view), incoming)) => answers(app, view, incoming),
            Ok((Put::Labels, incoming)) => {
                stream::once(async move { spine::keep(&app, incoming).await.map_err(Status::from) }).boxed()
            }
            Err(error) => stream::once(async { Err(Status::from(error)) }).boxed(),
        }
    });
    opened.flatten().boxed()
}

async fn open(app: &App, messages: Streaming<FlightData>) -> Result<(Put, Incoming)> {
    let (descriptor, incoming) = Incoming::open(messages, IpcLimits::PUSH).await?;
    if descriptor.path == ["spine"] {
        return Ok((Put::Labels, incoming));
    }
    let view = named(&descriptor, "view")?;
    trace::about("view", view);
    Ok((Put::Rows(view_named(app, view)?), incoming))
}

fn answers(app: App, view: ViewDefinition, incoming: Incoming) -> Events<PutResult> {
    let start = Some((app, view, incoming, Sent::default()));
    let acks = stream::unfold(start, |state| async move {
        let (app, view, mut incoming, sent) = state?;
        let arrived = match incoming.next().await {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return None,
            Err(error) => return Some((Err(Status::from(error)), None)),
        };
        let rows = arrived.batch.num_rows() as u64;
        match write(&app, &view, arrived, sent).await {
            Ok(result) => {
                let sent = Sent { batches: sent.batches + 1, rows: sent.rows.saturating_add(rows) };
                Some((Ok(result), Some((app, view, incoming, sent))))
            }
            Err(error) => Some((Err(Status::from(error)), None)),
        }
    });
    acks.boxed()
}

/// What a stream sent before a batch.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    batches: u64,
    rows: u64,
}

async fn write(app: &App, view: &ViewDefinition, arrived: Arrived, sent: Sent) -> Result<PutResult> {
    let Arrived { batch, metadata } = arrived;
    let position = match metadata.is_empty() {
        true => None,
        false => {
            let PushPosition { writer_id, epoch, sequence } = PushPosition::decode(metadata)
                .map_err(|_| Error::Invalid("app_metadata must be a lineate.v1.PushPosition".into()))?;
            Some(WriterPosition { writer: WriterId(writer_id), epoch, sequence })
        }
    };
    let sequence = position.map_or(sent.batches + 1, |position| position.sequence);
    let writes = app.node().push(app.principal(), view, &batch, sent.rows, position).await?;
    let ack = push::acknowledge(app, sequence, batch.num_rows() as u64, writes);
    Ok(PutResult { app_metadata: ack.encode_to_vec().into() })
}
