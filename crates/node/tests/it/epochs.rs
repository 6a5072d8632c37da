//! Writers that were opened again while batches of the epoch before were under way.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use lineate_node::{Node, api::ShardWrite};
use lineate_segment::intake::{ForeignFile, Intake};
use lineate_state::meta::MetaCommand;
use lineate_types::{ErrorKind, HasKind, Principal, WriterId, WriterPosition, limits};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::store::{SHARDS, line, look, open, tester, values, view};

const ROWS: usize = 2_000;

/// Writes rows of the round under a position, as one batch.
async fn send(node: Node, round: usize, position: WriterPosition) -> lineate_node::Result<Vec<ShardWrite>> {
    send_as(&tester(), &node, round, position).await
}

async fn send_as(
    principal: &Principal,
    node: &Node,
    round: usize,
    position: WriterPosition,
) -> lineate_node::Result<Vec<ShardWrite>> {
    let counters = view(node);
    let lines: String = (0..ROWS).map(|key| line(&id(round, key), 1)).collect();
    let file = ForeignFile::from_bytes("rows", lines.into());
    let rows = Intake::new(&counters).open(&file).expect("opens").next().expect("rows").expect("reads");
    node.push(principal, &counters, &rows, 0, Some(position)).await
}

fn id(round: usize, key: usize) -> String {
    format!("r{round}-{key}")
}

async fn seen(node: &Node, round: usize) -> Vec<bool> {
    let ids: Vec<String> = (0..ROWS).map(|key| id(round, key)).collect();
    values(&look(node, &ids).await).iter().map(Option::is_some).collect()
}

/// The position of a batch in an epoch just opened.
fn at(position: WriterPosition, sequence: u64) -> WriterPosition {
    WriterPosition { sequence, ..position }
}

async fn resume(node: &Node, writer: WriterId) -> WriterPosition {
    node.open_writer(&tester(), Some(writer)).await.expect("the next epoch")
}

#[test]
fn what_of_an_epoch_is_not_there_when_the_next_was_opened_never_will_be() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let node = runtime.block_on(open(dir.path(), limits::CACHE_BYTES));
    let rounds = AtomicUsize::new(0);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) });
    let outcome = runner.run(&(0..4_000_u64, any::<bool>()), |(spins, rivals)| {
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        let (before, after) = runtime.block_on(async {
            let position = node.open_writer(&tester(), None).await.expect("a writer");
            let late = tokio::spawn(send(node.clone(), round, at(position, 1)));
            for _ in 0..spins {
                tokio::task::yield_now().await;
            }
            let next = tokio::select! {
                next = resume(&node, position.writer) => next,
                next = resume(&node, position.writer), if rivals => next,
            };
            assert!(next.epoch > position.epoch);
            // Whoever has the next epoch looks what of the old one is there, and sends the rest again.
            let before = seen(&node, round).await;
            let _either_way = late.await.expect("no panic");
            (before, seen(&node, round).await)
        });
        prop_assert_eq!(before, after);
        Ok(())
    });
    runtime.block_on(node.shutdown()).expect("stops");
    outcome.expect("what was not there never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_opening_was_cut_off_is_opened_again_and_nobody_writes_in_the_epoch_between() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), limits::CACHE_BYTES).await;
    let first = node.open_writer(&tester(), None).await.expect("a writer");
    send(node.clone(), 1, at(first, 1)).await.expect("is of the epoch");
    // The meta group has the next epoch; a crash comes before any shard has.
    let begin = MetaCommand::OpenWriter { resume: Some(first.writer) };
    node.propose_meta(&tester(), begin).await.expect("begins");
    node.shutdown().await.expect("stops");
    drop(node);

    let node = open(dir.path(), limits::CACHE_BYTES).await;
    let refused = send(node.clone(), 2, at(first, 2)).await.expect_err("its epoch is over");
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    // Nobody was told of the epoch; who guesses it writes nothing.
    let guessed = WriterPosition { epoch: first.epoch + 1, ..at(first, 1) };
    for write in send(node.clone(), 2, guessed).await.expect("the meta group has it") {
        assert_eq!(write.result.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    }
    let third = resume(&node, first.writer).await;
    assert_eq!(third.epoch, first.epoch + 2);
    for write in send(node.clone(), 2, at(third, 1)).await.expect("is of the epoch") {
        write.result.expect("is written");
    }
    assert_eq!(seen(&node, 2).await, [true; ROWS]);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_opened_again_at_once_the_last_one_may_write_everywhere_and_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), limits::CACHE_BYTES).await;
    let first = node.open_writer(&tester(), None).await.expect("a writer");
    let mut opened = join_all((0..16).map(|_| resume(&node, first.writer))).await;
    opened.sort_by_key(|position| position.epoch);
    assert_eq!(opened.iter().map(|position| position.epoch).collect::<Vec<_>>(), Vec::from_iter(2..18));
    let last = opened.pop().expect("one of them");
    for over in opened {
        let refused = send(node.clone(), 1, at(over, 1)).await.expect_err("its epoch is over");
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    let writes = send(node.clone(), 1, at(last, 1)).await.expect("is of the epoch");
    assert_eq!(writes.len(), usize::from(SHARDS));
    writes.into_iter().for_each(|write| assert!(write.result.is_ok()));
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_another_principal_neither_writes_nor_is_opened_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = open(dir.path(), limits::CACHE_BYTES).await;
    let stranger = Principal("local:stranger".into());
    let position = node.open_writer(&tester(), None).await.expect("a writer");
    let refused = send_as(&stranger, &node, 1, at(position, 1)).await.expect_err("is another's");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    let refused = node.open_writer(&stranger, Some(position.writer)).await.expect_err("is another's");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    assert_eq!(seen(&node, 1).await, [false; ROWS]);
    // Its owner is in the same epoch as before.
    for write in send(node.clone(), 1, at(position, 1)).await.expect("is of the epoch") {
        write.result.expect("is written");
    }
    node.shutdown().await.expect("stops");
}
