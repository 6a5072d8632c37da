//! The loops that load: what they count, and that a stall is charged for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lineate_bench::{
    Error, Result,
    load::{Closed, Open, Target},
};

/// Answers at once, but for what it is told.
#[derive(Default)]
struct Stub {
    calls: AtomicU64,
    /// This call, and all that come while it is answered, take so long.
    stall: Option<(u64, Duration)>,
    /// Every so many calls fail.
    fail_every: Option<u64>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Target for Stub {
    async fn call(&self, number: u64) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let _turn = self.one_at_a_time.lock().await;
        if let Some((_, pause)) = self.stall.filter(|(stalled, _)| *stalled == number) {
            tokio::time::sleep(pause).await;
        }
        match self.fail_every {
            Some(every) if number.is_multiple_of(every) => Err(Error::Wrong("told to fail".into())),
            _ => Ok(()),
        }
    }
}

fn open(per_second: f64) -> Open {
    Open { per_second, warm_up: Duration::from_millis(100), time: Duration::from_millis(500) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_sends_at_its_rate_and_counts_without_the_warm_up() {
    let target = Arc::new(Stub::default());
    let outcome = open(200.0).run(&target).await;
    assert_eq!(target.calls.load(Ordering::Relaxed), 120);
    assert_eq!((outcome.answered, outcome.failed), (120, 0));
    assert_eq!(outcome.latency.count(), 100);
    assert!(outcome.per_second <= 201.0, "{}", outcome.per_second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_charges_a_stall_to_everything_that_waited() {
    // Call 30 of 120 stalls for 300 ms; at 200 a second 60 calls come due meanwhile and wait 150 ms on average.
    let target = Arc::new(Stub { stall: Some((30, Duration::from_millis(300))), ..Stub::default() });
    let outcome = open(200.0).run(&target).await;
    assert_eq!(outcome.latency.count(), 100);
    assert!(outcome.latency.quantile_ms(0.75) > 100.0, "{}", outcome.latency.quantile_ms(0.75));
    assert!(outcome.latency.quantile_ms(1.0) >= 299.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_counted_apart_and_told() {
    let target = Arc::new(Stub { fail_every: Some(4), ..Stub::default() });
    let outcome = open(200.0).run(&target).await;
    assert_eq!((outcome.answered, outcome.failed), (90, 30));
    assert_eq!(outcome.error.map(|error| error.to_string()), Some("wrong answer: told to fail".into()));

    let closed = Closed { concurrency: 3, warm_up: Duration::ZERO, time: Duration::from_millis(50) };
    let outcome = closed.run(&Arc::new(Stub { fail_every: Some(1), ..Stub::default() })).await;
    assert_eq!(outcome.answered, 0);
    assert!(outcome.failed > 0 && outcome.per_second == 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_loop_counts_what_is_answered_in_its_time() {
    let target = Arc::new(Stub::default());
    let closed =
        Closed { concurrency: 4, warm_up: Duration::from_millis(20), time: Duration::from_millis(100) };
    let outcome = closed.run(&target).await;
    assert_eq!(outcome.answered, target.calls.load(Ordering::Relaxed));
    assert!(outcome.latency.count() <= outcome.answered);
    assert!((outcome.per_second - outcome.latency.count() as f64 / 0.1).abs() < 1e-6);
}
