//! Lookups over Flight: a batch of entities in, a batch of their features out.
//!
//! A `LookupTime` before the rows says at which time; without it, each batch is looked up as of now.
//!
//! Beside each batch, in `app_metadata`, is the `GetFeaturesReply` without its features: the time the answer holds
//! for, the statuses and the event times.

use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::StreamExt;
use lineate_node::api::{LookupReply, LookupRequest};
use lineate_proto::{Reference, v1::LookupTime};
use lineate_types::TimestampUs;
use prost::Message;
use tonic::{Status, Streaming};

use super::{
    incoming::{Arrived, Incoming},
    named,
};
use crate::{
    Error, Result,
    app::App,
    grpc::{Events, online},
    reader, trace,
};

/// What is looked up, and as of when.
struct Question {
    service: Reference,
    at: Option<TimestampUs>,
}

/// The answers to a stream of lookups. The stream ends with the first that is refused.
pub(super) fn answers(app: App, messages: Streaming<FlightData>) -> Events<FlightData> {
    let opened = futures::stream::once(async move {
        match open(messages).await {
            Ok((question, incoming)) => lookups(app, question, incoming),
            Err(error) => futures::stream::once(async { Err(Status::from(error)) }).boxed(),
        }
    });
    opened.flatten().boxed()
}

async fn open(messages: Streaming<FlightData>) -> Result<(Question, Incoming)> {
    let (descriptor, mut incoming) = Incoming::open(messages, online::LIMITS).await?;
    let service = named(&descriptor, "service")?;
    trace::about("service", service);
    let LookupTime { at_us } = LookupTime::decode(incoming.opening().await?)
        .map_err(|_| Error::Invalid("app_metadata before the rows must be a lineate.v1.LookupTime".into()))?;
    Ok((Question { service: reader::reference("service", service)?, at: reader::time(at_us) }, incoming))
}

fn lookups(app: App, question: Question, incoming: Incoming) -> Events<FlightData> {
    let start = Some((app, question, incoming, true));
    let answers = futures::stream::unfold(start, |state| async move {
        let (app, question, mut incoming, first) = state?;
        let arrived = match incoming.next().await {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return None,
            Err(error) => return Some((vec![Err(Status::from(error))], None)),
        };
        match lookup(&app, &question, arrived, first).await {
            Ok(messages) => {
                let messages = messages.into_iter().map(Ok).collect();
                Some((messages, Some((app, question, incoming, false))))
            }
            Err(error) => Some((vec![Err(Status::from(error))], None)),
        }
    });
    answers.flat_map(futures::stream::iter).boxed()
}

async fn lookup(app: &App, question: &Question, arrived: Arrived, first: bool) -> Result<Vec<FlightData>> {
    if !arrived.metadata.is_empty() {
        return Err(Error::Invalid("app_metadata goes before the rows, for all lookups".into()));
    }
    let request = LookupRequest {
        project: question.service.project.clone(),
        service: question.service.name.clone(),
        entities: arrived.batch,
        at: question.at,
    };
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
