//! What a trace says of rows that were streamed and have no record yet.

use std::collections::BTreeMap;

use lineate_ledger::{
    graph::{At, Direction, Trace, Walk},
    record::{Kind, Record, Seal},
    render::Unsealed,
};
use lineate_node::Node;
use lineate_types::{Hash, TimestampUs, limits};

use crate::store::{definitions_with, line, load, open, push, seal, tester, view};

/// A walk with what stands beside it, as a server puts the two together.
fn trace(node: &Node, start: &str, trace: &Trace) -> (Walk, BTreeMap<Hash, Unsealed>) {
    let runs = node.unsealed_runs();
    let walk = {
        let meta = node.meta().read();
        let graph = meta.ledger().graph();
        let start = graph.resolve(&start.parse().expect("a node"), None, trace.at).expect("there").id;
        graph.walk(start, trace).expect("walks")
    };
    let unsealed = runs.beside(node, &walk);
    (walk, unsealed)
}

fn down() -> Trace {
    Trace { direction: Direction::Down, ..Trace::default() }
}

fn recorded(walk: &Walk) -> u64 {
    let of_rows = walk.nodes.iter().filter(|found| matches!(found.node.word(), "seal" | "load"));
    of_rows.filter_map(|found| found.node.rows).sum()
}

async fn push_rows(node: &Node, rows: i64) {
    let lines: String = (0..rows).map(|row| line(&format!("k{row}"), row)).collect();
    push(node, &view(node), lines).await;
}

#[tokio::test]
async fn pushed_rows_are_unsealed_until_they_are_recorded_and_never_missing() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    assert!(trace(&node, "view:counters", &down()).1.is_empty());
    push_rows(&node, 100).await;
    let (walk, unsealed) = trace(&node, "view:counters", &down());
    let rows = *unsealed.get(&walk.start).expect("unsealed rows");
    assert_eq!((rows.rows, rows.shards, rows.at_most), (100, 2, false));
    assert!(rows.since <= node.now());
    assert_eq!(trace(&node, "view:counters", &Trace::default()).1.get(&walk.start), Some(&rows));

    load(&node, line("loaded", 1)).await;
    let (walk, unsealed) = trace(&node, "view:counters", &down());
    assert_eq!((recorded(&walk), unsealed.get(&walk.start)), (1, Some(&rows)), "a load is never unsealed");

    node.shutdown().await.expect("ends");
    drop(node);
    let node = open(place.path(), limits::CACHE_BYTES).await;
    let (walk, unsealed) = trace(&node, "view:counters", &down());
    assert_eq!(unsealed.get(&walk.start), Some(&rows), "a restart changes nothing");

    seal(&node).await;
    push_rows(&node, 3).await;
    let (walk, unsealed) = trace(&node, "view:counters", &down());
    assert_eq!(recorded(&walk), 101);
    assert_eq!(unsealed.get(&walk.start).map(|rows| rows.rows), Some(3));
    assert!(unsealed.get(&walk.start).expect("rows").since > rows.since);
    node.shutdown().await.expect("ends");
}

#[tokio::test]
async fn a_trace_of_what_does_not_hang_on_later_rows_says_nothing_of_them() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    push_rows(&node, 10).await;
    assert!(trace(&node, "service:s", &Trace::default()).1.is_empty());
    node.shutdown().await.expect("ends");
}

#[tokio::test]
async fn at_a_time_in_the_past_rows_are_as_unsealed_as_they_were() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    let before = node.now();
    push_rows(&node, 10).await;
    let between = node.now();
    push_rows(&node, 10).await;
    seal(&node).await;
    let at = |time: TimestampUs| Trace { at: At::Time(time), ..down() };
    assert!(trace(&node, "view:counters", &at(before)).1.is_empty(), "nothing was pushed by then");
    let (walk, unsealed) = trace(&node, "view:counters", &at(between));
    let rows = unsealed.get(&walk.start).expect("unsealed then, though recorded since");
    assert_eq!((rows.rows, rows.at_most), (20, true));
    assert_eq!(recorded(&walk), 0);
    assert!(trace(&node, "view:counters", &at(node.now())).1.is_empty());
    node.shutdown().await.expect("ends");
}

#[tokio::test]
async fn rows_of_several_versions_in_one_run_are_recorded_and_unsealed_under_each() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    let first = view(&node);
    push(&node, &first, line("a", 1)).await;
    let wider = definitions_with(&[("extra", "int64")]);
    node.apply(&tester(), &wider, false).await.expect("applies");
    let second = view(&node);
    assert_eq!((second.version, second.history), (2, first.history));
    push(&node, &second, line("a", 2).replace("\"label\"", "\"extra\": 7, \"label\"")).await;
    // A late client of the first version.
    push(&node, &first, line("a", 3)).await;

    for (name, at_most) in [("view:counters@v1", true), ("view:counters@v2", false)] {
        let (walk, unsealed) = trace(&node, name, &Trace::default());
        let rows = unsealed.get(&walk.start).expect("unsealed rows");
        assert_eq!((rows.rows, rows.at_most), (3, at_most), "{name}");
    }
    seal(&node).await;
    let views = [first.id, second.id].map(|view| node.meta().read().view_record(view).expect("recorded"));
    let (record, reached) = only_seal(&node);
    assert_eq!((record.view, record.earlier_views), (views[1], Some([views[0]].into())));
    assert!(views.iter().all(|view| reached.contains(view)));
    node.shutdown().await.expect("ends");
}

/// The record of the only sealed run, and what a walk up from it reaches.
fn only_seal(node: &Node) -> (Seal, Vec<Hash>) {
    let meta = node.meta().read();
    let mut seals = meta.ledger().entries().iter().filter(|entry| entry.kind == Kind::Seal);
    let seal = seals.next().expect("one run").record;
    assert_eq!(seals.count(), 0);
    let record = match meta.ledger().record(&seal) {
        Some(Record::Seal(record)) => Some(record.clone()),
        _ => None,
    };
    let walk = meta.ledger().graph().walk(seal, &Trace::default()).expect("walks");
    (record.expect("a seal"), walk.nodes.iter().map(|found| found.node.id).collect())
}
