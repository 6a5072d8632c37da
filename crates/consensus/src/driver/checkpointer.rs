//! The checkpoint thread: finishes, one after the other, the checkpoints that state machines begin.
//!
//! There is at most one of each group at a time. A failed one is reported and harms nothing.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use lineate_types::GroupId;

use super::{
    event::{CheckpointRest, Event},
    health::Health,
};
use crate::Result;

/// The checkpoint thread.
pub(super) struct Checkpointer {
    pub(super) begun: Receiver<(GroupId, CheckpointRest)>,
    pub(super) mailbox: Sender<Event>,
    pub(super) health: Arc<Health>,
}

impl Checkpointer {
    /// Works until the raft thread is gone, or the node failed.
    pub(super) fn run(&mut self) -> Result<()> {
        while let Ok((group, CheckpointRest(rest))) = self.begun.recv() {
            if self.health.failure().is_some() {
                return Ok(());
            }
            let outcome = rest();
            // The raft thread is gone only when nobody needs to know.
            drop(self.mailbox.send(Event::Checkpointed { group, outcome }));
        }
        Ok(())
    }
}
