//! The wall clock, the only one of the node.

use std::time::{SystemTime, UNIX_EPOCH};

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
