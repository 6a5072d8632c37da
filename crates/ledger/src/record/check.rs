//! The rules of records that their types do not carry.

use lineate_types::limits;

use super::{Assertion, Collection, Dataset, Erasure, Evaluation, Load, Record, Run, Seal, Service};
use crate::{Error, Result};

/// Checks a record.
pub(super) fn record(record: &Record) -> Result<()> {
    let invalid = |why: String| Err(Error::InvalidRecord { record: record.kind().as_str(), why });
    if record.name().is_some_and(|(_, _, version)| version == 0) {
        return invalid("its version is 0; versions begin at 1".to_owned());
    }
    match record {
        Record::Service(Service { views, .. }) => {
            edges("service", views.len())?;
            if views.is_empty() {
                return invalid("it names no view; a service has features of at least one".to_owned());
            }
        }
        Record::Load(Load { sources, rows, tombstones, segments, .. }) => {
            edges("load", sources.len())?;
            if tombstones > rows {
                return invalid(format!("it has {tombstones} tombstones among {rows} rows"));
            }
            let stored = sum(segments.iter().map(|segment| segment.rows));
            if stored != Some(*rows) {
                return invalid(format!("its segments do not hold its {rows} rows"));
            }
        }
        Record::Seal(Seal { first_commit, last_commit, rows, writers, view, earlier_views, .. }) => {
            if let Some(earlier) = earlier_views {
                edges("seal", earlier.len())?;
                if earlier.is_empty() || earlier.contains(view) {
                    return invalid("its earlier views are none, or its view is among them".to_owned());
                }
            }
            if first_commit > last_commit {
                return invalid(format!("its commit times run from {first_commit} back to {last_commit}"));
            }
            if sum(writers.values().copied()) != Some(*rows) {
                return invalid(format!("the rows of its writers do not add up to {rows}"));
            }
        }
        Record::Dataset(dataset) => check_dataset(dataset)?,
        Record::Run(Run { inputs, parameters, .. }) => {
            edges("run", inputs.len())?;
            parameters.keys().try_for_each(|key| label("name of a parameter", key))?;
        }
        Record::Evaluation(Evaluation { metrics, .. }) => {
            if metrics.is_empty() {
                return invalid("it has no metric".to_owned());
            }
            for (key, value) in metrics {
                label("name of a metric", key)?;
                label("value of a metric", value.as_str())?;
            }
        }
        Record::Assertion(Assertion { value: None, replaces: None, .. }) => {
            return invalid("it has no value and withdraws nothing; expected one of them".to_owned());
        }
        Record::Collection(Collection { members, .. }) => {
            edges("collection", members.len())?;
            if members.is_empty() {
                return invalid("it has no member".to_owned());
            }
        }
        Record::Erasure(Erasure { texts, .. }) => {
            within("erasure", "texts", texts.len(), limits::RECORD_EDGES)?;
            if texts.is_empty() {
                return invalid("it names no text".to_owned());
            }
        }
        Record::Source(_)
        | Record::View(_)
        | Record::Model(_)
        | Record::Promotion(_)
        | Record::Assertion(_) => {}
    }
    Ok(())
}

fn check_dataset(dataset: &Dataset) -> Result<()> {
    let invalid = |why: String| Err(Error::InvalidRecord { record: "dataset", why });
    edges("dataset", dataset.views.len() + dataset.inputs.len())?;
    for name in dataset.spine.columns.iter().map(|column| &column.name) {
        label("name of a spine column", name)?;
    }
    dataset.columns.iter().try_for_each(|column| label("name of a column", &column.name))?;
    if !dataset.spine.columns.iter().any(|column| column.name == dataset.spine.time_column) {
        return invalid(format!("its time column `{}` is not in its spine", dataset.spine.time_column));
    }
    if dataset.rows != dataset.spine.rows {
        return invalid(format!(
            "it has {} rows, its spine {}; they must be equal",
            dataset.rows, dataset.spine.rows
        ));
    }
    // A set may be pinned without being stored: then it has no files.
    let stored = sum(dataset.files.iter().map(|file| file.rows));
    if !dataset.files.is_empty() && stored != Some(dataset.rows) {
        return invalid(format!("its files do not hold its {} rows", dataset.rows));
    }
    Ok(())
}

fn edges(what: &'static str, actual: usize) -> Result<()> {
    within(what, "inputs", actual, limits::RECORD_EDGES)
}

fn label(what: &'static str, text: &str) -> Result<()> {
    within(what, "bytes", text.len(), limits::RECORD_LABEL_BYTES)
}

fn within(what: &'static str, unit: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit { Err(Error::TooLarge { what, unit, actual, limit }) } else { Ok(()) }
}

fn sum(rows: impl Iterator<Item = u64>) -> Option<u64> {
    rows.into_iter().try_fold(0_u64, u64::checked_add)
}
