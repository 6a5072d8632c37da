//! A view with a feature of every type, and rows of it.

use std::{io::Cursor, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, RecordBatch},
    datatypes::{DataType, Field, Schema, TimestampMicrosecondType},
    json::ReaderBuilder,
};
use lineate_segment::{
    run::{RunSorter, SortedRun},
    schema::ViewSchema,
};
use lineate_types::{Feature, KeyColumn, KeyType, TimestampUs, ViewDefinition};

use crate::fixture::{name, view};

const TYPES: [&str; 19] = [
    "bool",
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "bytes",
    "timestamp",
    "date",
    "uuid",
    "json",
    "decimal(38,9)",
    "list<int64>",
    "list<struct<a:string,b:list<float64>>>",
    "map<string,list<float32>>",
    "struct<a:int64,b:struct<c:string,d:uuid>>",
    "vector<float32,4>",
    "vector<float64,2>",
    "list<json>",
];

/// Two keys, a created time, and features `f0` to `f18`, one of each type.
pub(crate) fn wide_view() -> ViewDefinition {
    let feature = |(position, text): (usize, &&str)| Feature {
        name: name(&format!("f{position}")),
        data_type: text.parse().expect("a type"),
    };
    ViewDefinition {
        keys: vec![
            KeyColumn { name: name("origin"), key_type: KeyType::String },
            KeyColumn { name: name("day"), key_type: KeyType::Date },
        ],
        features: TYPES.iter().enumerate().map(feature).collect(),
        ..view(true)
    }
}

/// Canonical rows `rows`, each with values that follow from its number; every seventh value is null.
pub(crate) fn wide_batch(view: &ViewDefinition, rows: std::ops::Range<usize>) -> RecordBatch {
    let schema = ViewSchema::of(view);
    let lines: String = rows.clone().map(|row| line(row) + "\n").collect();
    let json_schema = Schema::new(schema.arrow().fields().iter().map(json_field).collect::<Vec<_>>());
    let reader = ReaderBuilder::new(Arc::new(json_schema)).with_batch_size(rows.len().max(1));
    let mut reader = reader.build(Cursor::new(lines)).expect("a schema that JSON has");
    let batch = reader.next().expect("one batch").expect("readable");
    let floats = rows.map(|row| match row % 5 {
        0 => Some(f64::from_bits(0x7ff8_0000_dead_beef)),
        1 => Some(-0.0),
        2 => Some(f64::NEG_INFINITY),
        3 => None,
        _ => Some(row as f64 / 3.0),
    });
    let mut columns: Vec<ArrayRef> = batch.columns().iter().map(in_utc).collect();
    let position = schema.feature(&name("f4")).expect("the float64");
    columns[position] = Arc::new(Float64Array::from_iter(floats));
    RecordBatch::try_new(schema.arrow().clone(), columns).expect("canonical")
}

/// The JSON reader knows offsets, not zones.
fn json_field(field: &Arc<Field>) -> Field {
    match field.data_type() {
        DataType::Timestamp(unit, _) => {
            field.as_ref().clone().with_data_type(DataType::Timestamp(*unit, Some("+00:00".into())))
        }
        _ => field.as_ref().clone(),
    }
}

fn in_utc(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Arc::new(times.clone().with_timezone("UTC")),
        None => column.clone(),
    }
}

fn line(row: usize) -> String {
    let values = [
        format!("{}", row.is_multiple_of(2)),
        format!("{}", row as i32 - 100),
        format!("{}", i64::MAX - row as i64),
        format!("{}.5", row),
        "0".to_owned(),
        format!("\"text {}\"", row % 11),
        format!("\"{:08x}\"", row.wrapping_mul(2_654_435_761) as u32),
        format!("\"2013-06-01T00:00:{:02}.000001Z\"", row % 60),
        format!("\"2013-06-{:02}\"", row % 30 + 1),
        format!("\"{:032x}\"", row),
        format!("\"[{}]\"", row % 3),
        format!("{row}.123456789"),
        format!("[{row}, null, 3]"),
        format!("[{{\"a\": \"x{row}\", \"b\": [1.5, null]}}, null]"),
        format!("{{\"k\": [1.0, {row}], \"l\": null}}"),
        format!("{{\"a\": {row}, \"b\": {{\"c\": null, \"d\": \"{:032x}\"}}}}", row * 7),
        format!("[{row}, 1, 2, 3]"),
        format!("[{row}, 0.25]"),
        "[\"{}\", null]".to_owned(),
    ];
    let mut fields = format!(
        "\"origin\": \"{}\", \"day\": \"2013-01-{:02}\", \"happened\": \"2013-06-01T00:{:02}:00Z\"",
        ["JFK", "LGA", "EWR"][row % 3],
        row % 9 + 1,
        row * 31 % 60
    );
    if !row.is_multiple_of(4) {
        fields += &format!(", \"known\": \"2013-06-02T00:00:{:02}Z\"", row % 60);
    }
    for (position, value) in values.iter().enumerate() {
        if !(row + position).is_multiple_of(7) {
            fields += &format!(", \"f{position}\": {value}");
        }
    }
    format!("{{{fields}, \"__deleted\": {}}}", row.is_multiple_of(13))
}

/// The rows of one bulk load, pushed in batches of some size.
pub(crate) fn wide_run(view: &ViewDefinition, rows: usize, batch_rows: usize) -> SortedRun {
    let mut sorter = RunSorter::new(ViewSchema::of(view));
    for start in (0..rows).step_by(batch_rows) {
        let end = (start + batch_rows).min(rows);
        let ordinals: Vec<i64> = (start as i64..end as i64).collect();
        sorter.push(&wide_batch(view, start..end), ordinals.into_iter()).expect("small");
    }
    sorter.finish(TimestampUs(1_000)).expect("small")
}
