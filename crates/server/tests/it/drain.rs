//! The end under load.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt, channel::mpsc, stream};
use lineate_proto::v1::{
    StatusRequest, admin_client::AdminClient, push_batch::Rows, store_client::StoreClient,
};
use lineate_server::Bounds;
use tokio::time::timeout;
use tonic::Code;

use crate::served::{DEADLINE, Served, chunk_of, connect, lines, push};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_and_what_is_new_is_refused() {
    let mut served = Served::start(Bounds::default()).await;
    let upload_id = served.upload(&lines(30_000)).await;
    let mut loading = served.ingest(upload_id).await.expect("begins");
    let (mut sender, chunks) = mpsc::channel(1);
    let mut uploader = StoreClient::new(connect(&served.address).await);
    let uploading = tokio::spawn(async move { uploader.upload(chunks).await });
    sender.send(chunk_of(vec![b' '; 100], false)).await.expect("sends");
    served.until("the upload has a file", |served| !served.waiting_files().is_empty()).await;
    let pushing = served.store().push(push(Rows::Ndjson(lines(3).into()), stream::pending())).await;
    let mut pushing = pushing.expect("answers").into_inner();
    assert!(loading.next().await.is_some_and(|event| event.is_ok()));

    let begun = Instant::now();
    served.ask_to_stop();
    // Whatever is new is refused from now on, on connections that are open too.
    let refusal = loop {
        match AdminClient::new(served.channel.clone()).status(StatusRequest {}).await {
            Ok(_) => {}
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal:?}");
    assert!(refusal.message().contains("stopping"), "{refusal:?}");
    // An idle push ends after the answer to what was sent.
    assert_eq!(pushing.next().await.expect("an answer").expect("written").rows, 3);
    let end = timeout(DEADLINE, pushing.next()).await.expect("in time").expect("an answer");
    assert_eq!(end.expect_err("the end").code(), Code::Unavailable);
    // The load goes on.
    let events: Vec<_> = loading.collect().await;
    assert!(events.iter().all(Result::is_ok), "{events:?}");
    sender.close_channel();
    drop(sender);
    // Without its last chunk it is no file, which is told too.
    assert!(uploading.await.expect("does not panic").is_err());
    served.ended().await.expect("ends well");
    assert!(begun.elapsed() < Bounds::default().drain_timeout, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_goes_on_is_finished() {
    let mut served = Served::start(Bounds::default()).await;
    let (mut sender, chunks) = mpsc::channel(1);
    let mut uploader = StoreClient::new(connect(&served.address).await);
    let uploading = tokio::spawn(async move { uploader.upload(chunks).await });
    sender.send(chunk_of(vec![b' '; 100], false)).await.expect("sends");
    served.until("the upload has a file", |served| !served.waiting_files().is_empty()).await;
    served.ask_to_stop();
    for part in 0..10 {
        sender.send(chunk_of(vec![b' '; 100], part == 9)).await.expect("sends");
    }
    let reply = uploading.await.expect("does not panic").expect("is taken").into_inner();
    assert_eq!(reply.bytes, 1100);
    served.ended().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_cut_off_and_the_server_ends_well() {
    let bounds = Bounds { drain_timeout: Duration::from_millis(700), ..Bounds::default() };
    let mut served = Served::start(bounds).await;
    let (mut sender, chunks) = mpsc::channel(1);
    let mut uploader = StoreClient::new(connect(&served.address).await);
    let uploading = tokio::spawn(async move { uploader.upload(chunks).await });
    let dripping = tokio::spawn(async move {
        // Never pauses long enough to be taken for idle.
        while sender.send(chunk_of(vec![b' '], false)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    served.until("the upload has a file", |served| !served.waiting_files().is_empty()).await;
    served.ask_to_stop();
    served.ended().await.expect("ends well");
    assert!(uploading.await.expect("does not panic").is_err());
    dripping.abort();
}
