//! Load: what is called, in an open loop or a closed one, and what is kept of it.

mod closed;
mod cpu;
mod latency;
mod open;
mod spread;

use std::future::Future;

pub use closed::Closed;
pub use cpu::CpuTime;
pub use latency::Latency;
pub use open::Open;
pub use spread::Spread;

use crate::{Error, Result};

/// Something that answers.
pub trait Target: Send + Sync + 'static {
    /// One operation; the number chooses what is asked and over which connection.
    fn call(&self, number: u64) -> impl Future<Output = Result<()>> + Send;
}

/// What one run of a loop gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Operations answered, those of the warm-up too.
    pub answered: u64,
    /// Operations answered with an error, or not sent because too many were under way.
    pub failed: u64,
    /// Answered operations per second, without the warm-up.
    pub per_second: f64,
    /// How long they took: in an open loop from the time they were due.
    pub latency: Latency,
    /// Open loop only: how late operations were sent; part of `latency`.
    pub lateness: Latency,
    /// The first error.
    pub error: Option<Error>,
}
