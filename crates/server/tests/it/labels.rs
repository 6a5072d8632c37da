//! Labels over Flight, and training sets made of them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::concat_batches,
};
use arrow_flight::{
    Action, Empty, FlightData, FlightDescriptor, decode::FlightRecordBatchStream,
    flight_service_client::FlightServiceClient, utils::batches_to_flight_data,
};
use futures::{StreamExt, TryStreamExt, stream};
use lineate_proto::{
    any,
    v1::{CreateDatasetRequest, Dataset, UploadReply},
};
use lineate_server::Bounds;
use lineate_types::limits;
use prost::Message;
use tonic::{Code, Status, transport::Channel};

use crate::served::{Served, connect, lines};

/// Labels of the keys that [`lines`] has rows of, a year later.
fn labels(rows: usize) -> RecordBatch {
    let skus = StringArray::from_iter_values((0..rows).map(|row| format!("s{row}")));
    let times = TimestampMicrosecondArray::from(vec![1_400_000_000_000_000; rows]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 2] = [("sku", Arc::new(skus)), ("event_timestamp", Arc::new(times))];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn messages(batches: Vec<RecordBatch>) -> Vec<FlightData> {
    let mut messages = batches_to_flight_data(&labels(0).schema(), batches).expect("encodes");
    let descriptor = FlightDescriptor::new_path(vec!["spine".into()]);
    messages.first_mut().expect("a schema").flight_descriptor = Some(descriptor);
    messages
}

async fn put(
    flight: &mut FlightServiceClient<Channel>,
    sent: Vec<FlightData>,
) -> Result<UploadReply, Status> {
    let results: Vec<_> = flight.do_put(stream::iter(sent)).await?.into_inner().try_collect().await?;
    let [result] = results.as_slice() else { panic!("one result, not {results:?}") };
    Ok(UploadReply::decode(result.app_metadata.clone()).expect("an UploadReply"))
}

async fn create(flight: &mut FlightServiceClient<Channel>, body: Vec<u8>) -> Result<Dataset, Status> {
    let action = Action { r#type: "create_dataset".into(), body: body.into() };
    let results: Vec<_> = flight.do_action(action).await?.into_inner().try_collect().await?;
    let [result] = results.as_slice() else { panic!("one result, not {results:?}") };
    Ok(any::unpack("Dataset", &result.body).expect("a Dataset"))
}

fn request(spine_upload_id: String) -> CreateDatasetRequest {
    CreateDatasetRequest {
        name: "labelled".into(),
        service: "shelf".into(),
        spine_upload_id,
        ..CreateDatasetRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_set_is_made_and_read_over_flight_alone() {
    let served = Served::start(Bounds::default()).await;
    let upload = served.upload(&lines(500)).await;
    served.ingest(upload).await.expect("begins").try_collect::<Vec<_>>().await.expect("loads");
    let mut flight = FlightServiceClient::new(served.channel.clone());
    let actions: Vec<_> =
        flight.list_actions(Empty {}).await.expect("lists").into_inner().try_collect().await.expect("lists");
    assert_eq!(actions.iter().map(|action| action.r#type.as_str()).collect::<Vec<_>>(), ["create_dataset"]);

    let sent = labels(1_000);
    let kept =
        put(&mut flight, messages(vec![sent.slice(0, 1), sent.slice(1, 998), sent.slice(999, 1)])).await;
    let kept = kept.expect("is kept");
    let [file] = served.waiting_files().try_into().expect("one file");
    assert_eq!(std::fs::metadata(file).expect("there").len(), kept.bytes);
    let made = create(&mut flight, any::pack("CreateDatasetRequest", &request(kept.upload_id))).await;
    let made = made.expect("is made");
    assert_eq!((made.name.as_str(), made.version, made.rows), ("labelled", 1, 1_000));
    assert_eq!((made.matches[0].filled, made.matches[0].null), (500, 500));
    assert!(served.waiting_files().is_empty());

    let descriptor = FlightDescriptor::new_path(vec!["dataset".into(), "labelled@v1".into()]);
    let info = flight.get_flight_info(descriptor).await.expect("is there").into_inner();
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let data = flight.do_get(ticket).await.expect("begins").into_inner().map_err(Into::into);
    let rows: Vec<_> =
        FlightRecordBatchStream::new_from_flight_data(data).try_collect().await.expect("reads");
    let rows = concat_batches(&rows[0].schema(), &rows).expect("is one table");
    assert_eq!(rows.project(&[0, 1]).expect("columns").columns(), sent.columns());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_break_off_leave_nothing() {
    let served = Served::start(Bounds::default()).await;
    // With its own threads the caller goes at once, its connections included.
    let caller = tokio::runtime::Runtime::new().expect("a runtime");
    let address = served.address.clone();
    caller.spawn(async move {
        let sent = stream::iter(messages(vec![labels(100)])).chain(stream::pending());
        let mut flight = FlightServiceClient::new(connect(&address).await);
        flight.do_put(sent).await.expect("begins").into_inner().message().await
    });
    served.until("they have a file", |served| served.waiting_files().len() == 1).await;
    caller.shutdown_background();
    served.until("the file is gone", |served| served.waiting_files().is_empty()).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_training_set_is_refused_and_leaves_nothing() {
    let served = Served::start(Bounds::default()).await;
    let mut flight = FlightServiceClient::new(served.channel.clone());
    let mut nothing = messages(vec![]);
    nothing[0].data_header = Default::default();
    let refusal = put(&mut flight, nothing).await.expect_err("nothing came");
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
    // What is no Arrow is found when it is read, not before.
    let mut damaged = messages(vec![labels(10)]);
    damaged[1].data_header = vec![7; 40].into();
    let damaged = put(&mut flight, damaged).await.expect("is kept").upload_id;
    let empty = put(&mut flight, messages(vec![])).await.expect("is kept").upload_id;
    let packed = |request: &CreateDatasetRequest| any::pack("CreateDatasetRequest", request);
    let cases = [
        (packed(&request(damaged)), Code::InvalidArgument, "the spine"),
        (packed(&request(empty)), Code::InvalidArgument, "the spine"),
        (packed(&request("99".into())), Code::NotFound, "upload 99"),
        (request("1".into()).encode_to_vec(), Code::InvalidArgument, "google.protobuf.Any"),
        (any::pack("Dataset", &Dataset::default()), Code::InvalidArgument, "lineate.v1.Dataset"),
    ];
    for (body, code, said) in cases {
        let refusal = create(&mut flight, body).await.expect_err("is refused");
        assert_eq!(refusal.code(), code, "{said}: {refusal:?}");
        assert!(refusal.message().contains(said), "{said}: {refusal:?}");
    }
    let unknown = Action { r#type: "drop_everything".into(), body: Default::default() };
    let refusal = flight.do_action(unknown).await.expect_err("is no action");
    assert!(refusal.message().contains("`create_dataset`"), "{refusal:?}");
    assert!(served.waiting_files().is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_count_among_the_uploads() {
    let served = Served::start(Bounds::default()).await;
    let mut flight = FlightServiceClient::new(served.channel.clone());
    for _ in 0..limits::UPLOADS {
        put(&mut flight, messages(vec![])).await.expect("is kept");
    }
    let refusal = put(&mut flight, messages(vec![])).await.expect_err("is beyond the bound");
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
    assert!(refusal.message().contains(&limits::UPLOADS.to_string()), "{refusal:?}");
    served.stop().await;
}
