//! Matching against the oracle, and the cases that oracles rarely draw.

mod oracle;

use std::sync::Arc;

use lineate_segment::{
    Segment,
    matcher::{Candidate, Cut, Outcome, Spine, find, match_runs},
    merge::merge_runs,
    run::{OpenRun, RowSource, RunKeys, SortedRun},
    schema::ViewSchema,
    segment::{CommitSource, write_run},
};
use lineate_storage::blob::MemBlobs;
use lineate_types::{DurationUs, EntityKey, HistoryId, MatchMode, TimestampUs};
use oracle::{Answer, Mode, Question, answer};
use proptest::prelude::*;

use crate::fixture::{Commit, Row, bulk_run, ids, key, open_run, view};

/// How a history is spread over runs, and what is asked of it.
#[derive(Debug, Clone)]
struct Case {
    with_created_time: bool,
    commits: Vec<Commit>,
    /// For each commit, the open run that takes it, or none for a bulk run of its own.
    places: Vec<Option<usize>>,
    labels: Vec<(Option<String>, Option<i64>, i64)>,
    mode: Mode,
    snapshot: i64,
    ttl: Option<i64>,
}

const OPEN_RUNS: usize = 3;

/// Few values, so that ties and edges are common; now and then the ends of the range.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![20 => 0..12_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => Just(-1_i64)]
}

fn row(with_created_time: bool) -> impl Strategy<Value = Row> {
    let created_time = match with_created_time {
        true => prop::option::weighted(0.8, time()).boxed(),
        false => Just(None).boxed(),
    };
    let key = (prop::sample::select(vec!["", "A", "AB", "B"]), 0..3_i64);
    (key, time(), created_time, prop::bool::weighted(0.15), prop::option::of(any::<i64>())).prop_map(
        |((origin, flight), event_time, created_time, deleted, value)| Row {
            origin: origin.into(),
            flight,
            event_time,
            created_time,
            deleted,
            value,
            id: 0,
        },
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Event), Just(Mode::Known), any::<bool>().prop_map(|known| Mode::Served { known }),]
}

fn case() -> impl Strategy<Value = Case> {
    any::<bool>().prop_flat_map(|with_created_time| {
        let commits = prop::collection::vec(prop::collection::vec(row(with_created_time), 1..8), 1..7);
        let steps = prop::collection::vec(1..4_i64, 7);
        let places = prop::collection::vec(prop::option::weighted(0.7, 0..OPEN_RUNS), 7);
        let origin = prop::option::weighted(0.95, prop::sample::select(vec!["", "A", "AB", "B", "C"]));
        let label = (origin, prop::option::weighted(0.95, 0..4_i64), time());
        let labels = prop::collection::vec(label, 0..40);
        let ttl = prop::option::of(prop_oneof![0..6_i64, Just(i64::MAX)]);
        (commits, steps, places, labels, mode(), time(), ttl).prop_map(
            move |(commits, steps, places, labels, mode, snapshot, ttl)| {
                let mut ids = 0..;
                let times = steps.iter().scan(0, |time, step| {
                    *time += step;
                    Some(*time)
                });
                let commits = commits.into_iter().zip(times).map(|(mut rows, time)| {
                    rows.iter_mut().zip(&mut ids).for_each(|(row, id)| row.id = id);
                    Commit { time, rows }
                });
                let labels = labels
                    .into_iter()
                    .map(|(origin, flight, time)| (origin.map(str::to_owned), flight, time));
                Case {
                    with_created_time,
                    commits: commits.collect(),
                    places,
                    labels: labels.collect(),
                    mode,
                    snapshot,
                    ttl,
                }
            },
        )
    })
}

impl Case {
    fn cut(&self) -> Cut {
        let (mode, default_mode) = match self.mode {
            Mode::Event => (MatchMode::Event, MatchMode::Event),
            Mode::Known => (MatchMode::Known, MatchMode::Known),
            Mode::Served { known: true } => (MatchMode::Served, MatchMode::Known),
            Mode::Served { known: false } => (MatchMode::Served, MatchMode::Event),
        };
        Cut { mode, default_mode, snapshot: TimestampUs(self.snapshot), ttl: self.ttl.map(DurationUs) }
    }

