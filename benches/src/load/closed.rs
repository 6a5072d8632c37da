//! A closed loop: so many operations under way, the next one sent when one is answered. It finds the most a target
//! sustains; its latencies say little, because a slow target is asked less.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{Outcome, Target};

/// After an error.
const PAUSE: Duration = Duration::from_millis(1);

/// A closed loop.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// Operations under way.
    pub concurrency: usize,
    /// How long it runs before anything counts.
    pub warm_up: Duration,
    /// How long it runs then.
    pub time: Duration,
}

impl Closed {
    /// Runs it.
    pub async fn run<T: Target>(self, target: &Arc<T>) -> Outcome {
        let numbers = Arc::new(AtomicU64::new(0));
        let from = Instant::now() + self.warm_up;
        let until = from + self.time;
        let mut workers = JoinSet::new();
        for _ in 0..self.concurrency {
            workers.spawn(work(target.clone(), numbers.clone(), from, until));
        }
        let mut total = Outcome::default();
        for outcome in workers.join_all().await {
            total.answered += outcome.answered;
            total.latency.add(&outcome.latency);
            total.failed += outcome.failed;
            total.error = total.error.or(outcome.error);
        }
        total.per_second = total.latency.count() as f64 / self.time.as_secs_f64();
        total
    }
}

/// One operation after the other; latencies of what was answered between two times.
async fn work<T: Target>(target: Arc<T>, numbers: Arc<AtomicU64>, from: Instant, until: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let sent = Instant::now();
        if sent >= until {
            return outcome;
        }
        let answer = target.call(numbers.fetch_add(1, Ordering::Relaxed)).await;
        let answered = Instant::now();
        match answer {
            Ok(()) => {
                outcome.answered += 1;
                if (from..until).contains(&answered) {
                    outcome.latency.record(answered - sent);
                }
            }
            Err(cause) => {
                outcome.failed += 1;
                outcome.error.get_or_insert(cause);
                // A target that refuses at once must not be asked in a busy loop.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
