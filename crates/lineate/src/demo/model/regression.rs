//! Logistic regression over standardised numbers.

use serde_json::{Value, json};

use super::Examples;

/// Passes over the training rows.
pub(in crate::demo) const EPOCHS: u32 = 12;
/// Rows of one step.
pub(in crate::demo) const BATCH_ROWS: usize = 64;
/// The length of the first step; the last is a tenth of it.
pub(in crate::demo) const FIRST_STEP: f64 = 0.15;
/// How strongly weights are pulled towards nothing.
pub(in crate::demo) const DECAY: f64 = 1e-4;

/// A trained model.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::demo) struct Regression {
    /// For each number: its mean, its inverse spread, its weight.
    terms: Vec<Term>,
    bias: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Term {
    mean: f64,
    /// 0 for a number that is always the same, which then says nothing.
    inverse_spread: f64,
    weight: f64,
}

impl Regression {
    /// Trains on rows in the order in which they are given, in small steps.
    pub(in crate::demo) fn train(examples: &Examples) -> Self {
        let mut model = Self { terms: standardised(examples), bias: prior(examples) };
        let batches = examples.labels.len().div_ceil(BATCH_ROWS);
        let steps = f64::from(EPOCHS) * batches as f64;
        let mut taken = 0.0;
        for _ in 0..EPOCHS {
            let rows: Vec<(&[f64], bool)> = examples.rows().collect();
            for batch in rows.chunks(BATCH_ROWS) {
                model.step(batch, FIRST_STEP * (1.0 - 0.9 * taken / steps));
                taken += 1.0;
            }
        }
        model
    }

    /// The probability of fraud.
    pub(in crate::demo) fn predict(&self, numbers: &[f64]) -> f64 {
        let sum: f64 =
            self.terms.iter().zip(numbers).map(|(term, number)| term.weight * term.of(*number)).sum();
        1.0 / (1.0 + (-(self.bias + sum)).exp())
    }

    /// The model as a file: everything that predicting takes.
    pub(in crate::demo) fn document(&self, names: &[String]) -> Value {
        let terms: Vec<Value> = self
            .terms
            .iter()
            .zip(names)
            .map(|(term, name)| {
                json!({"input": name, "mean": term.mean, "inverse_spread": term.inverse_spread, "weight": term.weight})
            })
            .collect();
        json!({"kind": "logistic_regression", "transform": "sign(x) * ln(1 + |x|)", "bias": self.bias, "terms": terms})
    }

    /// The numbers that weigh most, with their weights.
    pub(in crate::demo) fn heaviest(&self, names: &[String], count: usize) -> Vec<(String, f64)> {
        let mut weights: Vec<(String, f64)> =
            names.iter().cloned().zip(self.terms.iter().map(|term| term.weight)).collect();
        weights.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
        weights.truncate(count);
        weights
    }

    /// One step against the gradient of the mean log loss of some rows.
    fn step(&mut self, rows: &[(&[f64], bool)], length: f64) {
        let share = length / rows.len().max(1) as f64;
        let mut gradient = vec![0.0; self.terms.len()];
        let mut bias = 0.0;
        for (numbers, label) in rows {
            let error = self.predict(numbers) - f64::from(u8::from(*label));
            bias += error;
            for ((slope, term), number) in gradient.iter_mut().zip(&self.terms).zip(*numbers) {
                *slope += error * term.of(*number);
            }
        }
        self.bias -= share * bias;
        for (term, slope) in self.terms.iter_mut().zip(gradient) {
            term.weight -= share * slope + length * DECAY * term.weight;
        }
    }
}

impl Term {
    fn of(&self, number: f64) -> f64 {
        (number - self.mean) * self.inverse_spread
    }
}

/// A term without weight for each number, with its mean and spread over the rows.
fn standardised(examples: &Examples) -> Vec<Term> {
    let count = examples.labels.len().max(1) as f64;
    let (mut sums, mut squares) = (vec![0.0; examples.width], vec![0.0; examples.width]);
    for (numbers, _) in examples.rows() {
        for ((sum, square), number) in sums.iter_mut().zip(&mut squares).zip(numbers) {
            *sum += number;
            *square += number * number;
        }
    }
    sums.iter()
        .zip(squares)
        .map(|(sum, square)| {
            let mean = sum / count;
            let spread = (square / count - mean * mean).max(0.0).sqrt();
            let inverse_spread = if spread > 1e-9 { 1.0 / spread } else { 0.0 };
            Term { mean, inverse_spread, weight: 0.0 }
        })
        .collect()
}

/// The log odds of fraud, whatever the row.
fn prior(examples: &Examples) -> f64 {
    let share = (examples.frauds() as f64 + 0.5) / (examples.labels.len() as f64 + 1.0);
    (share / (1.0 - share)).ln()
}