    fn open_runs(&self) -> Vec<OpenRun> {
        let view = view(self.with_created_time);
        let placed = || self.commits.iter().zip(&self.places);
        let of_run = |run| placed().filter(move |(_, place)| **place == Some(run)).map(|(commit, _)| commit);
        (0..OPEN_RUNS).map(|run| open_run(of_run(run), &view)).collect()
    }

    fn bulk_runs(&self) -> Vec<SortedRun> {
        let view = view(self.with_created_time);
        let placed = self.commits.iter().zip(&self.places);
        placed.filter(|(_, place)| place.is_none()).map(|(commit, _)| bulk_run(commit, &view, 3)).collect()
    }

    /// Every run that has rows, sealed: open runs with their commit times, bulk runs without.
    fn segments(&self, blobs: &MemBlobs) -> Vec<Segment> {
        let schema = ViewSchema::of(&view(self.with_created_time));
        let open = self.open_runs().into_iter().filter(|run| !run.is_empty());
        let open = open.map(|run| (run.freeze().expect("small"), CommitSource::Column));
        let bulk = self.bulk_runs().into_iter().map(|run| (run, CommitSource::Manifest));
        let segments = open.chain(bulk).map(|(run, commit)| {
            let info = write_run(blobs, HistoryId(7), schema.clone(), &run, commit).expect("rows that fit");
            Segment::open(blobs, &info.committed_at(run.run_keys().latest_commit())).expect("just written")
        });
        segments.collect()
    }

    fn expected(&self) -> Vec<Answer> {
        let answers = self.labels.iter().map(|(origin, flight, time)| {
            let question = Question {
                origin: origin.clone(),
                flight: *flight,
                time: *time,
                mode: self.mode,
                snapshot: self.snapshot,
                ttl: self.ttl,
            };
            answer(&self.commits, &question)
        });
        answers.collect()
    }

    fn keys(&self) -> Vec<Option<EntityKey>> {
        let key_of = |(origin, flight, _): &(Option<String>, Option<i64>, i64)| {
            origin.as_ref().zip(*flight).map(|(origin, flight)| key(origin, flight))
        };
        self.labels.iter().map(key_of).collect()
    }

    fn times(&self) -> Vec<TimestampUs> {
        self.labels.iter().map(|(_, _, time)| TimestampUs(*time)).collect()
    }
}

/// The answers of sorted runs to a spine, back in the order of the labels.
fn matched(runs: &[&dyn RowSource], spine: &Spine, labels: usize, cut: &Cut) -> Vec<Answer> {
    let keys: Vec<Arc<RunKeys>> = runs.iter().map(|run| run.keys().expect("readable")).collect();
    let winners = match_runs(keys.iter().map(AsRef::as_ref), &spine.whole(), cut);
    let mut answers = vec![Answer::Absent; labels];
    let mut last_row = vec![0; runs.len()];
    for (winner, row) in winners.into_iter().zip(spine.rows()) {
        let Some(winner) = winner else { continue };
        let run = winner.run as usize;
        assert!(winner.row >= last_row[run], "the rows of a run never descend");
        last_row[run] = winner.row;
        answers[*row as usize] = match winner.outcome {
            Outcome::Live => Answer::Row(ids(runs[run], &[winner.row])[0]),
            Outcome::Deleted => Answer::Absent,
            Outcome::Expired => Answer::Expired(winner.event_time.0),
        };
    }
    answers
}

/// The answer to one key over open and sorted runs, as a lookup finds it.
fn looked_up(open: &[OpenRun], sorted: &[SortedRun], key: &EntityKey, at: TimestampUs, cut: &Cut) -> Answer {
    let id_of_open = |run: &OpenRun, found: &Candidate| {
        let batch = run.gather(&[found.row], &crate::fixture::id_schema()).expect("the row exists");
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batch.column(0)).value(0)
    };
    let in_open =
        open.iter().filter_map(|run| run.find(key, at, cut).map(|found| (found, id_of_open(run, &found))));
    let in_sorted = sorted
        .iter()
        .filter_map(|run| find(run.run_keys(), key, at, cut).map(|found| (found, ids(run, &[found.row])[0])));
    best_answer(in_open.chain(in_sorted), at, cut)
}

