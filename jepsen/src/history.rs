//! What was asked of the store, and what came of it: the model that answers are held against.
//!
//! Invariants: a row is entered before it is sent, and marked present only when it was acknowledged or seen; every
//! row has a value and an event time that no other row has, so that an answer names the row it came from. An
//! operation without an answer is unknown until the store itself says what became of it, never "failed".

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lineate_client::v1::{Dataset, LoadReport, PushAck, Writer};
use lineate_types::{EntityKey, KeyValue, ShardId, TimestampUs};

use crate::random::Random;

/// Entities of the workload.
pub const ENTITIES: u64 = 300;
/// The event time of the first row: 2020-01-01.
const FIRST_EVENT_US: i64 = 1_577_836_800_000_000;
/// Rows of one stretch of event time.
const ROWS_PER_STRETCH: u64 = 50;
/// Microseconds of one stretch; more than there are rows in a run, so that event times differ.
const STRETCH_US: i64 = 10_000_000;

/// A feature view of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// Rows come in a stream.
    Pushed,
    /// Rows come in files.
    Loaded,
}

impl View {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Loaded => "loaded",
        }
    }
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The entity.
    pub key: i64,
    /// Its time, unlike that of every other row.
    pub event_us: i64,
    /// Its value, unlike that of every other row.
    pub value: i64,
    /// Whether it ends the key.
    pub deleted: bool,
}

impl Row {
    /// Its text, which follows from its value.
    pub fn note(&self) -> String {
        note(self.value)
    }

    /// The shard it belongs to.
    pub fn shard(&self, shards: u16) -> ShardId {
        let key = EntityKey::encode(&[KeyValue::Int64(self.key)]);
        let key = key.expect("invariant: one integer is a key of less than the greatest length");
        key.bucket().shard(shards)
    }
}

/// The text of the row with a value.
pub fn note(value: i64) -> String {
    format!("row {value} {}", "·".repeat((value % 40) as usize))
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nobody knows yet.
    Unknown,
    /// It had its effect.
    Done,
    /// It had none, and never will.
    Void,
}

/// A batch that was pushed.
#[derive(Debug, Clone)]
pub struct Push {
    /// By whom.
    pub writer: Writer,
    /// Its number.
    pub sequence: u64,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Its bytes: the same again for the same number.
    pub payload: Bytes,
    /// What became of it.
    pub fate: Fate,
    /// The answer, if there was one.
    pub ack: Option<PushAck>,
}

/// Files that were loaded.
#[derive(Debug, Clone)]
pub struct Load {
    /// The files.
    pub files: Vec<(String, Bytes)>,
    /// The rows in them.
    pub rows: Vec<Row>,
    /// What became of it.
    pub fate: Fate,
    /// The answer, if there was one.
    pub report: Option<LoadReport>,
}

/// A training set that was made.
#[derive(Debug, Clone)]
pub struct Training {
    /// Its name.
    pub name: String,
    /// The mode asked for.
    pub mode: &'static str,
    /// Its labels, a file.
    pub spine: Bytes,
    /// What became of it.
    pub fate: Fate,
    /// The answer, if there was one.
    pub dataset: Option<Dataset>,
}

/// One label: whose features, and as of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// The entity.
    pub key: i64,
    /// The time.
    pub at_us: i64,
}

/// What is known to be in a view for a label: the newest present row, by event time.
pub type Floor = Option<i64>;

#[derive(Debug, Clone, Copy)]
struct Entered {
    row: Row,
    present: bool,
}

/// Everything that was asked.
#[derive(Debug, Default)]
pub struct History {
    /// Batches, in the order they were begun.
    pub pushes: Vec<Push>,
    /// Loads, in the order they were begun.
    pub loads: Vec<Load>,
    /// Training sets, in the order they were begun.
    pub trainings: Vec<Training>,
    /// The greatest `as_of` of an answer, by key. Shards answer for themselves: an answer about other keys may
    /// hold at an earlier time.
    as_of: BTreeMap<i64, i64>,
    /// Lookups that were answered.
    pub lookups: u64,
    /// The greatest number of ledger entries that was seen.
    pub ledger_entries: u64,
    /// Writers that were opened again since.
    pub reopened: BTreeSet<u64>,
    /// Every row, in the order they were entered.
    all: Vec<Row>,
    rows: BTreeMap<(View, i64), BTreeMap<i64, Entered>>,
    made: u64,
}

/// A history that several tasks write.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<History>>);

impl Shared {
    /// The history.
    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// The `as_of` below which no answer about these keys may be from now on.
    pub fn answered(&self, keys: &[i64]) -> i64 {
        keys.iter().filter_map(|key| self.as_of.get(key)).copied().max().unwrap_or(i64::MIN)
    }

