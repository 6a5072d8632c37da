//! Requests of one connection, by which it is seen to be idle.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

/// Counts the requests of a connection. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    requests: Arc<watch::Sender<usize>>,
}

/// A request under way; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy {
    requests: Arc<watch::Sender<usize>>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self { requests: Arc::new(watch::Sender::new(0)) }
    }

    /// Begins a request.
    pub(crate) fn begin(&self) -> Busy {
        self.requests.send_modify(|count| *count += 1);
        Busy { requests: self.requests.clone() }
    }

    /// Waits until there was no request for so long.
    pub(crate) async fn idle_for(&self, longest: Duration) {
        let mut requests = self.requests.subscribe();
        loop {
            let none = *requests.borrow_and_update() == 0;
            // The sender lives in `self`, so a change is the only way out before the time is over.
            let changed = requests.changed();
            if !none {
                let _ = changed.await;
            } else if timeout(longest, changed).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.requests.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_a_connection_without_requests_is_idle() {
        let activity = Activity::new();
        let busy = activity.begin();
        assert!(activity.idle_for(Duration::ZERO).now_or_never().is_none());
        drop(busy);
        activity.idle_for(Duration::from_millis(1)).await;
    }
}
