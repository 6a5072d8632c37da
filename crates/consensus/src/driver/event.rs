//! What the raft thread is told.
//!
//! The mailbox itself has no bound; what may be in it has: requests hold permits of their group's budgets, the
//! log writer and the apply threads report only what the raft thread handed to them, and frames of peers hold
//! permits of one budget of the node.

use std::{fmt, time::Instant};

use bytes::Bytes;
use lineate_storage::blob::BlobInfo;
use lineate_types::{GroupId, TimestampUs};
use tokio::sync::oneshot;

use super::{budget::Permit, handle::Reply};
use crate::{
    Applied, Checkpointing, Error, Result,
    core::{Draft, GroupStatus, ReadPoint},
};

/// What a request holds of the budgets of its group.
pub(crate) type Permits = [Option<Permit>; 2];

/// Where an answer goes, with what is held until what was asked for is over.
#[derive(Debug)]
pub(crate) struct Responder<T> {
    /// None once the asker was told not to wait any longer.
    sender: Option<oneshot::Sender<Result<T>>>,
    permits: Permits,
}

/// Who waits for a command to be applied.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) reply: Responder<Reply>,
    pub(crate) since: Instant,
}

/// Who waits for a point to read at.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) reply: Responder<ReadPoint>,
    pub(crate) since: Instant,
}

/// Who waits for a group to be closed.
#[derive(Debug)]
pub(crate) struct Close {
    pub(crate) at: TimestampUs,
    pub(crate) reply: Responder<()>,
    pub(crate) since: Instant,
}

/// What is still to be done of a checkpoint.
pub(crate) struct CheckpointRest(pub(crate) Checkpointing);

impl fmt::Debug for CheckpointRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointRest")
    }
}

/// A command that is proposed.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) group: GroupId,
    pub(crate) draft: Draft,
    pub(crate) waiter: Waiter,
}

/// How far an apply thread brought a group.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) group: GroupId,
    pub(crate) applied: Applied,
    pub(crate) bytes: usize,
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Commands that came together, and are written together.
    Propose {
        proposals: Vec<Proposal>,
    },
    Read {
        group: GroupId,
        read: Read,
    },
    Close {
        group: GroupId,
        close: Close,
    },
    Cut {
        group: GroupId,
        reply: Responder<GroupStatus>,
    },
    /// A frame of another peer.
    Frame {
        frame: Bytes,
        _permit: Permit,
    },
    /// The log writer made what it was given durable.
    Persisted,
    /// An apply thread applied some groups.
    Applied {
        groups: Vec<Reached>,
    },
    /// An apply thread began the checkpoint of a group, at the state it last reported.
    CheckpointBegun {
        group: GroupId,
        rest: CheckpointRest,
    },
    /// The checkpoint of a group is durable, or failed.
    Checkpointed {
        group: GroupId,
        outcome: lineate_storage::Result<BlobInfo>,
    },
    Shutdown,
    /// Another thread failed; the health of the node knows why.
    Failed,
}

impl<T> Responder<T> {
    pub(crate) fn new(sender: oneshot::Sender<Result<T>>, permits: Permits) -> Self {
        Self { sender: Some(sender), permits }
    }

    /// Answers a request; a caller that went away is no error. What it held is given back first, so that whoever
    /// has an answer can ask again at once.
    pub(crate) fn answer(self, with: Result<T>) {
        drop(self.permits);
        if let Some(sender) = self.sender {
            // The receiver is gone when the caller stopped waiting.
            drop(sender.send(with));
        }
    }

    /// Whether somebody still waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        self.sender.is_some()
    }

    /// Tells the asker not to wait any longer. What was asked for goes on, and holds what it holds until it is over:
    /// else those who ask again would queue without bound behind a disk that hangs.
    pub(crate) fn dismiss(&mut self, error: Error) {
        if let Some(sender) = self.sender.take() {
            // As above.
            drop(sender.send(Err(error)));
        }
    }

    /// Refuses a request.
    pub(crate) fn refuse(self, error: Error) {
        self.answer(Err(error));
    }
}
