//! Rows: content through a training set over every one of them, number through the status.

use std::collections::BTreeMap;

use lineate_client::Client;
use lineate_types::ShardId;

use super::{CHECK, status};
use crate::{
    Error, Result,
    history::{Fate, Label, Row, Shared, View},
    random::Random,
    workload::{pull, train},
};

/// What became of the operations without an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Unknown {
    /// Batches: in how many of their shards they are, and how many there are.
    pub(super) pushes: Vec<(usize, usize, usize)>,
    /// Loads, and whether they are there.
    pub(super) loads: Vec<(usize, bool)>,
}

/// Finds out what became of operations without an answer, and holds the content of rows against the only right one.
pub(super) async fn settle(
    client: &Client,
    history: &Shared,
    random: &mut Random,
    shards: u16,
    most: usize,
) -> Result<Unknown> {
    let labels = labels(history, random, most);
    if labels.is_empty() {
        return Ok(Unknown::default());
    }
    let dataset = train(client, history, CHECK, "event", &labels, None).await?;
    let (found, [pushed, loaded]) = pull(client, &dataset).await?;
    if found != labels {
        return Err(Error::violation("the labels of a training set are not those that were sent"));
    }
    let mut history = history.lock();
    let answers = |values: Vec<Option<i64>>| labels.iter().map(|l| (l.key, l.at_us)).zip(values).collect();
    let answers: [BTreeMap<(i64, i64), Option<i64>>; 2] = [answers(pushed), answers(loaded)];
    let unknown = settle_unknown(&mut history, &answers, shards)?;
    for (view, answers) in [View::Pushed, View::Loaded].into_iter().zip(&answers) {
        for label in &labels {
            let found = answers.get(&(label.key, label.at_us)).copied().flatten();
            let expected = history.expected(view, *label);
            if found != expected {
                return Err(Error::violation(format!(
                    "{} of entity {} at {} is {found:?}, and the acknowledged rows make it {expected:?}",
                    view.name(),
                    label.key,
                    label.at_us
                )));
            }
        }
    }
    Ok(unknown)
}

/// The rows in the store are those of the history, each once.
pub(super) async fn count(client: &Client, history: &Shared) -> Result<()> {
    let status = status(client).await?;
    let (found, expected) = (status.open_rows + status.sealed_rows, history.lock().present_rows());
    if found == expected {
        return Ok(());
    }
    Err(Error::violation(format!(
        "the store holds {found} rows ({} open, {} sealed), and {expected} were written",
        status.open_rows, status.sealed_rows
    )))
}

/// Labels of rows that were entered, those of unknown operations among them.
fn labels(history: &Shared, random: &mut Random, most: usize) -> Vec<Label> {
    let history = history.lock();
    let mut labels = history.labels(most, random);
    let pushes = history.pushes.iter().filter(|push| push.fate == Fate::Unknown).flat_map(|push| &push.rows);
    let loads = history.loads.iter().filter(|load| load.fate == Fate::Unknown).flat_map(|load| &load.rows);
    labels.extend(pushes.chain(loads).map(|row| Label { key: row.key, at_us: row.event_us }));
    labels
}

fn settle_unknown(
    history: &mut crate::history::History,
    answers: &[BTreeMap<(i64, i64), Option<i64>>; 2],
    shards: u16,
) -> Result<Unknown> {
    let [pushed, loaded] = answers;
    let mut unknown = Unknown::default();
    for index in 0..history.pushes.len() {
        let push = match history.pushes.get(index) {
            Some(push) if push.fate == Fate::Unknown => push.clone(),
            _ => continue,
        };
        let mut parts: BTreeMap<ShardId, Vec<Row>> = BTreeMap::new();
        for row in &push.rows {
            parts.entry(row.shard(shards)).or_default().push(*row);
        }
        let mut there = 0;
        for (shard, rows) in &parts {
            let what =
                format!("batch {} of writer {} in shard {shard}", push.sequence, push.writer.writer_id);
            if all_or_nothing(pushed, rows, &what)? {
                there += 1;
                history.mark(View::Pushed, rows);
            }
        }
        unknown.pushes.push((index, there, parts.len()));
    }
    for index in 0..history.loads.len() {
        let rows = match history.loads.get(index) {
            Some(load) if load.fate == Fate::Unknown => load.rows.clone(),
            _ => continue,
        };
        let there = all_or_nothing(loaded, &rows, &format!("load {index}"))?;
        if there {
            history.mark(View::Loaded, &rows);
        }
        unknown.loads.push((index, there));
    }
    Ok(unknown)
}

/// Whether some rows are there. Those that end a key cannot be seen alone, and have others beside them.
fn all_or_nothing(answers: &BTreeMap<(i64, i64), Option<i64>>, rows: &[Row], what: &str) -> Result<bool> {
    let plain: Vec<&Row> = rows.iter().filter(|row| !row.deleted).collect();
    let is_there = |row: &&&Row| answers.get(&(row.key, row.event_us)).copied().flatten() == Some(row.value);
    let there = plain.iter().filter(is_there).count();
    if there != 0 && there != plain.len() {
        return Err(Error::violation(format!("{what} is there in part: {there} of {} rows", plain.len())));
    }
    Ok(there != 0)
}
