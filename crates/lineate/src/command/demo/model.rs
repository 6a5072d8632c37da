//! A small real model: logistic regression, trained on a training set's rows, judged on rows it has not seen.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type},
    error::ArrowError,
};
use serde_json::{Value, json};

/// Every so many-th row is kept for judging.
const HOLD_OUT: usize = 5;
const ROUNDS: usize = 60;
const STEP: f64 = 1.0;

/// A trained model and how good it is.
#[derive(Debug)]
pub(crate) struct Trained {
    features: Vec<String>,
    weights: Vec<f64>,
    bias: f64,
    /// Area under the ROC curve on the rows kept for judging.
    pub(crate) auc: f64,
    /// Rows it was trained on.
    pub(crate) trained_on: usize,
}

struct Examples {
    /// Standardised; a null is the mean.
    rows: Vec<Vec<f64>>,
    labels: Vec<bool>,
}

/// Trains on all feature columns (those with `__` in their name) that hold numbers.
pub(crate) fn train(batches: &[RecordBatch], label: &str) -> Result<Trained, ArrowError> {
    let batch = match batches.first() {
        Some(first) => arrow::compute::concat_batches(&first.schema(), batches)?,
        None => return Err(ArrowError::InvalidArgumentError("there is nothing to train on".into())),
    };
    let schema = batch.schema();
    let features: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| field.name().contains("__") && field.data_type().is_numeric())
        .map(|field| field.name().clone())
        .collect();
    let examples = examples(&batch, &features, label)?;
    let (judged, learned): (Vec<usize>, Vec<usize>) =
        (0..examples.rows.len()).partition(|row| row.is_multiple_of(HOLD_OUT));
    let (weights, bias) = fit(&examples, &learned, features.len());
    let scores = judged.iter().filter_map(|row| {
        let score = score(&weights, bias, examples.rows.get(*row)?);
        Some((score, *examples.labels.get(*row)?))
    });
    let auc = area(scores.collect());
    Ok(Trained { features, weights, bias, auc, trained_on: learned.len() })
}

impl Trained {
    /// The model as a file.
    pub(crate) fn document(&self) -> Value {
        let weights: serde_json::Map<String, Value> =
            self.features.iter().cloned().zip(self.weights.iter().map(|weight| (*weight).into())).collect();
        json!({"kind": "logistic_regression", "weights": weights, "bias": self.bias})
    }
}

fn examples(batch: &RecordBatch, features: &[String], label: &str) -> Result<Examples, ArrowError> {
    let missing = |name: &str| ArrowError::SchemaError(format!("the training set has no column `{name}`"));
    let mut rows = vec![Vec::with_capacity(features.len()); batch.num_rows()];
    for name in features {
        let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
        for (row, value) in rows.iter_mut().zip(standardised(column)?) {
            row.push(value);
        }
    }
    let labels = batch.column_by_name(label).ok_or_else(|| missing(label))?;
    let labels = labels.as_boolean_opt().ok_or_else(|| missing(label))?;
    Ok(Examples { rows, labels: labels.iter().map(|value| value.unwrap_or(false)).collect() })
}

fn standardised(column: &ArrayRef) -> Result<Vec<f64>, ArrowError> {
    let numbers = cast(column, &DataType::Float64)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let known = (numbers.len() - numbers.null_count()).max(1) as f64;
    let mean = numbers.iter().flatten().sum::<f64>() / known;
    let variance = numbers.iter().flatten().map(|value| (value - mean).powi(2)).sum::<f64>() / known;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    Ok(numbers.iter().map(|value| value.map_or(0.0, |value| (value - mean) / deviation)).collect())
}

/// Gradient descent on the log loss.
fn fit(examples: &Examples, learned: &[usize], features: usize) -> (Vec<f64>, f64) {
    let (mut weights, mut bias) = (vec![0.0; features], 0.0);
    let count = learned.len().max(1) as f64;
    for _ in 0..ROUNDS {
        let (mut slopes, mut bias_slope) = (vec![0.0; features], 0.0);
        for row in learned {
            let (Some(values), Some(label)) = (examples.rows.get(*row), examples.labels.get(*row)) else {
                continue;
            };
            let error = score(&weights, bias, values) - if *label { 1.0 } else { 0.0 };
            bias_slope += error;
            for (slope, value) in slopes.iter_mut().zip(values) {
                *slope += error * value;
            }
        }
        bias -= STEP * bias_slope / count;
        for (weight, slope) in weights.iter_mut().zip(slopes) {
            *weight -= STEP * slope / count;
        }
    }
    (weights, bias)
}

fn score(weights: &[f64], bias: f64, values: &[f64]) -> f64 {
    let sum: f64 = weights.iter().zip(values).map(|(weight, value)| weight * value).sum();
    1.0 / (1.0 + (-(bias + sum)).exp())
}

/// The chance that a late ride gets a higher score than a punctual one; equal scores count half.
fn area(mut scores: Vec<(f64, bool)>) -> f64 {
    scores.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    let late = scores.iter().filter(|(_, label)| *label).count() as f64;
    let punctual = scores.len() as f64 - late;
    if late == 0.0 || punctual == 0.0 {
        return 0.5;
    }
    let (mut below, mut sum) = (0.0, 0.0);
    for equal in scores.chunk_by(|(left, _), (right, _)| left == right) {
        let late_here = equal.iter().filter(|(_, label)| *label).count() as f64;
        let punctual_here = equal.len() as f64 - late_here;
        sum += late_here * (below + punctual_here / 2.0);
        below += punctual_here;
    }
    sum / (late * punctual)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array};

    use super::*;

    #[test]
    fn the_area_is_that_of_the_textbook() {
        let scores = |pairs: &[(f64, bool)]| area(pairs.to_vec());
        assert_eq!(scores(&[(0.1, false), (0.9, true)]), 1.0);
        assert_eq!(scores(&[(0.9, false), (0.1, true)]), 0.0);
        assert_eq!(scores(&[(0.5, false), (0.5, true)]), 0.5);
        assert_eq!(scores(&[(0.1, false), (0.4, true), (0.35, true), (0.8, false)]), 0.5);
        assert_eq!(scores(&[(0.5, true)]), 0.5);
    }

    #[test]
    fn it_learns_what_there_is_to_learn() {
        let values: Vec<Option<f64>> =
            (0..1_000).map(|n| (n % 7 != 0).then_some(f64::from(n % 100))).collect();
        let labels: Vec<bool> = (0..1_000).map(|n| n % 100 >= 50).collect();
        let columns: [(&str, ArrayRef); 2] =
            [("v__x", Arc::new(Float64Array::from(values))), ("late", Arc::new(BooleanArray::from(labels)))];
        let batch = RecordBatch::try_from_iter(columns).expect("valid");
        let trained = train(std::slice::from_ref(&batch), "late").expect("trains");
        assert!(trained.auc > 0.9, "{}", trained.auc);
        assert_eq!(trained.trained_on, 800);
        assert!(train(&[batch], "no such label").is_err());
        assert!(train(&[], "late").is_err());
    }
}
