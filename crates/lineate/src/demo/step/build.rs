//! Builds the training set twice over the same labels: as it was known, and with what was found out later. Pulls
//! both and counts the cells in which hindsight leaked.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::Float64Type,
    error::ArrowError,
};
use futures::TryStreamExt;
use lineate_client::{
    Client, UploadSource,
    v1::{CreateDatasetRequest, Dataset},
};
use serde_json::{Value, json};

use super::odd_answer;
use crate::{
    demo::{
        commands::{DATASET, LEAKING, SERVICE},
        comparison::differing_cells,
        data::{Data, EVENT_TIME, LABEL, MERCHANT},
        hindsight::{Checked, Hindsight},
        timing::{micros, rate},
    },
    error::Error,
    output::{
        Page, Report, cell, number,
        progress::Bar,
        table::{Side, Table},
    },
};

/// The feature in which hindsight is easiest to see.
const TELLING: &str = "merchant_profile__chargeback_rate_7d";

/// Two training sets over the same labels.
pub(in crate::demo) struct Built {
    /// As it was known.
    pub(in crate::demo) known: Set,
    /// With hindsight.
    pub(in crate::demo) leaking: Set,
    differences: Vec<Difference>,
    /// The row in which hindsight shows most.
    example: Option<Example>,
    /// The telling feature as it was known, held against the files.
    checked: Checked,
}

/// A training set and its rows.
pub(in crate::demo) struct Set {
    pub(in crate::demo) dataset: Dataset,
    pub(in crate::demo) rows: RecordBatch,
    created: Duration,
    pulled: Duration,
}

/// A column in which the two differ.
struct Difference {
    column: String,
    cells: u64,
}

/// One label, with both values of the telling feature.
struct Example {
    merchant: String,
    time: String,
    is_fraud: Value,
    known: Value,
    leaked: Value,
}

/// Builds both.
pub(in crate::demo) async fn build(client: &Client, data: &Data, directory: &Path) -> Result<Built, Error> {
    let spine = data.labels.path(directory);
    let known = set(client, &spine, DATASET, "").await?;
    let leaking = set(client, &spine, LEAKING, "event").await?;
    let differences = differences(&known, &leaking)?;
    let example = example(&known.rows, &leaking.rows).map_err(odd_answer)?;
    let checked = tokio::task::block_in_place(|| check(data, &known.rows)).map_err(odd_answer)?;
    Ok(Built { known, leaking, differences, example, checked })
}

async fn set(client: &Client, spine: &Path, name: &str, mode: &str) -> Result<Set, Error> {
    let started = Instant::now();
    let mut bar = Bar::new();
    let spine_name = spine.display().to_string();
    let bytes = std::fs::metadata(spine).ok().map(|metadata| metadata.len());
    let sent = bar.bytes("sending the labels", bytes);
    let spine = client.upload(UploadSource::File(spine.to_owned()), sent).await?;
    let request = CreateDatasetRequest {
        name: name.to_owned(),
        service: SERVICE.to_owned(),
        spine_upload_id: spine.upload_id,
        time_column: EVENT_TIME.to_owned(),
        mode: mode.to_owned(),
        snapshot_us: None,
        spine_name,
    };
    let dataset = client.create_dataset(request, |progress| bar.show(&progress)).await?;
    drop(bar);
    let created = started.elapsed();
    let started = Instant::now();
    let rows = client.pull_dataset(&format!("{name}@v{}", dataset.version)).await?;
    let schema = rows.schema.clone();
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    let rows = concat_batches(&schema, &batches).map_err(odd_answer)?;
    Ok(Set { dataset, rows, created, pulled: started.elapsed() })
}

/// Holds the telling feature against the files.
fn check(data: &Data, rows: &RecordBatch) -> Result<Checked, ArrowError> {
    let (view, feature) = TELLING.split_once("__").unwrap_or((TELLING, TELLING));
    let sources = data.loads.iter().filter(|source| source.view == view);
    let files = sources.flat_map(|source| &source.files).map(|table| &table.rows);
    Hindsight::of(files, feature)?.check(rows, TELLING)
}

/// Columns that differ. Those whose logical hashes are equal are, so only the others are compared.
fn differences(known: &Set, leaking: &Set) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    for (one, other) in known.dataset.columns.iter().zip(&leaking.dataset.columns) {
        let columns = (known.rows.column_by_name(&one.name), leaking.rows.column_by_name(&other.name));
        let (Some(left), Some(right)) = columns else { continue };
        if one.logical_hash == other.logical_hash {
            continue;
        }
        let cells = differing_cells(left, right).map_err(odd_answer)?;
        let cells = cells.into_iter().filter(|differs| *differs).count() as u64;
        differences.push(Difference { column: one.name.clone(), cells });
    }
    Ok(differences)
}

