//! The data is the same every time, as large as it says, and believable.

use arrow::{
    array::{Array, AsArray, BooleanArray},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
};

use super::*;

fn small() -> Data {
    Data::generate(0.05).expect("generates")
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a dyn Array {
    rows.column_by_name(name).expect(name)
}

fn load<'a>(data: &'a Data, name: &str) -> &'a RecordBatch {
    tables(data).find(|table| table.name == name).map(|table| &table.rows).expect(name)
}

fn tables(data: &Data) -> impl Iterator<Item = &Table> {
    data.loads.iter().flat_map(|source| &source.files).chain([&data.labels])
}

fn times(rows: &RecordBatch, name: &str) -> Vec<i64> {
    column(rows, name).as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

#[test]
fn the_same_scale_gives_the_same_rows() {
    let (first, second) = (small(), small());
    assert_eq!(first.loads, second.loads);
    assert_eq!(first.labels, second.labels);
    assert_eq!(first.late, second.late);
    assert_eq!((first.kept, first.removed), (second.kept, second.removed));
}

#[test]
fn sizes_grow_with_the_scale() {
    let rows = |data: &Data| {
        let tables = data.loads.iter().flat_map(|source| &source.files);
        tables.map(|table| table.rows.num_rows()).sum::<usize>()
    };
    let (one, two) = (rows(&small()), rows(&Data::generate(0.1).expect("generates")));
    assert!(two > one * 3 / 2 && two < one * 5 / 2, "{one} and {two}");
}

#[test]
fn every_row_is_within_the_story() {
    let data = small();
    let end = START_US + world::DAYS as i64 * DAY_US + 13 * world::HOUR_US;
    for table in tables(&data) {
        let times = times(&table.rows, EVENT_TIME);
        assert!(!times.is_empty(), "{}", table.name);
        assert!(times.iter().all(|time| (START_US..end).contains(time)), "{}", table.name);
    }
    let months: Vec<usize> = data.loads[0].files.iter().map(|table| table.rows.num_rows()).collect();
    assert!(months.len() == 3 && months.iter().all(|rows| *rows > 1_000), "{months:?}");
}

#[test]
fn labels_hold_frauds_nulls_and_duplicates_in_no_order() {
    let data = small();
    let labels = load(&data, "labels.parquet");
    let rows = labels.num_rows();
    let fraud: &BooleanArray = column(labels, LABEL).as_boolean();
    let share = fraud.true_count() as f64 / rows as f64;
    assert!((0.01..0.12).contains(&share), "{share} of {rows}");
    assert!(fraud.null_count() > 0 && fraud.null_count() < rows / 50);
    let guests = column(labels, CUSTOMER).null_count();
    assert!(guests > 0 && guests < rows / 25, "{guests} of {rows}");
    let mut payments = column(labels, PAYMENT).as_primitive::<Int64Type>().values().to_vec();
    payments.sort_unstable();
    payments.dedup();
    assert!(payments.len() < rows && payments.len() > rows * 95 / 100);
    assert!(!times(labels, EVENT_TIME).is_sorted());
}

#[test]
fn corrections_know_of_more_chargebacks_three_weeks_later() {
    let data = small();
    let reports = load(&data, "merchant_profile.ndjson");
    let corrections = load(&data, "merchant_corrections.ndjson");
    assert_eq!(reports.num_rows(), 40 * world::DAYS);
    assert!(corrections.num_rows() > 100 && corrections.num_rows() < reports.num_rows() / 2);
    let later = times(corrections, "created_timestamp").into_iter().zip(times(corrections, EVENT_TIME));
    assert!(later.into_iter().all(|(created, event)| created - event >= 21 * DAY_US));
    let mean = |rows: &RecordBatch| {
        let rates = column(rows, "chargeback_rate_7d").as_primitive::<Float64Type>();
        assert!(rates.iter().flatten().all(|rate| (0.0..=1.0).contains(&rate)));
        rates.iter().flatten().sum::<f64>() / rates.len() as f64
    };
    assert!(mean(corrections) > 5.0 * mean(reports));
}

#[test]
fn cards_are_removed_and_amounts_are_believable() {
    let data = small();
    let cards = load(&data, "card_on_file.csv");
    let removed = column(cards, "__deleted").as_boolean();
    assert!(removed.true_count() > 0 && removed.true_count() < cards.num_rows() / 10);
    let amounts = column(load(&data, "labels.parquet"), "amount").as_primitive::<Float64Type>();
    let mut amounts = amounts.values().to_vec();
    amounts.sort_by(f64::total_cmp);
    let median = amounts[amounts.len() / 2];
    assert!((10.0..120.0).contains(&median), "{median}");
    assert!(amounts[0] >= 0.5 && amounts[amounts.len() - 1] <= 20_000.0);
}

#[test]
fn late_rows_are_in_no_file() {
    let data = small();
    assert!(data.late.num_rows() > 20);
    let key = |rows: &RecordBatch| -> Vec<(i64, i64)> {
        let customers = column(rows, CUSTOMER).as_primitive::<Int64Type>().values().to_vec();
        customers.into_iter().zip(times(rows, EVENT_TIME)).collect()
    };
    let loaded: std::collections::BTreeSet<_> =
        data.loads[0].files.iter().flat_map(|table| key(&table.rows)).collect();
    assert!(key(&data.late).iter().all(|row| !loaded.contains(row)));
}

#[test]
fn files_come_in_three_formats() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let data = Data::generate(0.01).expect("generates");
    for table in tables(&data) {
        let bytes = table.write(directory.path()).expect("writes");
        assert!(bytes > 1_000 && table.path(directory.path()).is_file(), "{}", table.name);
    }
}
