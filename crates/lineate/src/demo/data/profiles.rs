//! What is known of a merchant at the end of each day, and what is known of that day three weeks later.

use super::{
    payments::Settled,
    random::Random,
    world::{DAY_US, DAYS, HOUR_US, Merchant, START_US},
};

const PROFILE_STREAM: u64 = 5 << 32;

/// Days after which a day is corrected: by then its chargebacks have arrived.
const CORRECTED_AFTER_DAYS: usize = 21;
/// Days that `payments_7d` and `chargeback_rate_7d` look back on, the day itself included.
const WEEK_DAYS: usize = 7;
/// Days that `risk_score` looks back on.
const RISK_DAYS: usize = 60;

/// A merchant at the end of a day.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    pub(super) merchant: usize,
    pub(super) time_us: i64,
    pub(super) created_us: i64,
    pub(super) payments_7d: i64,
    /// None without payments.
    pub(super) chargeback_rate_7d: Option<f64>,
    pub(super) risk_score: f64,
}

/// The payments of one merchant, counted by day.
struct Days {
    /// Payments before each day of the story, and in all of it.
    before: Vec<i64>,
    /// Payments that were charged back: their day, and the day the chargeback arrived.
    charged_back: Vec<(usize, usize)>,
}

/// Rows of every merchant: first reports, day by day, and corrections of those that were wrong.
pub(super) fn profiles(
    merchants: &[Merchant],
    settled: &[Vec<Settled>],
    seed: u64,
) -> (Vec<Profile>, Vec<Profile>) {
    let mut random = Random::stream(seed, PROFILE_STREAM);
    let (mut reports, mut corrections) = (Vec::new(), Vec::new());
    for (merchant, (_, settled)) in merchants.iter().zip(settled).enumerate() {
        let days = Days::of(settled);
        for day in 0..DAYS {
            let end_us = START_US + (day as i64 + 1) * DAY_US;
            let report = Profile {
                merchant,
                time_us: end_us,
                created_us: end_us + (random.between(2.0, 6.0) * HOUR_US as f64) as i64,
                payments_7d: days.payments(day, WEEK_DAYS),
                chargeback_rate_7d: days.chargeback_rate(day, day),
                risk_score: days.risk_score(day),
            };
            let known_later = days.chargeback_rate(day, day + CORRECTED_AFTER_DAYS);
            if known_later != report.chargeback_rate_7d {
                corrections.push(Profile {
                    created_us: report.created_us + CORRECTED_AFTER_DAYS as i64 * DAY_US,
                    chargeback_rate_7d: known_later,
                    ..report.clone()
                });
            }
            reports.push(report);
        }
    }
    // Both files are written as time goes by, so by the time at which each row became known.
    reports.sort_by_key(|profile| (profile.created_us, profile.merchant));
    corrections.sort_by_key(|profile| (profile.created_us, profile.merchant));
    (reports, corrections)
}

impl Days {
    fn of(settled: &[Settled]) -> Self {
        let mut counts = [0_i64; DAYS];
        for payment in settled {
            if let Some(count) = counts.get_mut(payment.day) {
                *count += 1;
            }
        }
        let mut before = vec![0];
        before.extend(counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }));
        let charged_back = settled.iter().filter_map(|payment| Some((payment.day, payment.charged_back?)));
        Self { before, charged_back: charged_back.collect() }
    }

    /// Payments in so many days up to and including a day.
    fn payments(&self, day: usize, days: usize) -> i64 {
        let before = |day: usize| self.before.get(day).copied().unwrap_or(0);
        before(day + 1) - before((day + 1).saturating_sub(days))
    }

    /// How many of those payments had been charged back by the end of a day.
    fn charged_back(&self, day: usize, days: usize, by: usize) -> i64 {
        let within = |paid: usize| paid <= day && paid + days > day;
        let known = self.charged_back.iter().filter(|(paid, arrived)| within(*paid) && *arrived <= by);
        known.count() as i64
    }

    /// The share of a week's payments that had been charged back by the end of a day, to four digits; none of no
    /// payments.
    fn chargeback_rate(&self, day: usize, by: usize) -> Option<f64> {
        let payments = self.payments(day, WEEK_DAYS);
        let back = self.charged_back(day, WEEK_DAYS, by);
        (payments > 0).then(|| (back as f64 / payments as f64 * 1e4).round() / 1e4)
    }

    /// From 0, harmless, towards 100: chargebacks known by a day among the payments of two months, as if twenty
    /// harmless payments had gone before.
    fn risk_score(&self, day: usize) -> f64 {
        let payments = self.payments(day, RISK_DAYS) as f64;
        let back = self.charged_back(day, RISK_DAYS, day) as f64;
        (1_000.0 * back / (payments + 20.0)).round() / 10.0
    }
}
