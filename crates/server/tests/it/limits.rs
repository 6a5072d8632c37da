//! Every bound that a stranger can lean on cheaply: what goes beyond is refused with the kind of error that says what
//! to do, and with the bound.

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use lineate_proto::v1::{
    ApplyRequest, DefinitionFile, EntityColumn, EntityColumns, GetFeaturesRequest, IngestFile, IngestRequest,
    StatusRequest, UploadRequest,
    admin_client::AdminClient,
    catalog_client::CatalogClient,
    entity_column::{Texts, Values},
    get_features_request::Entities,
    online_client::OnlineClient,
    push_batch::Rows,
};
use lineate_server::Bounds;
use lineate_types::limits;
use tokio::task::JoinSet;
use tonic::{
    Code, Request, Response, Status,
    codegen::{Service, http},
    transport::Channel,
};

use crate::served::{DEADLINE, Served, batch, chunk_of, connect, ipc, page, push};

/// 3000-01-01T00:00:00Z.
const FUTURE_US: i64 = 32_503_680_000_000_000;

fn refused<T>(answer: Result<Response<T>, Status>) -> Status {
    answer.map(drop).expect_err("is beyond the bound")
}

fn lookup(entities: usize, at_us: Option<i64>) -> GetFeaturesRequest {
    let values = Some(Values::Texts(Texts { values: vec!["s0".to_owned(); entities] }));
    let columns = vec![EntityColumn { name: "sku".into(), values }];
    let entities = Some(Entities::Columns(EntityColumns { columns }));
    GetFeaturesRequest { service: "shelf".into(), entities, at_us }
}

async fn upload(served: &Served, chunks: Vec<UploadRequest>) -> Result<(), Status> {
    served.store().upload(stream::iter(chunks)).await.map(drop)
}

/// What a push of these rows is refused with.
async fn pushed(served: &Served, rows: Rows) -> Status {
    let mut acks = served.store().push(push(rows, stream::empty())).await.expect("answers").into_inner();
    acks.next().await.expect("an answer").expect_err("is beyond the bound")
}

