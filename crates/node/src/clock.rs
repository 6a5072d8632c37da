//! The clocks of a node: the wall clock, and what its groups make of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use lineate_consensus::Clock;
use lineate_types::TimestampUs;

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimestampUs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_micros()).unwrap_or(0);
        TimestampUs(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

/// The one clock of a node and all its groups: a wall clock that never goes back, and is never behind a time that
/// one of the groups committed or answered at. Where the wall clock steps back it stands still until that has
/// caught up; so a snapshot of now holds whatever was acknowledged, and groups agree on a time at once.
pub(crate) struct HybridClock {
    wall: Arc<dyn Clock>,
    latest_us: AtomicI64,
}

impl HybridClock {
    pub(crate) fn new(wall: Arc<dyn Clock>) -> Self {
        Self { wall, latest_us: AtomicI64::new(i64::MIN) }
    }

    /// Takes note of a time that a group committed or answered at.
    pub(crate) fn observe(&self, at: TimestampUs) {
        self.latest_us.fetch_max(at.0, Ordering::AcqRel);
    }
}

impl Clock for HybridClock {
    fn now(&self) -> TimestampUs {
        let wall = self.wall.now();
        wall.max(TimestampUs(self.latest_us.fetch_max(wall.0, Ordering::AcqRel)))
    }
}