/// The answer of the greatest rank among what each run found.
fn best_answer(found: impl Iterator<Item = (Candidate, i64)>, at: TimestampUs, cut: &Cut) -> Answer {
    match found.max_by_key(|(found, _)| found.rank) {
        None => Answer::Absent,
        Some((found, id)) => match cut.outcome(found.rank.event_time, found.deleted, at) {
            Outcome::Live => Answer::Row(id),
            Outcome::Deleted => Answer::Absent,
            Outcome::Expired => Answer::Expired(found.rank.event_time.0),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_200, ..ProptestConfig::default() })]

    #[test]
    fn matching_answers_as_the_contract_says(case in case()) {
        let open = case.open_runs();
        let frozen = open.iter().map(|run| run.freeze().expect("small"));
        let sorted: Vec<SortedRun> = frozen.chain(case.bulk_runs()).collect();
        let spine = Spine::new(&case.keys(), &case.times()).expect("as many times as keys");
        let sources: Vec<&dyn RowSource> = sorted.iter().map(|run| run as &dyn RowSource).collect();
        let answers = matched(&sources, &spine, case.labels.len(), &case.cut());
        prop_assert_eq!(answers, case.expected());
    }

    #[test]
    fn a_lookup_answers_as_the_contract_says(case in case()) {
        let (open, bulk, cut) = (case.open_runs(), case.bulk_runs(), case.cut());
        for ((key, at), expected) in case.keys().iter().zip(case.times()).zip(case.expected()) {
            let Some(key) = key else { continue };
            prop_assert_eq!(looked_up(&open, &bulk, key, at, &cut), expected);
        }
    }

    #[test]
    fn parts_of_a_spine_give_the_whole(case in case(), middle in 0..=1_024_u16) {
        let runs = case.bulk_runs();
        let keys = || runs.iter().map(|run| run.run_keys().as_ref());
        let spine = Spine::new(&case.keys(), &case.times()).expect("as many times as keys");
        let mut parts = match_runs(keys(), &spine.buckets(0..middle), &case.cut());
        parts.extend(match_runs(keys(), &spine.buckets(middle..1_024), &case.cut()));
        prop_assert_eq!(parts, match_runs(keys(), &spine.whole(), &case.cut()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn sealing_never_changes_an_answer(case in case()) {
        let (blobs, cut) = (MemBlobs::new(), case.cut());
        let segments = case.segments(&blobs);
        let sources: Vec<&dyn RowSource> = segments.iter().map(|run| run as &dyn RowSource).collect();
        let spine = Spine::new(&case.keys(), &case.times()).expect("as many times as keys");
        let expected = case.expected();
        prop_assert_eq!(&matched(&sources, &spine, case.labels.len(), &cut), &expected);
        let whole: Vec<Arc<RunKeys>> = segments.iter().map(|run| run.keys().expect("readable")).collect();
        let asked = segments.iter().map(|run| run.keys_of(spine.keys().iter()).expect("readable"));
        let asked: Vec<Arc<RunKeys>> = asked.collect();
        prop_assert_eq!(
            match_runs(asked.iter().map(AsRef::as_ref), &spine.whole(), &cut),
            match_runs(whole.iter().map(AsRef::as_ref), &spine.whole(), &cut)
        );
        for ((key, at), expected) in case.keys().iter().zip(case.times()).zip(expected) {
            let Some(key) = key else { continue };
            let found = segments.iter().filter_map(|segment| {
                let found = segment.find(key, at, &cut).expect("readable")?;
                Some((found, ids(segment, &[found.row])[0]))
            });
            prop_assert_eq!(best_answer(found, at, &cut), expected);
        }
    }

    #[test]
    fn compaction_never_changes_an_answer(case in case(), kept in 0..4_usize) {
        let (blobs, cut) = (MemBlobs::new(), case.cut());
        let segments = case.segments(&blobs);
        let mut sources: Vec<&dyn RowSource> = segments.iter().map(|run| run as &dyn RowSource).collect();
        let merged_from = sources.split_off(kept.min(sources.len() - 1));
        let schema = ViewSchema::of(&view(case.with_created_time));
        let info = merge_runs(&blobs, HistoryId(7), schema, &merged_from).expect("readable");
        let merged = Segment::open(&blobs, &info).expect("just written");
        sources.push(&merged);
        let spine = Spine::new(&case.keys(), &case.times()).expect("as many times as keys");
        prop_assert_eq!(matched(&sources, &spine, case.labels.len(), &cut), case.expected());
        let rows: usize = merged_from.iter().map(|run| run.keys().expect("readable").rows()).sum();
        prop_assert_eq!(info.rows, rows as u64, "every row version is kept");
    }
}

fn cut(mode: MatchMode) -> Cut {
    Cut { mode, default_mode: MatchMode::Known, snapshot: TimestampUs::MAX, ttl: None }
}

/// A million rows would do too; this many would already show anything quadratic in a debug build.
#[test]
fn a_history_backfilled_late_costs_each_row_once() {
    let rows = 60_000;
    let row = |n: i64| Row {
        origin: "A".into(),
        flight: 1,
        event_time: n,
        created_time: Some(if n == 0 { 0 } else { 10 * rows - n }),
        deleted: false,
        value: None,
        id: n,
    };
    let commit = Commit { time: 1, rows: (0..rows).map(row).collect() };
    let run = bulk_run(&commit, &view(true), 8_192);
    let keys = vec![Some(key("A", 1)); rows as usize];
    let times: Vec<TimestampUs> = (0..rows).map(TimestampUs).collect();
    let spine = Spine::new(&keys, &times).expect("as many times as keys");
    let known = match_runs([run.run_keys().as_ref()], &spine.whole(), &cut(MatchMode::Known));
    assert!(known.iter().all(|winner| winner.is_some_and(|winner| winner.row == 0)), "nothing leaks");
    let event = match_runs([run.run_keys().as_ref()], &spine.whole(), &cut(MatchMode::Event));
    assert!(event.iter().zip(0..).all(|(winner, n)| winner.is_some_and(|winner| winner.row == n)));
}

#[test]
fn late_row_never_leaks_into_the_past() {
    let early = Row {
        origin: "A".into(),
        flight: 1,
        event_time: 1,
        created_time: Some(1),
        deleted: false,
        value: None,
        id: 1,
    };
    let late = Row { event_time: 2, created_time: Some(9), id: 2, ..early.clone() };
    let run = bulk_run(&Commit { time: 100, rows: vec![early, late] }, &view(true), 8);
    let at = |time, mode| {
        find(run.run_keys(), &key("A", 1), TimestampUs(time), &cut(mode))
            .map(|found| ids(&run, &[found.row])[0])
    };
    assert_eq!(at(8, MatchMode::Known), Some(1));
    assert_eq!(at(9, MatchMode::Known), Some(2));
    assert_eq!(at(8, MatchMode::Event), Some(2));
    assert_eq!(at(99, MatchMode::Served), None);
    assert_eq!(at(100, MatchMode::Served), Some(2));
}

#[test]
fn an_open_run_takes_commits_in_order_only() {
    let row = Row {
        origin: "A".into(),
        flight: 1,
        event_time: 1,
        created_time: None,
        deleted: false,
        value: None,
        id: 1,
    };
    let view = view(true);
    let schema = ViewSchema::of(&view);
    let mut run = open_run([&Commit { time: 5, rows: vec![row.clone(), row.clone()] }], &view);
    let batch = crate::fixture::batch(&[row], &view);
    assert!(run.append(&batch, &schema, TimestampUs(4), 0).is_err());
    assert!(run.append(&batch, &schema, TimestampUs(5), 1).is_err());
    assert_eq!(run.rows(), 2);
    assert_eq!(run.append(&batch, &schema, TimestampUs(5), 2).ok(), Some(2));
    assert_eq!(run.freeze().expect("small").keys().expect("in memory").rows(), 3);
}