    /// Enters the `as_of` of an answer about these keys.
    pub fn answer(&mut self, keys: &[i64], as_of: i64) {
        for key in keys {
            let known = self.as_of.entry(*key).or_insert(as_of);
            *known = as_of.max(*known);
        }
    }

    /// Makes new rows: out of order, some late, some that end a key which has another row among them.
    pub fn new_rows(&mut self, count: u64, random: &mut Random) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..count {
            self.made += 1;
            let late = if random.percent(20) { random.below(20) } else { 0 };
            let stretch = (self.made / ROWS_PER_STRETCH).saturating_sub(late);
            let event_us = FIRST_EVENT_US + stretch as i64 * STRETCH_US + self.made as i64;
            let earlier = rows.get(random.below(rows.len() as u64) as usize).filter(|row| !row.deleted);
            let ended = earlier.filter(|_| random.percent(5)).map(|row| row.key);
            let key = ended.unwrap_or_else(|| random.below(ENTITIES) as i64);
            rows.push(Row { key, event_us, value: self.made as i64, deleted: ended.is_some() });
        }
        rows
    }

    /// Enters a batch that is about to be sent.
    pub fn begin_push(&mut self, writer: Writer, sequence: u64, rows: Vec<Row>, payload: Bytes) -> usize {
        self.enter(View::Pushed, &rows);
        self.pushes.push(Push { writer, sequence, rows, payload, fate: Fate::Unknown, ack: None });
        self.pushes.len() - 1
    }

    /// Enters a load that is about to be sent.
    pub fn begin_load(&mut self, files: Vec<(String, Bytes)>, rows: Vec<Row>) -> usize {
        self.enter(View::Loaded, &rows);
        self.loads.push(Load { files, rows, fate: Fate::Unknown, report: None });
        self.loads.len() - 1
    }

    /// Enters a training set that is about to be made.
    pub fn begin_training(&mut self, name: &str, mode: &'static str, spine: Bytes) -> usize {
        let name = name.to_owned();
        self.trainings.push(Training { name, mode, spine, fate: Fate::Unknown, dataset: None });
        self.trainings.len() - 1
    }

    /// A batch had its effect.
    pub fn push_done(&mut self, index: usize, ack: Option<PushAck>) {
        let Some(push) = self.pushes.get_mut(index) else { return };
        push.fate = Fate::Done;
        push.ack = ack.or(push.ack.take());
        let rows = push.rows.clone();
        self.mark(View::Pushed, &rows);
    }

    /// A load had its effect.
    pub fn load_done(&mut self, index: usize, report: Option<LoadReport>) {
        let Some(load) = self.loads.get_mut(index) else { return };
        load.fate = Fate::Done;
        load.report = report.or(load.report.take());
        let rows = load.rows.clone();
        self.mark(View::Loaded, &rows);
    }

    /// A training set was made.
    pub fn training_done(&mut self, index: usize, dataset: Dataset) {
        if let Some(training) = self.trainings.get_mut(index) {
            training.fate = Fate::Done;
            training.dataset = Some(dataset);
        }
    }

    /// Some rows were seen, though their operation was not acknowledged.
    pub fn mark(&mut self, view: View, rows: &[Row]) {
        for row in rows {
            let entered = self.rows.get_mut(&(view, row.key)).and_then(|rows| rows.get_mut(&row.event_us));
            if let Some(entered) = entered {
                entered.present = true;
            }
        }
    }

    /// What is known to be there for a label.
    pub fn floor(&self, view: View, label: Label) -> Floor {
        let rows = self.rows.get(&(view, label.key))?;
        rows.range(..=label.at_us).rev().find(|(_, entered)| entered.present).map(|(event_us, _)| *event_us)
    }

    /// Whether an answer to a label can be: none of the rows present when the question was asked (`floor`) was
    /// passed over, and the row it came from had been sent.
    ///
    /// # Errors
    /// It cannot, and why not.
    pub fn can_be(&self, view: View, label: Label, floor: Floor, answer: Option<i64>) -> Result<(), String> {
        let least = floor.map_or(Bound::Unbounded, Bound::Included);
        let empty = BTreeMap::new();
        let rows = self.rows.get(&(view, label.key)).unwrap_or(&empty);
        let mut candidates =
            rows.range((least, Bound::Included(label.at_us))).map(|(_, entered)| entered.row);
        let possible = match answer {
            Some(value) => candidates.any(|row| row.value == value && !row.deleted),
            None => floor.is_none() || candidates.any(|row| row.deleted),
        };
        if possible {
            return Ok(());
        }
        let view = view.name();
        let Label { key, at_us } = label;
        let newest = floor.and_then(|event_us| rows.get(&event_us)).map(|entered| entered.row);
        Err(format!("{view} of entity {key} at {at_us} is {answer:?}; {newest:?} was acknowledged before"))
    }

    /// The only right answer to a label once no operation is unknown.
    pub fn expected(&self, view: View, label: Label) -> Option<i64> {
        let rows = self.rows.get(&(view, label.key))?;
        let (_, newest) = rows.range(..=label.at_us).rev().find(|(_, entered)| entered.present)?;
        (!newest.row.deleted).then_some(newest.row.value)
    }

    /// Rows that are known to be in the store.
    pub fn present_rows(&self) -> u64 {
        self.rows.values().flat_map(BTreeMap::values).filter(|entered| entered.present).count() as u64
    }

    /// Rows that were ever sent.
    pub fn entered_rows(&self) -> u64 {
        self.all.len() as u64
    }

    /// The labels that tell every row entered from every other; only those of the newest rows and some of the
    /// others if there are more than `most`.
    pub fn labels(&self, most: usize, random: &mut Random) -> Vec<Label> {
        let (older, newest) = self.all.split_at(self.all.len().saturating_sub(most / 2));
        let chosen: BTreeSet<usize> = match older.len() > most / 2 {
            true => (0..most / 2).map(|_| random.below(older.len() as u64) as usize).collect(),
            false => (0..older.len()).collect(),
        };
        let rows = chosen.into_iter().filter_map(|index| older.get(index)).chain(newest);
        rows.map(|row| Label { key: row.key, at_us: row.event_us }).collect()
    }

    /// Labels of every entity at one time.
    pub fn everyone_at(at: TimestampUs) -> Vec<Label> {
        (0..ENTITIES as i64).map(|key| Label { key, at_us: at.0 }).collect()
    }

    fn enter(&mut self, view: View, rows: &[Row]) {
        self.all.extend(rows);
        for row in rows {
            let of_key = self.rows.entry((view, row.key)).or_default();
            of_key.insert(row.event_us, Entered { row: *row, present: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer {
        Writer { writer_id: 1, epoch: 1 }
    }

    #[test]
    fn rows_differ_in_value_and_event_time_and_ends_have_a_row_beside_them() {
        let mut history = History::default();
        let mut random = Random::new(3);
        let rows = history.new_rows(20_000, &mut random);
        let values: BTreeSet<i64> = rows.iter().map(|row| row.value).collect();
        let times: BTreeSet<i64> = rows.iter().map(|row| row.event_us).collect();
        assert_eq!((values.len(), times.len()), (rows.len(), rows.len()));
        assert!(rows.iter().any(|row| row.deleted));
        let plain: BTreeSet<i64> = rows.iter().filter(|row| !row.deleted).map(|row| row.key).collect();
        assert!(rows.iter().filter(|row| row.deleted).all(|row| plain.contains(&row.key)));
    }

    #[test]
    fn an_answer_may_be_the_newest_acknowledged_row_or_a_later_one_that_was_sent() {
        let mut history = History::default();
        let row = |event_us, deleted| Row { key: 1, event_us, value: event_us, deleted };
        let push = |history: &mut History, row| history.begin_push(writer(), 1, vec![row], Bytes::new());
        let old = push(&mut history, row(10, false));
        let new = push(&mut history, row(20, false));
        push(&mut history, row(30, false));
        history.push_done(old, None);
        history.push_done(new, None);
        let label = Label { key: 1, at_us: 100 };
        let floor = history.floor(View::Pushed, label);
        assert_eq!(floor, Some(20));
        let can_be = |answer| history.can_be(View::Pushed, label, floor, answer).is_ok();
        assert!(can_be(Some(20)) && can_be(Some(30)));
        assert!(!can_be(Some(10)), "an acknowledged row is missing");
        assert!(!can_be(Some(40)), "nobody sent it");
        assert!(!can_be(None), "nothing ended the key");
        assert_eq!(history.expected(View::Pushed, label), Some(20));
        assert_eq!(history.expected(View::Pushed, Label { key: 1, at_us: 19 }), Some(10));
        assert_eq!(history.present_rows(), 2);
    }

    #[test]
    fn a_key_that_was_ended_has_no_value() {
        let mut history = History::default();
        let row = |event_us, deleted| Row { key: 1, event_us, value: event_us, deleted };
        let all = history.begin_push(writer(), 1, vec![row(10, false), row(20, true)], Bytes::new());
        let label = Label { key: 1, at_us: 100 };
        assert!(history.can_be(View::Pushed, label, None, None).is_ok());
        history.push_done(all, None);
        let floor = history.floor(View::Pushed, label);
        assert_eq!(history.expected(View::Pushed, label), None);
        assert!(history.can_be(View::Pushed, label, floor, None).is_ok());
        assert!(history.can_be(View::Pushed, label, floor, Some(10)).is_err());
    }
}
