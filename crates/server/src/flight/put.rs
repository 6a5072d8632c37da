//! Rows pushed over Flight: each message of rows is one batch, answered with a `PushAck`.

use arrow_flight::{FlightData, PutResult};
use futures::StreamExt;
use lineate_proto::v1::PushPosition;
use lineate_segment::intake::IpcLimits;
use lineate_types::{ViewDefinition, WriterId, WriterPosition};
use prost::Message;
use tonic::{Status, Streaming};

use super::{
    incoming::{Arrived, Incoming},
    named,
};
use crate::{
    Error, Result,
    app::App,
    grpc::{Events, push, view_named},
};

/// The answers to a push. The stream ends with the first batch that is refused as a whole.
pub(super) fn acks(app: App, messages: Streaming<FlightData>) -> Events<PutResult> {
    let opened = futures::stream::once(async move {
        match open(&app, messages).await {
            Ok((view, incoming)) => answers(app, view, incoming),
            Err(error) => futures::stream::once(async { Err(Status::from(error)) }).boxed(),
        }
    });
    opened.flatten().boxed()
}

async fn open(app: &App, messages: Streaming<FlightData>) -> Result<(ViewDefinition, Incoming)> {
    let (descriptor, incoming) = Incoming::open(messages, IpcLimits::PUSH).await?;
    Ok((view_named(app, named(&descriptor, "view")?)?, incoming))
}

fn answers(app: App, view: ViewDefinition, incoming: Incoming) -> Events<PutResult> {
    let start = Some((app, view, incoming, 0_u64));
    let acks = futures::stream::unfold(start, |state| async move {
        let (app, view, mut incoming, count) = state?;
        let arrived = match incoming.next().await {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return None,
            Err(error) => return Some((Err(Status::from(error)), None)),
        };
        match write(&app, &view, arrived, count + 1).await {
            Ok(result) => Some((Ok(result), Some((app, view, incoming, count + 1)))),
            Err(error) => Some((Err(Status::from(error)), None)),
        }
    });
    acks.boxed()
}

async fn write(app: &App, view: &ViewDefinition, arrived: Arrived, count: u64) -> Result<PutResult> {
    let Arrived { batch, metadata } = arrived;
    let position = match metadata.is_empty() {
        true => None,
        false => {
            let PushPosition { writer_id, epoch, sequence } = PushPosition::decode(metadata)
                .map_err(|_| Error::Invalid("app_metadata must be a lineate.v1.PushPosition".into()))?;
            Some(WriterPosition { writer: WriterId(writer_id), epoch, sequence })
        }
    };
    let sequence = position.map_or(count, |position| position.sequence);
    let writes = app.node().push(app.principal(), view, &batch, position).await?;
    let ack = push::acknowledge(app, sequence, batch.num_rows() as u64, writes);
    Ok(PutResult { app_metadata: ack.encode_to_vec().into() })
}
