//! Callers that are gone in the middle: nothing of a bulk load is visible, and nothing is held for them.

use arrow_flight::{
    FlightDescriptor, flight_service_client::FlightServiceClient, utils::batches_to_flight_data,
};
use futures::{StreamExt, channel::mpsc, future::join_all, stream};
use lineate_server::Bounds;
use tonic::Code;

use crate::served::{Served, batch, chunk_of, connect, lines};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_sender_is_gone_leaves_no_file() {
    let served = Served::start(Bounds::default()).await;
    let channel = connect(&served.address).await;
    let (sender, chunks) = mpsc::unbounded();
    let mut store = lineate_proto::v1::store_client::StoreClient::new(channel);
    let upload = tokio::spawn(async move { store.upload(chunks).await });
    sender.unbounded_send(chunk_of(vec![7; 1000], false)).expect("sends");
    served.until("the upload has a file", |served| served.waiting_files().len() == 1).await;
    upload.abort();
    served.until("the file is gone", |served| served.waiting_files().is_empty()).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_whose_caller_is_gone_is_wholly_there_or_not_at_all() {
    const ROWS: usize = 20_000;
    let served = Served::start(Bounds::default()).await;
    let mut all = 0;
    for taken in 0..4 {
        let upload = served.upload(&lines(ROWS)).await;
        let mut events = served.ingest(upload).await.expect("begins");
        for _ in 0..taken {
            events.next().await;
        }
        drop(events);
        // The upload is removed when its work is over, whichever way that went.
        served.until("the upload is gone", |served| served.waiting_files().is_empty()).await;
        let now = served.rows().await;
        assert!(now == all || now == all + ROWS as u64, "{taken}: {now} after {all}");
        all = now;
    }
    // The places of those who left are free.
    let upload = served.upload(&lines(10)).await;
    let events: Vec<_> = served.ingest(upload).await.expect("begins").collect().await;
    assert!(events.last().is_some_and(Result::is_ok), "{events:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_sender_is_gone_leaves_whole_batches() {
    let served = Served::start(Bounds::default()).await;
    let rows = batch(50);
    let mut messages = batches_to_flight_data(&rows.schema(), vec![rows.clone(), rows]).expect("encodes");
    let descriptor = FlightDescriptor::new_path(vec!["view".into(), "sales".into()]);
    messages.first_mut().expect("a schema").flight_descriptor = Some(descriptor);
    let mut cut = messages.last().expect("a batch").clone();
    cut.data_body.truncate(10);
    messages.push(cut);
    let mut client = FlightServiceClient::new(connect(&served.address).await);
    let waiting = stream::iter(messages).chain(stream::pending());
    let mut acks = client.do_put(waiting).await.expect("answers").into_inner();
    for _ in 0..2 {
        acks.next().await.expect("an answer").expect("written");
    }
    drop((acks, client));
    assert_eq!(served.rows().await, 100);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_loads_than_there_are_places_are_refused_with_what_to_do() {
    let served = Served::start(Bounds::default()).await;
    let mut uploads = Vec::new();
    for _ in 0..2 * lineate_types::limits::HEAVY_REQUESTS {
        uploads.push(served.upload(&lines(2_000)).await);
    }
    let ended = join_all(uploads.into_iter().map(async |upload| match served.ingest(upload).await {
        Ok(events) => events.collect::<Vec<_>>().await.pop().expect("an event").map(|_| ()),
        Err(refusal) => Err(refusal),
    }))
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert!(done.len() >= lineate_types::limits::HEAVY_REQUESTS, "{}", done.len());
    for refusal in refused.into_iter().filter_map(Result::err) {
        assert_eq!(refusal.code(), Code::ResourceExhausted);
        assert!(refusal.message().contains("repeat"), "{refusal:?}");
    }
    assert_eq!(served.rows().await, 2_000 * done.len() as u64);
    served.stop().await;
}
