//! Lookups over Flight: a batch of entities in, a batch of their features out.
//!
//! Beside each batch, in `app_metadata`, is the `GetFeaturesReply` without its features: the time the answer holds
//! for, the statuses and the event times.

use arrow::{
    array::RecordBatch,
    ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
};
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::StreamExt;
use lineate_node::api::{LookupReply, LookupRequest};
use lineate_proto::Reference;
use prost::Message;
use tonic::{Status, Streaming};

use super::{incoming::Incoming, named};
use crate::{
    Result,
    app::App,
    grpc::{Events, online},
    reader, trace,
};

/// The answers to a stream of lookups. The stream ends with the first that is refused.
pub(super) fn answers(app: App, messages: Streaming<FlightData>) -> Events<FlightData> {
    let opened = futures::stream::once(async move {
        match open(messages).await {
            Ok((service, incoming)) => lookups(app, service, incoming),
            Err(error) => futures::stream::once(async { Err(Status::from(error)) }).boxed(),
        }
    });
    opened.flatten().boxed()
}

async fn open(messages: Streaming<FlightData>) -> Result<(Reference, Incoming)> {
    let (descriptor, incoming) = Incoming::open(messages, online::LIMITS).await?;
    let service = named(&descriptor, "service")?;
    trace::about("service", service);
    Ok((reader::reference("service", service)?, incoming))
}

fn lookups(app: App, service: Reference, incoming: Incoming) -> Events<FlightData> {
    let start = Some((app, service, incoming, true));
    let answers = futures::stream::unfold(start, |state| async move {
        let (app, service, mut incoming, first) = state?;
        let entities = match incoming.next().await {
            Ok(Some(arrived)) => arrived.batch,
            Ok(None) => return None,
            Err(error) => return Some((vec![Err(Status::from(error))], None)),
        };
        match lookup(&app, &service, entities, first).await {
            Ok(messages) => {
                let messages = messages.into_iter().map(Ok).collect();
                Some((messages, Some((app, service, incoming, false))))
            }
            Err(error) => Some((vec![Err(Status::from(error))], None)),
        }
    });
    answers.flat_map(futures::stream::iter).boxed()
}

async fn lookup(
    app: &App,
    service: &Reference,
    entities: RecordBatch,
    first: bool,
) -> Result<Vec<FlightData>> {
    let request =
        LookupRequest { project: service.project.clone(), service: service.name.clone(), entities, at: None };
    let reply = app.node().lookup(&request).await?;
    online::encoded(app, reply, move |reply| messages(reply, first)).await
}

fn messages(reply: LookupReply, first: bool) -> Result<Vec<FlightData>> {
    let features = reply.features.clone();
    let beside = online::beside(reply);
    let options = IpcWriteOptions::default();
    let mut messages = Vec::with_capacity(2);
    if first {
        messages.push(FlightData::from(SchemaAsIpc::new(&features.schema(), &options)));
    }
    let mut dictionaries = DictionaryTracker::new(false);
    let (_, batch) = IpcDataGenerator::default()
        .encode(&features, &mut dictionaries, &options, &mut IpcWriteContext::default())
        .map_err(lineate_segment::Error::from)?;
    messages.push(FlightData::from(batch).with_app_metadata(beside.encode_to_vec()));
    Ok(messages)
}
