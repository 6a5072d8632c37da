//! Pushes over connections that break.

use futures::stream;
use lineate_client::{Error, Rows, RowsPayload, v1::ErrorDetail};
use lineate_types::{ErrorKind, HasKind};
use proptest::prelude::*;

use crate::server::{Behaviour, FakeStore};

fn batches(count: u64) -> impl futures::Stream<Item = std::io::Result<Rows>> {
    stream::iter((1..=count).map(|number| {
        let payload = RowsPayload::Ndjson(format!("{{\"n\":{number}}}\n").into_bytes().into());
        Ok(Rows { payload, first_row: number })
    }))
}

fn assert_each_written_once(store: &FakeStore, count: u64) {
    let written = store.written.lock().expect("not poisoned");
    let expected: Vec<(u64, Vec<u8>)> =
        (1..=count).map(|number| (number, format!("{{\"n\":{number}}}\n").into_bytes())).collect();
    assert_eq!(written.batches, expected);
}

#[tokio::test]
async fn every_batch_is_acknowledged_in_order() {
    let store = FakeStore::default();
    let mut seen = Vec::new();
    let summary =
        store.client().push("weather", batches(100), |ack| seen.push(ack.sequence)).await.expect("pushes");
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    assert_eq!((summary.batches, summary.rows, summary.duplicates), (100, 100, 0));
    assert_eq!(summary.last_commit_us, Some(1_100));
    assert_each_written_once(&store, 100);
}

#[tokio::test]
async fn what_was_written_and_not_answered_is_not_written_twice() {
    let store = FakeStore::that([Behaviour::BreakAfterWriting(3), Behaviour::BreakAfterAnswering(5)]);
    let summary = store.client().push("weather", batches(40), |_| ()).await.expect("pushes");
    assert_eq!((summary.batches, summary.rows), (40, 40));
    assert!(summary.duplicates >= 1);
    assert_each_written_once(&store, 40);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let store = FakeStore::that(vec![Behaviour::BreakAfterAnswering(0); 50]);
    let error = store.client().push("weather", batches(3), |_| ()).await.expect_err("gives up");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_push_of_no_rows_is_refused_like_any_other() {
    let detail =
        ErrorDetail { kind: "not_found".into(), message: "no such view".into(), ..Default::default() };
    let store = FakeStore::that([Behaviour::RefuseOpening(Box::new(detail.clone()))]);
    match store.client().push("wether", batches(0), |_| ()).await {
        Err(Error::Refused(refused)) => assert_eq!(*refused, detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refused_row_ends_the_push_with_the_servers_words() {
    let detail = ErrorDetail {
        kind: "invalid".into(),
        message: "row 1: column `n` is int64, found text".into(),
        ..ErrorDetail::default()
    };
    let store = FakeStore::that([Behaviour::Refuse(Box::new(detail.clone()))]);
    match store.client().push("weather", batches(3), |_| ()).await {
        Err(Error::Refused(refused)) => assert_eq!(*refused, detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_end_the_push() {
    let store = FakeStore::default();
    let rows = stream::iter([Err(std::io::Error::other("broken pipe"))]);
    let error = store.client().push("weather", rows, |_| ()).await.expect_err("cannot read");
    assert!(matches!(error, Error::Rows(_)), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn however_the_connection_breaks_every_batch_is_written_once(
        breaks in proptest::collection::vec((any::<bool>(), 1..20_usize), 0..3),
        count in 0..60_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = FakeStore::that(breaks.into_iter().map(|(answers, after)| {
                if answers { Behaviour::BreakAfterAnswering(after) } else { Behaviour::BreakAfterWriting(after) }
            }));
            let summary = store.client().push("weather", batches(count), |_| ()).await.expect("pushes");
            assert_eq!(summary.batches, count);
            assert_each_written_once(&store, count);
        });
    }
}
