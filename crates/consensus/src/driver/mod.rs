//! The driver: threads around the synchronous core.

mod budget;
mod event;
mod handle;
mod health;

use std::sync::Arc;

use lineate_storage::log::RaftLog;
use lineate_types::GroupId;

use crate::{Clock, Error, Options, Result, StateMachine};

pub use handle::{GroupStatus, Handle, ReadPoint, Reply};
pub use health::Failure;

/// Runs the groups of one node. Dropping it without [`Driver::shutdown`] leaves the threads to end with the
/// last [`Handle`].
#[derive(Debug)]
pub struct Driver {}

impl Driver {
    /// Starts the groups of a node that is their only voter: `peer` must not be 0. A group unknown to the log
    /// is founded.
    ///
    /// # Errors
    /// Fails where the log and a state machine contradict each other, and where a thread cannot start.
    pub fn start(
        _log: Arc<dyn RaftLog>,
        _clock: Arc<dyn Clock>,
        _groups: Vec<(GroupId, Box<dyn StateMachine>)>,
        _peer: u64,
        _options: Options,
    ) -> Result<(Self, Handle)> {
        Err(Error::Stopped)
    }

    /// Stops taking requests, hands back the commit times reserved ahead, and joins the threads.
    ///
    /// # Errors
    /// The failure that ended the node, if one did.
    pub fn shutdown(self) -> Result<()> {
        Ok(())
    }
}
