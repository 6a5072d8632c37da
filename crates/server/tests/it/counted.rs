//! What is counted of requests.

use lineate_proto::v1::{StatusRequest, admin_client::AdminClient};
use lineate_server::Bounds;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Request};

use crate::served::{DEADLINE, Served};

async fn metrics(served: &Served) -> String {
    ask(served, "GET /metrics", "").await
}

/// The answer to a request over HTTP/1.1.
async fn ask(served: &Served, what: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(&served.address).await.expect("connects");
    let request = format!("{what} HTTP/1.1\r\nHost: lineate\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("asks");
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("in time").expect("reads");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_wrong_deadline_is_counted_as_refused() {
    let served = Served::start(Bounds::default()).await;
    let mut request = Request::new(StatusRequest {});
    request.metadata_mut().insert("grpc-timeout", "1x".parse().expect("a value"));
    let refusal = AdminClient::new(served.channel.clone()).status(request).await.expect_err("refused");
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
    let counted = metrics(&served).await;
    let of_status = |code: &str| format!("method=\"/lineate.v1.Admin/Status\",code=\"{code}\"}} 1");
    assert!(counted.contains(&of_status("InvalidArgument")), "{counted}");
    assert!(!counted.contains(&of_status("cancelled")), "{counted}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_strangers_make_up_are_counted_as_one() {
    let served = Served::start(Bounds::default()).await;
    for made_up in ["/lineate.v1.Online/MadeUp", "/lineate.v1.MadeUp/Get", "/MadeUp"] {
        ask(&served, &format!("POST {made_up}"), "Content-Type: application/grpc\r\n").await;
    }
    let counted = metrics(&served).await;
    assert!(!counted.contains("MadeUp"), "{counted}");
    assert!(
        counted.contains("lineate_requests_total{method=\"unknown\",code=\"Unimplemented\"} 3"),
        "{counted}"
    );
    served.stop().await;
}