/// Valid rows of one key: each within its bound, together beyond what one command holds.
fn wide_rows() -> Bytes {
    let note = "x".repeat(900_000);
    let row = |sold| {
        format!("{{\"sku\":\"s\",\"at\":\"2013-06-01T00:00:00Z\",\"sold\":{sold},\"note\":\"{note}\"}}\n")
    };
    (0..12).map(row).collect::<String>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_a_bound_is_refused_with_its_number_and_changes_nothing() {
    let served = Served::start(Bounds::default()).await;
    let mut online = OnlineClient::new(served.channel.clone());
    let mut catalog = CatalogClient::new(served.channel.clone());
    let file = IngestFile { upload_id: "1".into(), name: "sales.ndjson".into() };
    let files = vec![file; limits::LOAD_FILES + 1];
    let ingest = IngestRequest { view: "sales".into(), files, again: false };
    let yaml = " ".repeat(limits::DEFINITION_BYTES + 1);
    let definitions =
        ApplyRequest { files: vec![DefinitionFile { name: "large.yaml".into(), yaml }], plan_only: false };
    let beyond_chunk = chunk_of(vec![b' '; limits::CHUNK_BYTES + 1], true);
    let entities = GetFeaturesRequest {
        entities: Some(Entities::ArrowIpc(ipc(&keys(limits::LOOKUP_ENTITIES + 1)).into())),
        ..lookup(0, None)
    };
    let mut events = served.store().ingest(ingest).await.expect("begins").into_inner();
    let load = events.next().await.expect("an event").expect_err("is beyond the bound");

    let cases = [
        (
            "entities of a lookup",
            refused(online.get_features(lookup(limits::LOOKUP_ENTITIES + 1, None)).await),
            Code::ResourceExhausted,
            limits::LOOKUP_ENTITIES.to_string(),
        ),
        (
            "entities of a lookup in Arrow",
            refused(online.get_features(entities).await),
            Code::ResourceExhausted,
            limits::LOOKUP_ENTITIES.to_string(),
        ),
        (
            "the time of a lookup",
            refused(online.get_features(lookup(1, Some(FUTURE_US))).await),
            Code::InvalidArgument,
            "3000-01-01T00:00:00.000000Z lies in the future".to_owned(),
        ),
        ("files of a load", load, Code::ResourceExhausted, limits::LOAD_FILES.to_string()),
        (
            "bytes of a chunk",
            upload(&served, vec![beyond_chunk]).await.expect_err("is beyond the bound"),
            Code::InvalidArgument,
            limits::CHUNK_BYTES.to_string(),
        ),
        (
            "bytes of definitions",
            refused(catalog.apply(definitions).await),
            Code::InvalidArgument,
            limits::DEFINITION_BYTES.to_string(),
        ),
        (
            "rows of a batch",
            pushed(&served, Rows::ArrowIpc(ipc(&batch(limits::BATCH_ROWS + 1)).into())).await,
            Code::ResourceExhausted,
            limits::BATCH_ROWS.to_string(),
        ),
        (
            "bytes of a batch in one shard",
            pushed(&served, Rows::Ndjson(wide_rows())).await,
            Code::ResourceExhausted,
            "at most 8".to_owned(),
        ),
    ];
    for (name, refusal, code, number) in cases {
        assert_eq!(refusal.code(), code, "{name}: {refusal:?}");
        assert!(refusal.message().contains(&number), "{name}: {refusal:?}");
    }
    assert_eq!(served.rows().await, 0);
    assert!(served.waiting_files().is_empty());
    // Up to the bound, everything is as it should be.
    let reply =
        online.get_features(lookup(limits::LOOKUP_ENTITIES, None)).await.expect("is within the bound");
    assert_eq!(reply.into_inner().entities as usize, limits::LOOKUP_ENTITIES);
    served.stop().await;
}

fn keys(rows: usize) -> arrow::array::RecordBatch {
    batch(rows).project(&[0]).expect("a column")
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_beyond_the_bound_are_refused_until_one_is_used() {
    let served = Served::start(Bounds::default()).await;
    let mut ids = Vec::new();
    for _ in 0..limits::UPLOADS {
        ids.push(served.upload(b"{}").await);
    }
    let refusal = upload(&served, vec![chunk_of(vec![b' '], true)]).await.expect_err("is beyond the bound");
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert!(refusal.message().contains(&limits::UPLOADS.to_string()), "{refusal:?}");
    // Using one, whether it is of use or not, makes room for one.
    let events: Vec<_> = served.ingest(ids.swap_remove(0)).await.expect("begins").collect().await;
    assert!(events.last().is_some_and(Result::is_err), "{events:?}");
    served.until("there is room", |served| served.waiting_files().len() < limits::UPLOADS).await;
    served.upload(b"{}").await;
    served.stop().await;
}

/// Requests whose bodies never come, one after the other: the server gives up on each after a while.
async fn unfinished(channel: Channel) {
    while request_without_end(channel.clone()).await.is_ok() {}
}

async fn request_without_end(mut channel: Channel) -> Result<(), tonic::transport::Error> {
    let never = Body::from_stream(stream::pending::<Result<Bytes, axum::BoxError>>());
    let request = http::Request::post("/lineate.v1.Admin/Status")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(never))
        .expect("a request");
    std::future::poll_fn(|context| channel.poll_ready(context)).await?;
    channel.call(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_bound_are_refused_and_the_probes_are_answered() {
    let served = Served::start(Bounds::default()).await;
    let mut held = JoinSet::new();
    for _ in 0..limits::REQUESTS_UNDER_WAY.div_ceil(limits::STREAMS_PER_CONNECTION as usize) {
        let channel = connect(&served.address).await;
        for _ in 0..limits::STREAMS_PER_CONNECTION {
            held.spawn(unfinished(channel.clone()));
        }
    }
    let refusal = tokio::time::timeout(DEADLINE, async {
        loop {
            match AdminClient::new(served.channel.clone()).status(StatusRequest {}).await {
                Ok(_) => {}
                Err(refusal) => break refusal,
            }
        }
    });
    let refusal = refusal.await.expect("the bound is reached");
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert!(refusal.message().contains(&limits::REQUESTS_UNDER_WAY.to_string()), "{refusal:?}");
    let metrics = page(&served.address, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 429"), "{metrics}");
    for path in ["/health", "/health/ready"] {
        let health = page(&served.address, path).await;
        assert!(health.starts_with("HTTP/1.1 200") && health.contains("\"ready\""), "{path}: {health}");
    }
    held.shutdown().await;
    let room = tokio::time::timeout(DEADLINE, async {
        while AdminClient::new(served.channel.clone()).status(StatusRequest {}).await.is_err() {}
    });
    room.await.expect("there is room again");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_bound_are_refused_and_the_connection_goes_on() {
    let served = Served::start(Bounds::default()).await;
    let large = "x".repeat(limits::HEADER_BYTES as usize);
    let answer = page(&served.address, &format!("/health?{large}")).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let mut admin = AdminClient::new(served.channel.clone());
    let mut request = Request::new(StatusRequest {});
    request.metadata_mut().insert("large", large.parse().expect("text"));
    let refusal = admin.status(request).await.expect_err("is beyond the bound");
    assert!(!refusal.message().is_empty(), "{refusal:?}");
    admin.status(StatusRequest {}).await.expect("goes on");
    served.stop().await;
}
