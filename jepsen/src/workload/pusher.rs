//! Rows in a stream, under positions of our own, several batches under way.

use std::collections::VecDeque;

use futures::StreamExt;
use lineate_client::v1::{
    PushAck, PushBatch, PushOpen, PushRequest, Writer, push_batch, push_request::Request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Shop, refused};
use crate::{
    Error, Result,
    history::{Push, View},
    random::Random,
    table,
};

/// Batches under way at most.
const WINDOW: u64 = 6;

pub(super) async fn run(shop: Shop, mut random: Random) -> Result<()> {
    let worked = work(&shop, &mut random).await;
    shop.forgive(worked)
}

async fn work(shop: &Shop, random: &mut Random) -> Result<()> {
    let writer = shop.client.open_writer(None).await.map_err(Error::asking("opening a writer"))?;
    let (requests, mut acks) = open(shop.store().await?, Some(writer)).await?;
    let mut under_way: VecDeque<(u64, usize)> = VecDeque::new();
    let mut window = random.between(1, WINDOW);
    for sequence in 1.. {
        let (index, request) = begin(shop, writer, sequence, random)?;
        under_way.push_back((sequence, index));
        requests.send(request).await.map_err(|_| Error::Harness("the push was closed".into()))?;
        while under_way.len() as u64 >= window {
            let ack = next(&mut acks).await?;
            let Some((sequence, index)) = under_way.pop_front() else { break };
            take(shop, sequence, index, ack)?;
        }
        if random.percent(10) {
            window = random.between(1, WINDOW);
            tokio::time::sleep(random.pause_ms(0, 20)).await;
        }
    }
    Ok(())
}

/// Opens a push.
pub(crate) async fn open(
    mut store: lineate_proto::v1::store_client::StoreClient<tonic::transport::Channel>,
    writer: Option<Writer>,
) -> Result<(mpsc::Sender<PushRequest>, Streaming<PushAck>)> {
    let (sender, receiver) = mpsc::channel(16);
    let open = PushOpen { view: View::Pushed.name().into(), writer };
    let sent = sender.try_send(PushRequest { request: Some(Request::Open(open)) });
    sent.map_err(|_| Error::Harness("a new queue is full".into()))?;
    let acks = store.push(ReceiverStream::new(receiver)).await.map_err(refused("opening a push"))?;
    Ok((sender, acks.into_inner()))
}

/// The next answer.
pub(crate) async fn next(acks: &mut Streaming<PushAck>) -> Result<PushAck> {
    match acks.next().await {
        Some(ack) => ack.map_err(refused("pushing")),
        None => Err(Error::Harness("the server ended the push".into())),
    }
}

/// The batch of a push, as it was sent and as it is sent again.
pub(crate) fn request(push: &Push) -> PushRequest {
    // JSON begins with a brace, Arrow with a marker.
    let rows = match push.payload.first() {
        Some(b'{') => push_batch::Rows::Ndjson(push.payload.clone()),
        _ => push_batch::Rows::ArrowIpc(push.payload.clone()),
    };
    let batch = PushBatch { sequence: push.sequence, rows: Some(rows), first_row: 0 };
    PushRequest { request: Some(Request::Batch(batch)) }
}

fn begin(shop: &Shop, writer: Writer, sequence: u64, random: &mut Random) -> Result<(usize, PushRequest)> {
    let count = if random.percent(5) { random.between(200, 2_000) } else { random.between(1, 60) };
    let mut history = shop.history.lock();
    let rows = history.new_rows(count, random);
    let payload = if random.percent(50) { table::ndjson(&rows) } else { table::arrow(&rows)? };
    let index = history.begin_push(writer, sequence, rows, payload);
    let request = history.pushes.get(index).map(request);
    Ok((index, request.ok_or_else(|| Error::Harness("a push was not entered".into()))?))
}

fn take(shop: &Shop, sequence: u64, index: usize, ack: PushAck) -> Result<()> {
    if ack.sequence != sequence || ack.duplicate {
        let PushAck { sequence: answered, duplicate, .. } = ack;
        return Err(Error::violation(format!(
            "batch {sequence} was sent for the first time and is answered as {answered}, repeated: {duplicate}"
        )));
    }
    if let Some(refusal) = ack.shards.iter().find_map(|shard| shard.error.clone()) {
        let source = lineate_client::Error::Refused(Box::new(refusal));
        return Err(Error::Request { doing: "pushing".into(), source });
    }
    shop.history.lock().push_done(index, Some(ack));
    Ok(())
}
