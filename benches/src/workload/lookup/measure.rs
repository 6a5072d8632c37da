//! Runs of loops, and what is kept of them.

use std::{ops::AsyncFn, sync::Arc};

use super::target::{Lookup, RedisLookup};
use crate::{
    Result,
    load::{CpuTime, Latency, Outcome, Spread, Target},
};

/// Operations below which the slowest thousandth is less than one.
const ENOUGH_FOR_P999: u64 = 1_000;

/// Who is asked, over some connections.
pub(super) enum Route {
    /// The server, or the echo.
    Lookup(Lookup),
    /// Redis.
    Redis(RedisLookup),
}

/// A route with the name of who is asked and the process behind it.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) process_id: u32,
    pub(super) route: Arc<Route>,
}

/// The runs of one way.
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) per_second: Spread,
    pub(super) p50_ms: Spread,
    pub(super) p99_ms: Spread,
    /// None if there were too few lookups.
    pub(super) p999_ms: Option<Spread>,
    /// How late lookups were sent, in the middle.
    pub(super) late_ms: Spread,
    /// Processor time of the process that was asked, per lookup.
    pub(super) cpu_us: Spread,
    pub(super) failed: u64,
    pub(super) error: Option<String>,
}

impl Target for Route {
    async fn call(&self, number: u64) -> Result<()> {
        match self {
            Self::Lookup(lookup) => lookup.call(number).await,
            Self::Redis(redis) => redis.call(number).await,
        }
    }
}

/// Runs a loop several times on every way, the ways taking turns.
pub(super) async fn measure(
    ways: &[Way],
    runs: usize,
    run: impl AsyncFn(&Arc<Route>) -> Outcome,
) -> Result<Vec<Measured>> {
    let mut outcomes: Vec<Vec<(Outcome, f64)>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (way, outcomes) in ways.iter().zip(&mut outcomes) {
            let cpu = CpuTime::watch(way.process_id)?;
            let outcome = run(&way.route).await;
            let cpu_us = cpu.used_s()? * 1e6 / outcome.answered as f64;
            outcomes.push((outcome, cpu_us));
        }
    }
    Ok(ways.iter().zip(outcomes).map(|(way, outcomes)| measured(way.name, &outcomes)).collect())
}

fn measured(name: &'static str, outcomes: &[(Outcome, f64)]) -> Measured {
    let spread =
        |figure: &dyn Fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(|(outcome, _)| figure(outcome)));
    let latency = |share| spread(&|outcome: &Outcome| outcome.latency.quantile_ms(share));
    let counts = |latency: &Latency| latency.count() >= ENOUGH_FOR_P999;
    Measured {
        name,
        per_second: spread(&|outcome| outcome.per_second),
        p50_ms: latency(0.5),
        p99_ms: latency(0.99),
        p999_ms: outcomes.iter().all(|(outcome, _)| counts(&outcome.latency)).then(|| latency(0.999)),
        late_ms: spread(&|outcome| outcome.lateness.quantile_ms(0.5)),
        cpu_us: Spread::of(outcomes.iter().map(|(_, cpu_us)| *cpu_us)),
        failed: outcomes.iter().map(|(outcome, _)| outcome.failed).sum(),
        error: outcomes.iter().find_map(|(outcome, _)| outcome.error.as_ref()).map(ToString::to_string),
    }
}
