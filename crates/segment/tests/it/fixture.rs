//! A view with composite keys and the rows, commits and runs the tests make of it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use lineate_segment::{
    run::{OpenRun, RowSource, RunSorter, SortedRun},
    schema::{ViewSchema, arrow_field},
};
use lineate_types::{
    DataType, EntityKey, Feature, HistoryId, KeyColumn, KeyType, KeyValue, Name, TimestampUs, ViewDefinition,
    ViewId,
};

/// One row: a composite key, its times, and a number that tells it from every other row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) origin: String,
    pub(crate) flight: i64,
    pub(crate) event_time: i64,
    pub(crate) created_time: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) value: Option<i64>,
    pub(crate) id: i64,
}

/// Rows committed together, in order.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) time: i64,
    pub(crate) rows: Vec<Row>,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// `flights(origin: string, flight: int64)` with features `id` and `value`.
pub(crate) fn view(with_created_time: bool) -> ViewDefinition {
    let feature = |text: &str| Feature { name: name(text), data_type: DataType::Int64 };
    ViewDefinition {
        id: ViewId(1),
        history: HistoryId(7),
        project: name("flights"),
        name: name("delays"),
        version: 1,
        entity: name("flight"),
        keys: vec![
            KeyColumn { name: name("origin"), key_type: KeyType::String },
            KeyColumn { name: name("flight"), key_type: KeyType::Int64 },
        ],
        event_time: name("happened"),
        created_time: with_created_time.then(|| name("known")),
        ttl: None,
        naive_times_are_utc: false,
        features: vec![feature("id"), feature("value")],
    }
}

pub(crate) fn key(origin: &str, flight: i64) -> EntityKey {
    EntityKey::encode(&[KeyValue::String(origin), KeyValue::Int64(flight)]).expect("short")
}

/// The canonical batch of some rows.
pub(crate) fn batch(rows: &[Row], view: &ViewDefinition) -> RecordBatch {
    let times = |times: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
    };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.origin))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.flight))),
        times(rows.iter().map(|row| Some(row.event_time)).collect()),
    ];
    if view.created_time.is_some() {
        columns.push(times(rows.iter().map(|row| row.created_time).collect()));
    }
    columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))));
    columns.push(Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.value))));
    columns.push(Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.deleted)))));
    RecordBatch::try_new(ViewSchema::of(view).arrow().clone(), columns).expect("canonical")
}

/// The columns that tell rows apart.
pub(crate) fn id_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![arrow_field("id", &DataType::Int64, true)]))
}

/// An open run of some commits, in their order.
pub(crate) fn open_run<'a>(commits: impl IntoIterator<Item = &'a Commit>, view: &ViewDefinition) -> OpenRun {
    let schema = ViewSchema::of(view);
    let mut run = OpenRun::new();
    for commit in commits {
        run.append(&batch(&commit.rows, view), &schema, TimestampUs(commit.time), 0).expect("in order");
    }
    run
}

/// A sorted run of the rows of one bulk load, cut into batches.
pub(crate) fn bulk_run(commit: &Commit, view: &ViewDefinition, batch_rows: usize) -> SortedRun {
    let mut sorter = RunSorter::new(ViewSchema::of(view));
    let mut ordinals = (0..).zip(&commit.rows).map(|(ordinal, _)| ordinal);
    for rows in commit.rows.chunks(batch_rows) {
        let ordinals: Vec<i64> = ordinals.by_ref().take(rows.len()).collect();
        sorter.push(&batch(rows, view), ordinals.into_iter()).expect("small");
    }
    sorter.finish(TimestampUs(commit.time)).expect("small")
}

/// The `id` column of some rows of a run.
pub(crate) fn ids(run: &dyn RowSource, rows: &[u32]) -> Vec<i64> {
    let batch = run.gather(rows, &id_schema()).expect("these rows exist");
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}
