//! An open loop: operations are due at fixed times, whatever became of those before, and their latency counts from
//! then. So a target that stalls is charged for everything that had to wait (no coordinated omission).
//!
//! A thread of its own keeps the times; it sleeps between them, and what it oversleeps is part of the latency and
//! also kept apart.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::{Outcome, Target};

/// Operations under way above which the next is not sent but counted as failed.
const UNDER_WAY: usize = 1_024;
/// How long answers are awaited after the last operation was due.
const DRAIN: Duration = Duration::from_secs(10);

/// An open loop.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    /// Operations due in a second.
    pub per_second: f64,
    /// How long it runs before anything counts.
    pub warm_up: Duration,
    /// How long it runs then.
    pub time: Duration,
}

/// What the operations of one run share.
#[derive(Default)]
struct Run {
    under_way: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    outcome: Outcome,
    last_answer: Option<Instant>,
}

impl Open {
    /// Runs it, and waits for the answers under way at its end.
    pub async fn run<T: Target>(self, target: &Arc<T>) -> Outcome {
        let run = Arc::new(Run::default());
        let counted_from = Instant::now() + self.warm_up;
        let pacer = {
            let (run, target, runtime) = (run.clone(), target.clone(), Handle::current());
            tokio::task::spawn_blocking(move || self.pace(counted_from, &run, &target, &runtime))
        };
        // The pacer only sleeps and spawns; it does not panic.
        let counted = pacer.await.unwrap_or_default();
        let drained_by = Instant::now() + DRAIN;
        while run.under_way.load(Ordering::Acquire) > 0 && Instant::now() < drained_by {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut kept = std::mem::take(&mut *run.kept());
        // What was answered late stretches the time; what was answered early does not shorten it.
        let took = kept.last_answer.map_or(self.time, |last| (last - counted_from).max(self.time));
        let share = kept.outcome.latency.count() as f64 / counted as f64;
        kept.outcome.per_second = self.per_second * share * self.time.as_secs_f64() / took.as_secs_f64();
        kept.outcome.failed += run.under_way.load(Ordering::Acquire) as u64;
        kept.outcome
    }

    /// Sends every operation at its time. How many of them count.
    fn pace<T: Target>(
        self,
        counted_from: Instant,
        run: &Arc<Run>,
        target: &Arc<T>,
        runtime: &Handle,
    ) -> u64 {
        let first_due = counted_from - self.warm_up;
        let operations = ((self.warm_up + self.time).as_secs_f64() * self.per_second) as u64;
        let mut counted = 0;
        for number in 0..operations {
            let due = first_due + Duration::from_secs_f64(number as f64 / self.per_second);
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                thread::sleep(wait);
            }
            counted += u64::from(due >= counted_from);
            let lateness = Instant::now().saturating_duration_since(due);
            if run.under_way.fetch_add(1, Ordering::AcqRel) >= UNDER_WAY {
                run.under_way.fetch_sub(1, Ordering::AcqRel);
                run.kept().outcome.failed += 1;
                continue;
            }
            let (run, target) = (run.clone(), target.clone());
            runtime.spawn(async move {
                let answer = target.call(number).await;
                run.answered(answer, due, lateness, due >= counted_from);
            });
        }
        counted
    }
}

impl Run {
    fn answered(&self, answer: crate::Result<()>, due: Instant, lateness: Duration, counts: bool) {
        let now = Instant::now();
        let mut kept = self.kept();
        match answer {
            Ok(()) => {
                kept.outcome.answered += 1;
                if counts {
                    kept.outcome.latency.record(now.saturating_duration_since(due));
                    kept.outcome.lateness.record(lateness);
                    kept.last_answer = kept.last_answer.max(Some(now));
                }
            }
            Err(cause) => {
                kept.outcome.failed += 1;
                kept.outcome.error.get_or_insert(cause);
            }
        }
        drop(kept);
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
