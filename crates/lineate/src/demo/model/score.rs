//! How good predictions are.

use std::cmp::Ordering;

/// The area under the ROC curve: how often a fraud is ranked above a payment that is none, ties counted half; none
/// where one of the two kinds is missing.
pub(in crate::demo) fn area_under_curve(predictions: &[(f64, bool)]) -> Option<f64> {
    let mut ranked = predictions.to_vec();
    ranked.sort_by(|one, other| one.0.total_cmp(&other.0));
    let same = |one: &(f64, bool), other: &(f64, bool)| one.0.total_cmp(&other.0) == Ordering::Equal;
    let (mut below, mut wins, mut frauds) = (0.0, 0.0, 0.0);
    for tied in ranked.chunk_by(same) {
        let positive = tied.iter().filter(|(_, label)| *label).count() as f64;
        let negative = tied.len() as f64 - positive;
        wins += positive * (below + negative / 2.0);
        below += negative;
        frauds += positive;
    }
    (frauds > 0.0 && below > 0.0).then(|| wins / (frauds * below))
}

/// The mean of minus the logarithm of the probability given to what happened; none of nothing.
pub(in crate::demo) fn log_loss(predictions: &[(f64, bool)]) -> Option<f64> {
    let loss = |(probability, label): &(f64, bool)| {
        let given = if *label { *probability } else { 1.0 - probability };
        -given.max(1e-12).ln()
    };
    (!predictions.is_empty()).then(|| predictions.iter().map(loss).sum::<f64>() / predictions.len() as f64)
}
