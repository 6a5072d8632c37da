//! The end under load.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt, channel::mpsc, stream};
use lineate_proto::v1::{
    StatusRequest, UploadRequest, admin_client::AdminClient, push_batch::Rows, store_client::StoreClient,
};
use lineate_server::{Bounds, Error};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tonic::{Code, Status};

use crate::served::{DEADLINE, Served, chunk_of, connect, lines, page, push};

/// Begins an upload of 100 bytes that waits for more as long as the sender is there. Gives its bytes at the end.
async fn waiting_upload(served: &Served) -> (mpsc::Sender<UploadRequest>, JoinHandle<Result<u64, Status>>) {
    let (mut sender, chunks) = mpsc::channel(1);
    let mut uploader = StoreClient::new(connect(&served.address).await);
    let uploading = tokio::spawn(async move { Ok(uploader.upload(chunks).await?.into_inner().bytes) });
    sender.send(chunk_of(vec![b' '; 100], false)).await.expect("sends");
    served.until("the upload has a file", |served| !served.waiting_files().is_empty()).await;
    (sender, uploading)
}

/// Sends a byte now and then, so that it is never taken for idle, for as long as somebody takes it.
async fn drip(mut sender: mpsc::Sender<UploadRequest>) {
    while sender.send(chunk_of(vec![b' '], false)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_and_what_is_new_is_refused() {
    let mut served = Served::start(Bounds::default()).await;
    let upload_id = served.upload(&lines(30_000)).await;
    let mut loading = served.ingest(upload_id).await.expect("begins");
    let (mut sender, uploading) = waiting_upload(&served).await;
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
    let (mut sender, uploading) = waiting_upload(&served).await;
    served.ask_to_stop();
    for part in 0..10 {
        sender.send(chunk_of(vec![b' '; 100], part == 9)).await.expect("sends");
    }
    assert_eq!(uploading.await.expect("does not panic").expect("is taken"), 1100);
    served.ended().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_cut_off_and_the_server_ends_well() {
    let bounds = Bounds { drain_timeout: Duration::from_millis(700), ..Bounds::default() };
    let mut served = Served::start(bounds).await;
    let (sender, uploading) = waiting_upload(&served).await;
    let dripping = tokio::spawn(drip(sender));
    served.ask_to_stop();
    served.ended().await.expect("ends well");
    assert!(uploading.await.expect("does not panic").is_err());
    dripping.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_until_the_last_request_ends_and_nothing_else_is() {
    let mut served = Served::start(Bounds::default()).await;
    let address = served.address.clone();
    let (mut sender, uploading) = waiting_upload(&served).await;
    let dripping = tokio::spawn(drip(sender.clone()));
    served.ask_to_stop();
    // Longer than open connections are told that the server stops: new ones are accepted.
    let stopping = Instant::now();
    while stopping.elapsed() < Duration::from_millis(700) {
        let alive = page(&address, "/health").await;
        let ready = page(&address, "/health/ready").await;
        if alive.contains("\"ready\"") {
            continue;
        }
        assert!(alive.starts_with("HTTP/1.1 200") && alive.contains("\"state\":\"stopping\""), "{alive}");
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"state\":\"stopping\""), "{ready}");
        let refused = page(&address, "/metrics").await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("is stopping"), "{refused}");
    }
    assert!(page(&address, "/health").await.contains("\"stopping\""));
    sender.send(chunk_of(vec![b' '], true)).await.expect("sends");
    uploading.await.expect("does not panic").expect("is taken");
    dripping.abort();
    drop(sender);
    served.ended().await.expect("ends well");
    assert!(TcpStream::connect(&address).await.is_err(), "somebody still listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_failed_says_so_for_a_moment_and_ends() {
    let served = Served::start_with(Bounds::default(), Some(512 * 1024)).await;
    let (sender, uploading) = waiting_upload(&served).await;
    let dripping = tokio::spawn(drip(sender));
    // The log finds no place for its next file.
    let store = served.directory.path().join("store");
    std::fs::rename(store.join("log"), store.join("away")).expect("moves");
    let mut store = served.store();
    let failing = async {
        loop {
            let pushed = store.push(push(Rows::Ndjson(lines(5_000).into()), stream::empty())).await;
            let Ok(acks) = pushed else { break };
            let acks: Vec<_> = acks.into_inner().collect().await;
            if acks
                .iter()
                .any(|ack| !matches!(ack, Ok(ack) if ack.shards.iter().all(|shard| shard.error.is_none())))
            {
                break;
            }
        }
    };
    timeout(DEADLINE, failing).await.expect("fails in time");
    let failed = Instant::now();
    let alive = page(&served.address, "/health").await;
    assert!(alive.starts_with("HTTP/1.1 503") && alive.contains("\"state\":\"failed\""), "{alive}");
    let ready = page(&served.address, "/health/ready").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"state\":\"failed\""), "{ready}");
    let ended = served.ended().await;
    assert!(matches!(ended, Err(Error::Stopped(_))), "{ended:?}");
    assert!(failed.elapsed() < Duration::from_secs(10), "{:?}", failed.elapsed());
    assert!(uploading.await.expect("does not panic").is_err());
    dripping.abort();
}
