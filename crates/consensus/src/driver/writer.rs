//! The log writer: one thread, one sync at a time, for all groups of the node.
//!
//! A full disk, or no file descriptor for the next file of the log, is waited out: the same batch is tried again, since
//! the Raft core counts on it, and nothing else is accepted meanwhile. Any other failure ends the node.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use lineate_storage::log::{LogBatch, RaftLog};

use super::{event::Event, health::Health};
use crate::Result;

/// The pauses between two tries while nothing can be written: from the first, doubling, to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The log writer.
pub(super) struct Writer {
    pub(super) log: Arc<dyn RaftLog>,
    pub(super) jobs: Receiver<LogBatch>,
    pub(super) mailbox: Sender<Event>,
    pub(super) health: Arc<Health>,
}

impl Writer {
    /// Writes until the raft thread is gone.
    pub(super) fn run(&mut self) -> Result<()> {
        while let Ok(batch) = self.jobs.recv() {
            if !self.write(&batch)? {
                return Ok(());
            }
            // The raft thread is gone only when nobody needs to know.
            drop(self.mailbox.send(Event::Persisted));
        }
        Ok(())
    }

    /// False if the node stopped before it could be written.
    fn write(&self, batch: &LogBatch) -> Result<bool> {
        let (mut pause, last) = PAUSES;
        loop {
            match self.log.append(batch) {
                Ok(()) => {
                    if self.health.disk_full() {
                        tracing::info!("the raft log can be written again");
                        self.health.set_disk_full(false);
                    }
                    return Ok(true);
                }
                Err(error) if error.passes() => {
                    if !self.health.disk_full() {
                        tracing::error!(%error, "the raft log cannot be written for now, its disk is full or no file descriptor is left");
                        self.health.set_disk_full(true);
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if self.health.wait_for_end(pause) {
                return Ok(false);
            }
            pause = (pause * 2).min(last);
        }
    }
}
