//! Walks and differences, against the plain definition of reachability.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{
    Record,
    graph::{At, Cursor, Diffing, Direction, Trace, Walk, Walking},
    record::Role,
};
use lineate_types::{Hash, limits};
use proptest::prelude::*;

use crate::{
    graph::{Ledger, time},
    samples,
};

/// A directed acyclic graph of runs: run `n` reads what `inputs[n]` picks among the runs before it.
fn runs(inputs: &[Vec<prop::sample::Index>]) -> (Ledger, Vec<Record>) {
    let mut ledger = Ledger::default();
    let mut records: Vec<Record> = Vec::new();
    for (number, picks) in inputs.iter().enumerate() {
        let before: Vec<Hash> = if records.is_empty() {
            vec![]
        } else {
            picks.iter().map(|pick| pick.get(&records).id()).collect()
        };
        let record = samples::run(u8::try_from(number).expect("few"), &before);
        ledger.add(&record);
        records.push(record);
    }
    (ledger, records)
}

fn dag(most: usize) -> impl Strategy<Value = Vec<Vec<prop::sample::Index>>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..most)
}

/// The distance of all that is reachable, by repeated relaxation over the edges of the records themselves.
fn reachable(records: &[Record], start: Hash, direction: Direction) -> BTreeMap<Hash, u32> {
    let mut distances = BTreeMap::from([(start, 0)]);
    loop {
        let before = distances.clone();
        for record in records {
            for edge in record.edges().into_iter().filter(|edge| edge.role.is_ancestry()) {
                let (near, far) = match direction {
                    Direction::Up => (record.id(), edge.target),
                    Direction::Down => (edge.target, record.id()),
                };
                if let Some(distance) = distances.get(&near).copied() {
                    let known = distances.entry(far).or_insert(distance + 1);
                    *known = (*known).min(distance + 1);
                }
            }
        }
        if distances == before {
            return distances;
        }
    }
}

fn ids(walk: &Walk) -> Vec<Hash> {
    walk.nodes.iter().map(|found| found.node.id).collect()
}

