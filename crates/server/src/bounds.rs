//! Bounds of a server that an operator may set.

use std::time::Duration;

use lineate_types::limits;

/// How many connections a server holds, and how long it waits for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Connections; one more is closed at once.
    pub connections: usize,
    /// How long a connection without a request stays open.
    pub idle_timeout: Duration,
    /// How long a reader may take nothing of an answer that a thread is held for.
    pub send_timeout: Duration,
    /// How long requests under way may take to end when the server stops.
    pub drain_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            idle_timeout: Duration::from_secs(600),
            send_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
        }
    }
}
