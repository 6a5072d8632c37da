//! Foreign data becomes canonical rows exactly, or is refused with a message that says where and why.

mod columns;
mod files;
mod fixture;
mod hostile;
mod keys;
mod spines;
mod text;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{Field, Schema},
};
use bytes::Bytes;
use lineate_segment::{
    Result,
    intake::{ForeignFile, Intake},
};
use lineate_types::{Feature, HistoryId, KeyColumn, KeyType, ViewDefinition, ViewId};

use crate::fixture::name;

/// Noon on the first of June 2013.
const NOON_US: i64 = 1_370_088_000_000_000;

/// `weather(origin: string)`, event time `at`, created time `known`, with these features.
fn weather(features: &[(&str, &str)]) -> ViewDefinition {
    ViewDefinition {
        id: ViewId(1),
        history: HistoryId(1),
        project: name("flights"),
        name: name("weather"),
        version: 1,
        entity: name("airport"),
        keys: vec![KeyColumn { name: name("origin"), key_type: KeyType::String }],
        event_time: name("at"),
        created_time: Some(name("known")),
        ttl: None,
        naive_times_are_utc: false,
        features: features
            .iter()
            .map(|(feature, text)| Feature { name: name(feature), data_type: text.parse().expect(text) })
            .collect(),
    }
}

fn times(times: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
}

/// A foreign batch with the keys and times of `weather` and these columns beside.
fn foreign(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let rows = columns.first().map_or(1, |(_, column)| column.len());
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["JFK"; rows]));
    let mut all = vec![("at", times(vec![Some(NOON_US); rows])), ("known", times(vec![None; rows]))];
    all.insert(0, ("origin", keys));
    all.extend(columns);
    table(all)
}

/// A batch of named columns, all nullable.
fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

/// What one foreign column becomes as the only feature.
fn convert(column: ArrayRef, wanted: &str) -> std::result::Result<ArrayRef, String> {
    let intake = Intake::new(&weather(&[("temp", wanted)]));
    let batch = intake.convert(&foreign(vec![("temp", column)]), 0).map_err(|cause| cause.to_string())?;
    intake.schema().check(&batch).expect("canonical");
    Ok(batch.column_by_name("temp").expect("there").clone())
}

/// All rows of a text file.
fn read_text(view: &ViewDefinition, text: &str) -> std::result::Result<Vec<RecordBatch>, String> {
    let file = ForeignFile::from_bytes("rows.txt", Bytes::from(text.to_owned()));
    let batches: Result<Vec<_>> = Intake::new(view).open(&file).and_then(Iterator::collect);
    batches.map_err(|cause| cause.to_string())
}
