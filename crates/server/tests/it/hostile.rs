//! Arrow that was tampered with, wherever Arrow comes in. The reader may panic on it: nobody notices.

use arrow_flight::{
    FlightData, FlightDescriptor, flight_service_client::FlightServiceClient, utils::batches_to_flight_data,
};
use futures::{StreamExt, stream};
use lineate_proto::v1::{
    GetFeaturesRequest, get_features_request::Entities, online_client::OnlineClient, push_batch::Rows,
};
use lineate_server::Bounds;
use tonic::{Code, Status};

use crate::served::{Served, batch, ipc, push};

const ROUNDS: u64 = 150;

/// A small generator of our own, so that a seed is a case for ever (Marsaglia's xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    /// Flips bytes, cuts, or doubles a part.
    fn tamper(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self.next(8) {
            0 => bytes.truncate(self.next(bytes.len())),
            1 => {
                let at = self.next(bytes.len());
                let part = bytes[at..].to_vec();
                bytes.extend(part);
            }
            _ => {
                for _ in 0..=self.next(4) {
                    let at = self.next(bytes.len());
                    bytes[at] = [0, 0x7f, 0x80, 0xff, self.next(256) as u8][self.next(5)];
                }
            }
        }
    }
}

/// A refusal blames the caller, and says what is wrong.
fn check(refusal: &Status, round: u64) {
    assert!(
        matches!(refusal.code(), Code::InvalidArgument | Code::ResourceExhausted | Code::NotFound),
        "round {round}: {refusal:?}"
    );
    assert!(!refusal.message().is_empty() && !refusal.message().contains("panicked"), "round {round}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_arrow_is_refused_or_read_in_a_push_and_a_lookup() {
    let served = Served::start(Bounds::default()).await;
    let (whole, entities) = (ipc(&batch(20)), ipc(&batch(5).project(&[0]).expect("a column")));
    let mut online = OnlineClient::new(served.channel.clone());
    let (mut written, mut refused) = (0, 0);
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        let (mut rows, mut keys) = (whole.clone(), entities.clone());
        chance.tamper(&mut rows);
        chance.tamper(&mut keys);
        let pushed = served.store().push(push(Rows::ArrowIpc(rows.into()), stream::empty())).await;
        match pushed.expect("answers").into_inner().next().await {
            Some(Ok(ack)) => {
                written += ack
                    .shards
                    .iter()
                    .filter(|shard| shard.error.is_none())
                    .map(|shard| shard.rows)
                    .sum::<u64>()
            }
            Some(Err(refusal)) => {
                refused += 1;
                check(&refusal, round);
            }
            None => {}
        }
        let request = GetFeaturesRequest {
            service: "shelf".into(),
            entities: Some(Entities::ArrowIpc(keys.into())),
            ..GetFeaturesRequest::default()
        };
        if let Err(refusal) = online.get_features(request).await {
            refused += 1;
            check(&refusal, round);
        }
    }
    assert!(refused > ROUNDS / 2, "{refused}");
    assert_eq!(served.rows().await, written);
    served.stop().await;
}

fn flight(path: [&str; 2], rows: &arrow::array::RecordBatch) -> Vec<FlightData> {
    let mut messages = batches_to_flight_data(&rows.schema(), vec![rows.clone()]).expect("encodes");
    let descriptor = FlightDescriptor::new_path(path.map(str::to_owned).to_vec());
    messages.first_mut().expect("a schema").flight_descriptor = Some(descriptor);
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_arrow_is_refused_or_read_in_an_exchange_and_a_put() {
    let served = Served::start(Bounds::default()).await;
    let mut client = FlightServiceClient::new(served.channel.clone());
    let lookup = flight(["service", "shelf"], &batch(5).project(&[0]).expect("a column"));
    let whole = flight(["view", "sales"], &batch(20));
    let mut refused = 0;
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        for (messages, is_put) in [(lookup.clone(), false), (whole.clone(), true)] {
            let mut messages = messages;
            let at = chance.next(messages.len());
            let message = messages.get_mut(at).expect("one of them");
            let header_only = message.data_body.is_empty() || chance.next(3) > 0;
            let part = if header_only { &mut message.data_header } else { &mut message.data_body };
            let mut bytes = part.to_vec();
            chance.tamper(&mut bytes);
            *part = bytes.into();
            let refusal = if is_put {
                let answers = client.do_put(stream::iter(messages)).await.expect("answers").into_inner();
                answers.filter_map(async |answer| answer.err()).boxed().next().await
            } else {
                let answers = client.do_exchange(stream::iter(messages)).await.expect("answers").into_inner();
                answers.filter_map(async |answer| answer.err()).boxed().next().await
            };
            if let Some(refusal) = refusal {
                refused += 1;
                check(&refusal, round);
            }
        }
    }
    assert!(refused > ROUNDS / 2, "{refused}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_large_is_refused_and_the_connection_goes_on() {
    let served = Served::start(Bounds::default()).await;
    let huge = vec![b' '; lineate_types::limits::MESSAGE_BYTES + 1];
    let pushed = served.store().push(push(Rows::Ndjson(huge.into()), stream::empty())).await;
    let refusal =
        pushed.expect("answers").into_inner().next().await.expect("an answer").expect_err("refused");
    assert!(refusal.message().contains(&lineate_types::limits::MESSAGE_BYTES.to_string()), "{refusal:?}");
    assert_eq!(served.rows().await, 0);
    served.stop().await;
}
