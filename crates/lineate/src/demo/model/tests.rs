//! The model learns what there is to learn, and no more.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};

use super::*;

fn rows(count: i64, label: impl Fn(i64) -> Option<bool>, value: impl Fn(i64) -> Option<f64>) -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("payment_id", Arc::new(Int64Array::from_iter_values(0..count))),
        (
            "event_timestamp",
            Arc::new(TimestampMicrosecondArray::from_iter_values(0..count).with_timezone("UTC")),
        ),
        ("is_fraud", Arc::new(BooleanArray::from_iter((0..count).map(label)))),
        ("view__value", Arc::new(Float64Array::from_iter((0..count).map(value)))),
        ("view__always", Arc::new(Int64Array::from_iter_values((0..count).map(|_| 7)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("equal lengths")
}

fn judged(examples: &Examples, model: &Regression) -> Vec<(f64, bool)> {
    examples.rows().map(|(numbers, label)| (model.predict(numbers), label)).collect()
}

#[test]
fn areas_are_those_of_the_definition() {
    assert_eq!(area_under_curve(&[(0.1, false), (0.9, true)]), Some(1.0));
    assert_eq!(area_under_curve(&[(0.9, false), (0.1, true)]), Some(0.0));
    assert_eq!(area_under_curve(&[(0.5, false), (0.5, true)]), Some(0.5));
    assert_eq!(
        area_under_curve(&[(0.1, false), (0.4, true), (0.35, false), (0.8, true), (0.9, false)]),
        Some(4.0 / 6.0)
    );
    assert_eq!(area_under_curve(&[(0.5, true)]), None);
    assert_eq!(log_loss(&[]), None);
    let loss = log_loss(&[(0.5, true), (0.5, false)]).expect("two");
    assert!((loss - 2.0_f64.ln()).abs() < 1e-12);
}

#[test]
fn only_numbers_that_are_no_key_are_taken() {
    let inputs = Inputs::of(&rows(4, |_| Some(true), |_| None));
    assert_eq!(
        inputs.names(),
        ["view__value", "view__value is missing", "view__always", "view__always is missing"]
    );
}

#[test]
fn rows_without_a_label_are_left_out_and_missing_values_are_said() {
    let batch = rows(3, |row| (row != 1).then_some(row == 2), |row| (row == 2).then_some(-1.0));
    let examples = Inputs::of(&batch).read(&batch).expect("reads");
    assert_eq!(examples.labels, [false, true]);
    assert_eq!(examples.times_us, [0, 2]);
    let ln8 = 8.0_f64.ln();
    assert_eq!(examples.numbers, [0.0, 1.0, ln8, 0.0, -(2.0_f64.ln()), 0.0, ln8, 0.0]);
    assert_eq!(examples.frauds(), 1);
}

#[test]
fn a_signal_is_learnt_and_noise_is_not() {
    let noise = |row: i64| (row * 7_919 + 31) % 101;
    let signal = rows(4_000, |row| Some(noise(row) < 20), |row| Some((noise(row) * (row % 3 + 1)) as f64));
    let chance = rows(4_000, |row| Some(noise(row) < 20), |row| Some((row % 97) as f64));
    let area = |batch: &RecordBatch| {
        let examples = Inputs::of(batch).read(batch).expect("reads");
        let (train, test) = examples.split(examples.time_at(0.75));
        assert_eq!((train.labels.len(), test.labels.len()), (3_000, 1_000));
        area_under_curve(&judged(&test, &Regression::train(&train))).expect("both kinds")
    };
    assert!(area(&signal) > 0.9, "{}", area(&signal));
    assert!((area(&chance) - 0.5).abs() < 0.08, "{}", area(&chance));
}

#[test]
fn training_is_the_same_every_time() {
    let batch = rows(500, |row| Some(row % 5 == 0), |row| Some((row % 5) as f64));
    let examples = Inputs::of(&batch).read(&batch).expect("reads");
    let (one, other) = (Regression::train(&examples), Regression::train(&examples));
    assert_eq!(one, other);
    let names = Inputs::of(&batch).names();
    assert_eq!(one.document(&names)["terms"][0]["input"], "view__value");
    assert_eq!(one.heaviest(&names, 1).len(), 1);
}