proptest! {
    #[test]
    fn a_walk_visits_all_that_is_reachable_once_nearest_first(
        inputs in dag(24),
        start in any::<prop::sample::Index>(),
        down in any::<bool>(),
        depth in prop::option::of(0_u32..6),
    ) {
        let (ledger, records) = runs(&inputs);
        let direction = if down { Direction::Down } else { Direction::Up };
        let start = start.get(&records).id();
        let walk = ledger.graph.walk(start, &Trace { direction, depth, ..Trace::default() }).expect("there");
        prop_assert!(walk.is_complete());
        prop_assert_eq!(walk.size, records.len() as u64);
        let expected: BTreeMap<Hash, u32> = reachable(&records, start, direction)
            .into_iter()
            .filter(|(_, distance)| depth.is_none_or(|depth| *distance <= depth))
            .collect();
        let found: BTreeMap<Hash, u32> =
            walk.nodes.iter().map(|found| (found.node.id, found.depth)).collect();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(walk.nodes.len(), found.len());
        prop_assert!(walk.nodes.is_sorted_by_key(|found| found.depth));
        let edges: BTreeSet<_> = walk.edges.iter().copied().collect();
        prop_assert_eq!(edges.len(), walk.edges.len());
        for edge in &walk.edges {
            prop_assert!(found.contains_key(&edge.from) && found.contains_key(&edge.to));
        }
        if depth.is_none() {
            let inner: usize = records
                .iter()
                .flat_map(|record| record.edges().into_iter().map(move |edge| (record.id(), edge)))
                .filter(|(from, edge)| {
                    edge.role == Role::Used && found.contains_key(from) && found.contains_key(&edge.target)
                })
                .count();
            prop_assert_eq!(walk.edges.len(), inner);
        }
    }

    #[test]
    fn pages_of_any_size_together_are_the_whole_walk_whatever_is_added(
        inputs in dag(24),
        start in any::<prop::sample::Index>(),
        down in any::<bool>(),
        limit in 1_usize..5,
        depth in prop::option::of(0_u32..4),
    ) {
        let (mut ledger, records) = runs(&inputs);
        let direction = if down { Direction::Down } else { Direction::Up };
        let start = start.get(&records).id();
        let trace = Trace { direction, depth, ..Trace::default() };
        let whole = ledger.graph.walk(start, &trace).expect("there");
        let mut page = ledger.graph.walk(start, &Trace { limit, ..trace }).expect("there");
        let (mut nodes, mut edges) = (page.nodes.clone(), page.edges.clone());
        while let Some(cursor) = page.cursor {
            prop_assert_eq!(page.nodes.len(), limit);
            // What is added between pages, below every node there is, is not part of the answer.
            let everything: Vec<Hash> = records.iter().map(Record::id).collect();
            ledger.add(&samples::run(u8::try_from(100 + ledger.graph.size()).expect("few"), &everything));
            let cursor = Cursor::decode(&cursor.encode()).expect("it was just encoded");
            page = ledger.graph.resume(&cursor, limit).expect("there");
            prop_assert_eq!(page.size, whole.size);
            nodes.extend(page.nodes.clone());
            edges.extend(page.edges.clone());
        }
        prop_assert_eq!(&nodes, &whole.nodes);
        prop_assert_eq!(edges, whole.edges);
        prop_assert_eq!(page.cut, whole.cut);
        prop_assert_eq!(page.cut, nodes.iter().any(|found| found.cut));
    }

    #[test]
    fn a_walk_in_slices_is_the_walk_at_its_beginning_whatever_is_added(
        inputs in dag(24),
        start in any::<prop::sample::Index>(),
        down in any::<bool>(),
        (slice, limit) in (1_usize..6, 1_usize..5),
        depth in prop::option::of(0_u32..4),
    ) {
        let (mut ledger, records) = runs(&inputs);
        let direction = if down { Direction::Down } else { Direction::Up };
        let start = start.get(&records).id();
        let trace = Trace { direction, depth, limit, ..Trace::default() };
        let whole = ledger.graph.walk(start, &Trace { limit: limits::TRACE_NODES, ..trace }).expect("there");
        let mut walking = Walking::begin(&ledger.graph, start, &trace).expect("there");
        let (mut nodes, mut edges) = (vec![], vec![]);
        loop {
            walking.advance(&ledger.graph, slice);
            let everything: Vec<Hash> = records.iter().map(Record::id).collect();
            ledger.add(&samples::run(u8::try_from(24 + ledger.graph.size() % 200).expect("few"), &everything));
            let page = walking.page();
            // A slice finds no more than it may look at.
            prop_assert!(page.nodes.len() <= slice.min(limit) && page.edges.len() <= slice);
            nodes.extend(page.nodes);
            edges.extend(page.edges);
            if page.cursor.is_none() {
                prop_assert_eq!(page.cut, whole.cut);
                break;
            }
        }
        prop_assert_eq!(nodes, whole.nodes);
        prop_assert_eq!(edges, whole.edges);
    }

    #[test]
    fn a_difference_in_slices_is_the_difference_at_its_beginning_whatever_is_added(
        inputs in dag(24),
        a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(),
        slice in 1_usize..6,
    ) {
        let (mut ledger, records) = runs(&inputs);
        let (a, b) = (a.get(&records).id(), b.get(&records).id());
        let whole = ledger.graph.diff(a, b).expect("there");
        let mut diffing = Diffing::begin(&ledger.graph, a, b).expect("there");
        while !diffing.advance(&ledger.graph, slice).expect("small") {
            let everything: Vec<Hash> = records.iter().map(Record::id).collect();
            ledger.add(&samples::run(u8::try_from(24 + ledger.graph.size() % 200).expect("few"), &everything));
        }
        prop_assert_eq!(diffing.finish(), whole);
    }

    #[test]
    fn a_walk_at_a_prefix_is_the_walk_of_a_graph_that_has_only_it(
        inputs in dag(24),
        size in any::<prop::sample::Index>(),
        start in any::<prop::sample::Index>(),
        down in any::<bool>(),
    ) {
        let (ledger, records) = runs(&inputs);
        let size = size.index(records.len()) + 1;
        let prefix = Ledger::with(&records[..size]);
        let start = start.get(&records[..size]).id();
        let direction = if down { Direction::Down } else { Direction::Up };
        let whole = prefix.graph.walk(start, &Trace { direction, ..Trace::default() }).expect("there");
        let last = time(size as u64 - 1);
        for (at, asked) in [(At::Size(size as u64), None), (At::Time(last), Some(last))] {
            let walk = ledger.graph.walk(start, &Trace { direction, at, ..Trace::default() });
            prop_assert_eq!(walk, Ok(Walk { at: asked, ..whole.clone() }));
        }
    }

    #[test]
    fn a_difference_is_what_only_one_side_reaches(
        inputs in dag(24),
        a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(),
    ) {
        let (ledger, records) = runs(&inputs);
        let (a, b) = (a.get(&records).id(), b.get(&records).id());
        let diff = ledger.graph.diff(a, b).expect("there");
        let of_a: BTreeSet<Hash> = reachable(&records, a, Direction::Up).into_keys().collect();
        let of_b: BTreeSet<Hash> = reachable(&records, b, Direction::Up).into_keys().collect();
        let left: BTreeSet<Hash> = diff.only_a.iter().chain(diff.changed.iter().map(|(left, _)| left)).map(|node| node.id).collect();
        let right: BTreeSet<Hash> = diff.only_b.iter().chain(diff.changed.iter().map(|(_, right)| right)).map(|node| node.id).collect();
        prop_assert_eq!(left, of_a.difference(&of_b).copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(right, of_b.difference(&of_a).copied().collect::<BTreeSet<_>>());
        let shared: BTreeSet<Hash> = diff.shared.iter().map(|node| node.id).collect();
        prop_assert!(shared.iter().all(|id| of_a.contains(id) && of_b.contains(id)));
        // All that is shared is the ancestry of where the two meet.
        let mut below = BTreeSet::new();
        for id in &shared {
            below.extend(reachable(&records, *id, Direction::Up).into_keys());
        }
        let common: BTreeSet<Hash> = of_a.intersection(&of_b).copied().collect();
        prop_assert!(below.is_subset(&common));
        prop_assert_eq!(below, common);
    }
}

#[test]
fn a_model_that_an_alias_named_before_is_no_ancestor_of_the_deployment() {
    let mut ledger = Ledger::default();
    let first = ledger.add(&samples::run(1, &[]));
    let old = ledger.add(&samples::model(1, first));
    let second = ledger.add(&samples::run(2, &[]));
    let new = ledger.add(&samples::model(2, second));
    let before = ledger.add(&samples::promotion(old, None));
    let promotion = ledger.add(&samples::promotion(new, Some(before)));
    let walk = ledger.graph.walk(promotion, &Trace::default()).expect("there");
    assert_eq!(ids(&walk), [promotion, new, second]);
    let edges: Vec<Role> =
        ledger.graph.edges(before, Direction::Down, At::Newest).map(|edge| edge.role).collect();
    assert_eq!(edges, [Role::Invalidated]);
    // Back to the former model: a record of its own, and no less separate.
    let rollback = ledger.add(&samples::promotion(old, Some(promotion)));
    let walk = ledger.graph.walk(rollback, &Trace::default()).expect("there");
    assert_eq!(ids(&walk), [rollback, old, first]);
}

#[test]
fn agents_are_walked_to_when_asked_for_and_from_always() {
    let mut ledger = Ledger::default();
    let run = ledger.add(&samples::run(1, &[]));
    let model = ledger.add(&samples::model(1, run));
    let ada = samples::sealed("ada").0;
    let up = |agents| ids(&ledger.graph.walk(model, &Trace { agents, ..Trace::default() }).expect("there"));
    assert_eq!(up(false), [model, run]);
    assert_eq!(up(true), [model, run, ada]);
    let trace = Trace { direction: Direction::Down, ..Trace::default() };
    assert_eq!(ids(&ledger.graph.walk(ada, &trace).expect("there")), [ada, run, model]);
}

#[test]
fn a_depth_that_cuts_says_where() {
    let mut ledger = Ledger::default();
    let first = ledger.add(&samples::run(1, &[]));
    let second = ledger.add(&samples::run(2, &[first]));
    let third = ledger.add(&samples::run(3, &[second]));
    let cut = |depth| {
        let walk =
            ledger.graph.walk(third, &Trace { depth: Some(depth), ..Trace::default() }).expect("there");
        walk.nodes.iter().map(|found| found.cut).collect::<Vec<_>>()
    };
    assert_eq!(cut(0), [true]);
    assert_eq!(cut(1), [false, true]);
    assert_eq!(cut(2), [false, false, false]);
}

#[test]
fn a_start_that_is_not_there_yet_is_unknown() {
    let mut ledger = Ledger::default();
    ledger.add(&samples::run(1, &[]));
    let second = ledger.add(&samples::run(2, &[]));
    assert!(ledger.graph.walk(second, &Trace { at: At::Size(1), ..Trace::default() }).is_err());
    assert!(ledger.graph.walk(Hash::of(b"x"), &Trace::default()).is_err());
}

#[test]
fn a_cursor_beyond_what_a_replica_has_seen_is_refused() {
    let mut ledger = Ledger::default();
    let first = ledger.add(&samples::run(1, &[]));
    let lagging = Ledger { graph: ledger.graph.clone() };
    let second = ledger.add(&samples::run(2, &[first]));
    let page = ledger.graph.walk(second, &Trace { limit: 1, ..Trace::default() }).expect("there");
    let cursor = page.cursor.expect("one node is left");
    assert!(lagging.graph.resume(&cursor, 1).is_err());
    assert!(ledger.graph.resume(&cursor, 1).expect("there").is_complete());
}

#[test]
fn a_hub_is_answered_in_pages_that_bound_nodes_and_edges() {
    let mut ledger = Ledger::default();
    let view = ledger.add(&samples::view("weather", 1, None));
    let loads: u64 = 10_050;
    for load in 0..loads {
        ledger.add(&samples::load(load, view, &[]));
    }
    let trace = Trace { direction: Direction::Down, limit: usize::MAX, ..Trace::default() };
    let page = ledger.graph.walk(view, &trace).expect("there");
    assert_eq!(page.nodes.len(), limits::TRACE_NODES);
    let rest = ledger.graph.resume(&page.cursor.expect("more"), usize::MAX).expect("there");
    assert!(rest.is_complete());
    assert_eq!(page.nodes.len() + rest.nodes.len(), 1 + loads as usize);
}

#[test]
fn two_versions_of_a_model_differ_in_what_was_added_between() {
    let view = samples::view("weather", 1, None);
    let service = samples::service(1, &[view.id()]);
    let loads = [samples::load(1, view.id(), &[]), samples::load(2, view.id(), &[])];
    let before = samples::dataset(1, service.id(), &[view.id()], &[loads[0].id()]);
    let after = samples::dataset(2, service.id(), &[view.id()], &[loads[0].id(), loads[1].id()]);
    let runs = [samples::run(1, &[before.id()]), samples::run(2, &[after.id()])];
    let models = [samples::model(1, runs[0].id()), samples::model(2, runs[1].id())];
    let [load_1, load_2] = loads;
    let [run_1, run_2] = runs;
    let [model_1, model_2] = models;
    let ledger = Ledger::with(&[
        view,
        service,
        load_1,
        before,
        run_1,
        model_1.clone(),
        load_2,
        after,
        run_2,
        model_2.clone(),
    ]);
    let diff = ledger.graph.diff(model_1.id(), model_2.id()).expect("there");
    let titles = |nodes: &[lineate_ledger::graph::Node]| -> Vec<String> {
        nodes.iter().map(lineate_ledger::graph::Node::title).collect()
    };
    let changed: Vec<String> =
        diff.changed.iter().map(|(left, right)| format!("{} -> {}", left.title(), right.title())).collect();
    assert_eq!(
        changed,
        [
            "model:flights/delay_model@v1 -> model:flights/delay_model@v2",
            "run:flights/train@v1 -> run:flights/train@v2",
            "dataset:flights/delays@v1 -> dataset:flights/delays@v2",
        ]
    );
    assert_eq!(titles(&diff.only_a), Vec::<String>::new());
    assert_eq!(titles(&diff.only_b), ["load:flights/l2"]);
    assert_eq!(
        titles(&diff.shared),
        ["load:flights/l1", "service:flights/delay_model@v1", "view:flights/weather@v1"]
    );
    let same = ledger.graph.diff(model_1.id(), model_1.id()).expect("there");
    assert!(same.changed.is_empty() && same.only_a.is_empty() && same.only_b.is_empty());
    assert_eq!(titles(&same.shared), ["model:flights/delay_model@v1"]);
}
