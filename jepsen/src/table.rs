//! The workload's rows in the forms the store takes and gives.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use lineate_client::{ipc, v1::DefinitionFile};
use lineate_types::TimestampUs;

use crate::{
    Error, Result,
    history::{Label, Row, View, note},
};

/// The service of both views.
pub const SERVICE: &str = "both";

const DEFINITIONS: &str = "\
project: chaos
entities:
  - {name: thing, keys: [{name: id, type: int64}]}
views:
  - name: pushed
    entity: thing
    event_time: event_timestamp
    owner: chaos@example.com
    features: [{name: value, type: int64}, {name: note, type: string}]
  - name: loaded
    entity: thing
    event_time: event_timestamp
    features: [{name: value, type: int64}, {name: note, type: string}]
services:
  - {name: both, features: [\"pushed.*\", \"loaded.*\"]}
";

/// What the workload defines.
pub fn definitions() -> Vec<DefinitionFile> {
    vec![DefinitionFile { name: "chaos.yaml".into(), yaml: DEFINITIONS.into() }]
}

/// Rows as an Arrow IPC stream.
///
/// # Errors
/// Arrow refuses.
pub fn arrow(rows: &[Row]) -> Result<Bytes> {
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.event_us));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.key)))),
        ("event_timestamp", Arc::new(times.with_timezone("UTC"))),
        ("value", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.value)))),
        ("note", Arc::new(StringArray::from_iter_values(rows.iter().map(Row::note)))),
        ("__deleted", Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.deleted))))),
    ];
    encode(columns)
}

/// Rows as JSON objects, one a line.
pub fn ndjson(rows: &[Row]) -> Bytes {
    let mut text = String::new();
    for row in rows {
        let Row { key, value, deleted, .. } = row;
        let (time, note) = (TimestampUs(row.event_us), row.note());
        let _ = writeln!(
            text,
            r#"{{"id":{key},"event_timestamp":"{time}","value":{value},"note":"{note}","__deleted":{deleted}}}"#
        );
    }
    text.into()
}

/// Rows as CSV.
pub fn csv(rows: &[Row]) -> Bytes {
    let mut text = String::from("note,id,event_timestamp,__deleted,value\n");
    for row in rows {
        let Row { key, value, deleted, .. } = row;
        let _ = writeln!(text, "{},{key},{},{deleted},{value}", row.note(), TimestampUs(row.event_us));
    }
    text.into()
}

/// Labels as an Arrow IPC stream.
///
/// # Errors
/// Arrow refuses.
pub fn spine(labels: &[Label]) -> Result<Bytes> {
    let times = TimestampMicrosecondArray::from_iter_values(labels.iter().map(|label| label.at_us));
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(labels.iter().map(|label| label.key)))),
        ("event_timestamp", Arc::new(times.with_timezone("UTC"))),
    ];
    encode(columns)
}

fn encode<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<Bytes> {
    let batch = RecordBatch::try_from_iter(columns).map_err(|cause| Error::Harness(cause.to_string()))?;
    ipc::encode(&batch).map_err(Error::asking("encoding rows"))
}

/// The values of a view in a batch of features, checked against the texts beside them.
///
/// # Errors
/// A column is missing, or a text is not the one that was written with the value.
pub fn values(batch: &RecordBatch, view: View) -> Result<Vec<Option<i64>>> {
    let missing =
        |name: &str| Error::violation(format!("an answer has no column `{name}` of the right type"));
    let (value, text) = (format!("{}__value", view.name()), format!("{}__note", view.name()));
    let values = batch.column_by_name(&value).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let texts = batch.column_by_name(&text).and_then(|column| column.as_string_opt::<i32>());
    let (values, texts) = (values.ok_or_else(|| missing(&value))?, texts.ok_or_else(|| missing(&text))?);
    for (row, value) in values.iter().enumerate() {
        let found = texts.is_valid(row).then(|| texts.value(row).to_owned());
        if found != value.map(note) {
            return Err(Error::violation(format!(
                "value {value:?} of {} has the text {found:?}",
                view.name()
            )));
        }
    }
    Ok(values.iter().collect())
}

/// The labels in a batch of a training set.
///
/// # Errors
/// A column is missing.
pub fn labels(batch: &RecordBatch) -> Result<Vec<Label>> {
    let missing =
        |name: &str| Error::violation(format!("a training set has no column `{name}` of the right type"));
    let keys = batch.column_by_name("id").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let times = batch.column_by_name("event_timestamp");
    let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let (keys, times) =
        (keys.ok_or_else(|| missing("id"))?, times.ok_or_else(|| missing("event_timestamp"))?);
    Ok(keys
        .values()
        .iter()
        .zip(times.values())
        .map(|(key, at_us)| Label { key: *key, at_us: *at_us })
        .collect())
}
