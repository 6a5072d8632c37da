//! Connections and readers that would stay for ever.

use std::time::Duration;

use arrow_flight::{FlightDescriptor, Ticket, flight_service_client::FlightServiceClient};
use futures::{StreamExt, TryStreamExt, channel::mpsc, stream};
use lineate_proto::v1::{CreateDatasetRequest, datasets_client::DatasetsClient, push_batch::Rows};
use lineate_server::Bounds;
use lineate_types::limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::Code;

use crate::served::{DEADLINE, Served, connect, lines, push};

async fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("is closed in time").expect("reads");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let bounds = Bounds { idle_timeout: Duration::from_millis(100), ..Bounds::default() };
    let served = Served::start(bounds).await;
    let busy = served.store().push(push(Rows::Ndjson(lines(3).into()), stream::pending())).await;
    let mut busy = busy.expect("answers").into_inner();

    let mut http1 = TcpStream::connect(&served.address).await.expect("connects");
    http1.write_all(b"GET /health HTTP/1.1\r\nHost: lineate\r\n\r\n").await.expect("asks");
    let answer = to_the_end(&mut http1).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));

    let mut http2 = TcpStream::connect(&served.address).await.expect("connects");
    let no_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("greets");
    http2.write_all(&no_settings).await.expect("greets");
    let frames = to_the_end(&mut http2).await;
    const GOAWAY: u8 = 7;
    assert!(frames.windows(9).any(|head| head[3] == GOAWAY && head[5..9] == [0; 4]), "{frames:?}");

    // Meanwhile nothing happened on the open stream, which is no reason to end it.
    assert_eq!(busy.next().await.expect("an answer").expect("written").rows, 3);
    drop(busy);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_closed_and_one_that_ends_makes_room() {
    // One is the channel of the test.
    let served = Served::start(Bounds { connections: 2, ..Bounds::default() }).await;
    let mut held = TcpStream::connect(&served.address).await.expect("connects");
    held.write_all(b"GET").await.expect("begins to ask");
    let mut refused = TcpStream::connect(&served.address).await.expect("is queued by the system");
    let mut nothing = Vec::new();
    // Closed at once: the end, or a reset where the system saw the close first.
    let ended = timeout(DEADLINE, refused.read_to_end(&mut nothing)).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)) && nothing.is_empty());
    drop(held);
    let asked = async {
        loop {
            let mut stream = TcpStream::connect(&served.address).await.expect("connects");
            let request = b"GET /health HTTP/1.1\r\nHost: lineate\r\nConnection: close\r\n\r\n";
            let mut answer = Vec::new();
            if stream.write_all(request).await.is_ok()
                && stream.read_to_end(&mut answer).await.is_ok()
                && answer.starts_with(b"HTTP/1.1 200")
            {
                return;
            }
        }
    };
    timeout(DEADLINE, asked).await.expect("there is room again");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_bound_of_a_connection_wait_for_their_turn() {
    let served = Served::start(Bounds::default()).await;
    let mut open = Vec::new();
    for _ in 0..limits::STREAMS_PER_CONNECTION {
        let (going_on, rest) = mpsc::unbounded();
        let acks = served.store().push(push(Rows::Ndjson(lines(1).into()), rest)).await;
        open.push((going_on, acks.expect("answers").into_inner()));
    }
    let mut one_more = Box::pin(served.rows());
    assert!(timeout(Duration::from_millis(50), one_more.as_mut()).await.is_err(), "there was no bound");
    let (going_on, acks) = open.pop().expect("one of them");
    drop(going_on);
    timeout(DEADLINE, acks.try_collect::<Vec<_>>()).await.expect("in time").expect("ends well");
    timeout(DEADLINE, one_more).await.expect("its turn came");
    drop(open);
    served.stop().await;
}

/// A training set of many batches, more bytes than networks hold for a reader.
async fn large(served: &Served) -> Ticket {
    const LABELS: usize = 400_000;
    let upload = served.upload(&lines(1)).await;
    served.ingest(upload).await.expect("begins").try_collect::<Vec<_>>().await.expect("loads");
    let labels = "s0,2014-01-01T00:00:00Z\n".repeat(LABELS);
    let spine_upload_id = served.upload(format!("sku,event_timestamp\n{labels}").as_bytes()).await;
    let request = CreateDatasetRequest {
        name: "large".into(),
        service: "shelf".into(),
        spine_upload_id,
        spine_name: "labels.csv".into(),
        ..CreateDatasetRequest::default()
    };
    let events = DatasetsClient::new(served.channel.clone()).create(request).await.expect("begins");
    events.into_inner().try_collect::<Vec<_>>().await.expect("makes it");
    let descriptor = FlightDescriptor::new_path(vec!["dataset".into(), "large@v1".into()]);
    let info = FlightServiceClient::new(served.channel.clone()).get_flight_info(descriptor).await;
    let endpoint = info.expect("tells").into_inner().endpoint.into_iter().next_back().expect("a file");
    endpoint.ticket.expect("a ticket")
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_lose_their_place_and_are_told() {
    let bounds = Bounds { send_timeout: Duration::from_millis(200), ..Bounds::default() };
    let served = Served::start(bounds).await;
    let ticket = large(&served).await;
    // On a connection of its own: what others leave unread takes the room of their connection.
    let mut watched = FlightServiceClient::new(connect(&served.address).await);
    let watched = watched.do_get(ticket.clone()).await.expect("begins").into_inner();
    let mut client = FlightServiceClient::new(served.channel.clone());
    let mut idle = Vec::new();
    for _ in 1..limits::DATASET_STREAMS {
        idle.push(client.do_get(ticket.clone()).await.expect("begins").into_inner());
    }
    let newcomers = async {
        let mut placed = 0;
        while placed < 8 {
            match client.do_get(ticket.clone()).await {
                Ok(rows) => {
                    placed += 1;
                    idle.push(rows.into_inner());
                }
                Err(refusal) => assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}"),
            }
        }
    };
    timeout(DEADLINE, newcomers).await.expect("places become free");
    drop(idle);
    // One who comes back to it is told that the rows are not all; never is it silently less.
    let read = timeout(DEADLINE, watched.try_for_each(async |_| Ok(()))).await.expect("in time");
    let cut = read.expect_err("is cut");
    assert_eq!(cut.code(), Code::ResourceExhausted, "{cut:?}");
    assert!(cut.message().contains("nothing was taken"), "{cut:?}");
    served.stop().await;
}
