//! Durations that were measured, and rates.

use std::time::Duration;

use serde_json::{Value, json};

use crate::output::number;

/// Units a second.
pub(super) fn rate(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-6)) as u64
}

/// Whole microseconds, for programs.
pub(super) fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// How long each of many requests took, shortest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Requests in the order in which they were made.
    pub(super) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// How many requests there were.
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// All of them together.
    pub(super) fn sum(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The shortest duration that so many percent of the requests did not exceed; zero of no request.
    pub(super) fn percentile(&self, percent: u32) -> Duration {
        let rank = (self.0.len() * percent as usize).div_ceil(100).saturating_sub(1);
        self.0.get(rank).copied().unwrap_or_default()
    }

    /// `p50 310 µs · p99 820 µs · max 2.1 ms`.
    pub(super) fn text(&self) -> String {
        let [half, most, all] = [50, 99, 100].map(|percent| number::duration(self.percentile(percent)));
        format!("p50 {half} · p99 {most} · max {all}")
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "requests": self.count(),
            "p50_us": micros(self.percentile(50)),
            "p99_us": micros(self.percentile(99)),
            "max_us": micros(self.percentile(100)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_that_occurred() {
        let latencies = Latencies::of((1..=200).rev().map(Duration::from_micros).collect());
        assert_eq!([50, 99, 100].map(|percent| latencies.percentile(percent).as_micros()), [100, 198, 200]);
        assert_eq!(latencies.text(), "p50 100 µs · p99 198 µs · max 200 µs");
        assert_eq!(Latencies::default().percentile(99), Duration::ZERO);
        assert_eq!(rate(300, Duration::from_millis(100)), 3_000);
    }
}
