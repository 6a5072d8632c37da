//! Lookups over one stream that goes on.

use arrow_flight::{
    FlightDescriptor, decode::FlightRecordBatchStream, flight_service_client::FlightServiceClient,
    utils::batches_to_flight_data,
};
use futures::{StreamExt, TryStreamExt, stream};
use lineate_proto::v1::push_batch::Rows;
use lineate_server::Bounds;

use crate::served::{Served, batch, lines, push};

#[tokio::test(flavor = "multi_thread")]
async fn each_batch_of_an_exchange_is_answered_however_many_came_before() {
    const LOOKUPS: usize = 300;
    let served = Served::start(Bounds::default()).await;
    let pushed = served.store().push(push(Rows::Ndjson(lines(5).into()), stream::empty())).await;
    let acks: Vec<_> = pushed.expect("answers").into_inner().collect().await;
    assert!(acks.iter().all(Result::is_ok), "{acks:?}");
    let entities = batch(5).project(&[0]).expect("a column");
    // Each lookup asks for another number of entities.
    let lookups = (0..LOOKUPS).map(|lookup| entities.slice(0, 1 + lookup % 5)).collect();
    let mut messages = batches_to_flight_data(&entities.schema(), lookups).expect("encodes");
    let descriptor = FlightDescriptor::new_path(vec!["service".into(), "shelf".into()]);
    messages.first_mut().expect("a schema").flight_descriptor = Some(descriptor);
    let mut client = FlightServiceClient::new(served.channel.clone());
    let answers = client.do_exchange(stream::iter(messages)).await.expect("answers").into_inner();
    let answers = FlightRecordBatchStream::new_from_flight_data(answers.map_err(Into::into));
    let answers: Vec<_> = answers.try_collect().await.expect("answers all");
    let rows: Vec<usize> = answers.iter().map(|answer| answer.num_rows()).collect();
    let asked: Vec<usize> = (0..LOOKUPS).map(|lookup| 1 + lookup % 5).collect();
    assert_eq!(rows, asked);
    served.stop().await;
}
