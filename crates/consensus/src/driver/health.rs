//! Whether the node still works: the one failure that ended it, and what many threads must know at once.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lineate_types::{ErrorKind, HasKind};
use tokio::sync::watch;

use crate::Error;

/// The failure that ended a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, with its causes.
    pub reason: String,
    /// The kind of the failure.
    pub kind: ErrorKind,
}

/// Shared by all threads and handles of a driver.
#[derive(Debug)]
pub(crate) struct Health {
    failure: watch::Sender<Option<Failure>>,
    /// The raft thread ended; nothing is answered any more.
    ended: watch::Sender<bool>,
    disk_full: AtomicBool,
    /// For the log writer, which waits without a runtime.
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl Failure {
    /// The failure an error amounts to: its own text and those of its causes.
    pub(crate) fn of(error: &Error) -> Self {
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        Self { reason, kind: error.kind() }
    }

    /// The failure a panic of a thread amounts to: a broken invariant, in the Raft core or in our code.
    pub(crate) fn of_panic(thread: &str, payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self { reason: format!("the {thread} thread panicked: {text}"), kind: ErrorKind::Internal }
    }

    pub(crate) fn error(&self) -> Error {
        Error::Failed { reason: self.reason.clone(), kind: self.kind }
    }
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            failure: watch::Sender::new(None),
            ended: watch::Sender::new(false),
            disk_full: AtomicBool::new(false),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        }
    }

    /// Ends the node. The first failure is kept: later ones follow from it.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failure.send_if_modified(|known| {
            if known.is_some() {
                return false;
            }
            tracing::error!(reason = %failure.reason, kind = %failure.kind, "consensus failed");
            *known = Some(failure);
            true
        });
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Failure>> {
        self.failure.subscribe()
    }

    /// Why a request that was dropped failed: known for sure when the raft thread ended.
    pub(crate) async fn unanswered(&self) -> Error {
        // The sender lives in `self`, so this cannot fail before it ends.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
        self.failure().map_or(Error::Stopped, |failure| failure.error())
    }

    pub(crate) fn disk_full(&self) -> bool {
        self.disk_full.load(Ordering::Acquire)
    }

    pub(crate) fn set_disk_full(&self, full: bool) {
        self.disk_full.store(full, Ordering::Release);
    }

    /// Tells the other threads that the raft thread ended.
    pub(crate) fn set_ended(&self) {
        self.ended.send_replace(true);
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.notify_all();
    }

    /// Pauses; true as soon as the raft thread ended.
    pub(crate) fn wait_for_end(&self, pause: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopped, _) = self
            .stop
            .wait_timeout_while(stopped, pause, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *stopped
    }
}