/// The label whose telling feature hindsight raised most.
fn example(known: &RecordBatch, leaking: &RecordBatch) -> Result<Option<Example>, ArrowError> {
    let telling = |rows: &RecordBatch| rows.column_by_name(TELLING).cloned();
    let (Some(before), Some(after)) = (telling(known), telling(leaking)) else { return Ok(None) };
    let (Some(before), Some(after)) =
        (before.as_primitive_opt::<Float64Type>(), after.as_primitive_opt::<Float64Type>())
    else {
        return Ok(None);
    };
    let raised = before.iter().zip(after).enumerate().filter_map(|(row, (before, after))| {
        let raised = after? - before?;
        (raised > 0.0).then_some((raised, row))
    });
    let Some((_, row)) = raised.max_by(|(one, _), (other, _)| one.total_cmp(other)) else { return Ok(None) };
    let at = |rows: &RecordBatch, name: &str| {
        let field = rows.schema().field_with_name(name).cloned()?;
        Ok::<Value, ArrowError>(match rows.column_by_name(name) {
            Some(column) if row < column.len() => cell::json(&field, column, row),
            _ => Value::Null,
        })
    };
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Some(Example {
        merchant: text(at(known, MERCHANT)?),
        time: text(at(known, EVENT_TIME)?),
        is_fraud: at(known, LABEL)?,
        known: at(known, TELLING)?,
        leaked: at(leaking, TELLING)?,
    }))
}

impl Built {
    /// Whether the training set holds what was known, as far as that was checked.
    pub(in crate::demo) fn is_honest(&self) -> bool {
        self.checked.known == self.checked.cells
    }

    /// Cells in which hindsight leaked.
    pub(in crate::demo) fn leaked_cells(&self) -> u64 {
        self.differences.iter().map(|difference| difference.cells).sum()
    }
}

impl Set {
    /// The training set's name and version.
    pub(in crate::demo) fn name(&self) -> String {
        format!("{}@v{}", self.dataset.name, self.dataset.version)
    }

    /// Rows a second, from the first byte of the labels sent to the set recorded.
    pub(in crate::demo) fn rate(&self) -> u64 {
        rate(self.dataset.rows, self.created)
    }

    fn json(&self) -> Value {
        json!({
            "dataset": self.dataset.json(),
            "created_us": micros(self.created),
            "rows_per_second": self.rate(),
            "pulled_us": micros(self.pulled),
            "pulled_rows_per_second": rate(self.dataset.rows, self.pulled),
        })
    }
}

impl Report for Built {
    fn text(&self, page: &mut Page) {
        let mut table = Table::new([
            ("TRAINING SET", Side::Left),
            ("MODE", Side::Left),
            ("ROWS", Side::Right),
            ("COLUMNS", Side::Right),
            ("BUILT", Side::Right),
            ("ROWS/S", Side::Right),
            ("PULLED", Side::Right),
            ("RECORD", Side::Left),
        ]);
        for set in [&self.known, &self.leaking] {
            let mode = if set.dataset.mode.is_empty() { "default" } else { &set.dataset.mode };
            table.row([
                set.name(),
                mode.to_owned(),
                number::count(set.dataset.rows),
                number::count(set.dataset.columns.len() as u64),
                number::duration(set.created),
                number::count(set.rate()),
                number::duration(set.pulled),
                number::short_hash(&set.dataset.record),
            ]);
        }
        page.table(&table);
        page.gap();
        let leaked = self.leaked_cells();
        page.verdict(
            true,
            &format!("{} would have leaked hindsight", number::counted(leaked, "cell")),
            &format!("if {} had been matched by event time alone", self.known.name()),
        );
        for difference in &self.differences {
            page.note(&format!("{} in {}", number::count(difference.cells), difference.column));
        }
        page.gap();
        let Checked { cells, known } = self.checked;
        page.verdict(
            known == cells,
            &format!(
                "{} of {} chargeback rates are what was known then",
                number::count(known),
                number::count(cells)
            ),
            "held against the files, row by row",
        );
        if let Some(example) = &self.example {
            page.note(&format!("for example a payment at {} on {}", example.merchant, example.time));
            page.facts([
                ("chargeback rate, as known then", example.known.to_string()),
                ("the same, as corrected weeks later", example.leaked.to_string()),
            ]);
        }
    }

    fn json(&self) -> Value {
        let differences: Vec<Value> = self
            .differences
            .iter()
            .map(|difference| json!({"column": difference.column, "cells": difference.cells}))
            .collect();
        let example = self.example.as_ref().map(|example| {
            json!({
                "merchant_id": example.merchant,
                "event_timestamp": example.time,
                "is_fraud": example.is_fraud,
                "feature": TELLING,
                "as_known": example.known,
                "with_hindsight": example.leaked,
            })
        });
        json!({
            "as_known": self.known.json(),
            "with_hindsight": self.leaking.json(),
            "leaked_cells": self.leaked_cells(),
            "differences": differences,
            "checked": {"feature": TELLING, "cells": self.checked.cells, "as_known": self.checked.known},
            "example": example,
        })
    }
}
