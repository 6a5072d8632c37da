//! A small real model: logistic regression, trained on a training set by stochastic gradient descent.
//!
//! Deliberately absent: everything that would make it a good one. It is here so that what is registered, traced and
//! judged is a model that was trained, and not a figure that was made up.

mod inputs;
mod regression;
mod score;

pub(super) use inputs::{Examples, Inputs};
pub(super) use regression::{BATCH_ROWS, DECAY, EPOCHS, FIRST_STEP, Regression};
pub(super) use score::{area_under_curve, log_loss};

#[cfg(test)]
mod tests;
