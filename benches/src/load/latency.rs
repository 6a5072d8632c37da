//! Latencies, in a histogram of three digits.

use std::time::Duration;

use hdrhistogram::Histogram;

const LOWEST_NS: u64 = 1_000;
const HIGHEST_NS: u64 = 120_000_000_000;
const DIGITS: u8 = 3;

/// How long operations took, between a microsecond and two minutes.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS);
        Self(histogram.expect("invariant: 1 <= lowest, 2 * lowest <= highest, digits <= 5"))
    }
}

impl Latency {
    /// Adds one; beyond the bounds it counts as the bound.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be out of them.
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds that this share, 0 to 1, did not exceed; 0 if there are none.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let (mut odd, mut even) = (Latency::default(), Latency::default());
        for us in 1..=1_000 {
            let latency = if us % 2 == 0 { &mut even } else { &mut odd };
            latency.record(Duration::from_micros(us));
        }
        odd.add(&even);
        assert_eq!(odd.count(), 1_000);
        for (share, expected) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            assert!((odd.quantile_ms(share) / expected - 1.0).abs() < 0.002, "{share}");
        }
    }

    #[test]
    fn what_takes_too_long_still_counts() {
        let mut latency = Latency::default();
        latency.record(Duration::from_secs(1_000));
        assert!(latency.quantile_ms(1.0) > 119_000.0);
    }
}
