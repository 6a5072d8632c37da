//! What the raft thread is told.
//!
//! The mailbox itself has no bound; what may be in it has: requests hold permits of their group's budgets, the
//! log writer and the apply threads report only what the raft thread handed to them, and frames of peers hold
//! permits of one budget of the node.

use bytes::{Bytes, BytesMut};
use lineate_types::{GroupId, TimestampUs};
use tokio::sync::oneshot;

use super::{
    budget::Permit,
    handle::{ReadPoint, Reply},
};
use crate::{Error, Result};

/// Where an answer goes.
pub(crate) type Responder<T> = oneshot::Sender<Result<T>>;

/// A request that waits for a command to be applied.
#[derive(Debug)]
pub(crate) struct Proposal {
    /// The envelope with the commit time still open.
    pub(crate) envelope: BytesMut,
    pub(crate) reply: Responder<Reply>,
    /// Given back when the proposal is answered.
    pub(crate) permits: [Permit; 2],
}

/// A request for a time to read at.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) reply: Responder<ReadPoint>,
    pub(crate) permit: Permit,
}

/// A request to close a group.
#[derive(Debug)]
pub(crate) struct Close {
    pub(crate) at: TimestampUs,
    pub(crate) reply: Responder<()>,
    pub(crate) permit: Permit,
}

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    Propose {
        group: GroupId,
        proposal: Proposal,
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
        reply: Responder<u64>,
    },
    /// A frame of another peer.
    Frame {
        frame: Bytes,
        permit: Permit,
    },
    /// The log writer made a batch durable.
    Persisted,
    /// The apply thread applied a group up to an index.
    Applied {
        group: GroupId,
        index: u64,
        bytes: usize,
    },
    /// The apply thread tells up to where a group's state survives.
    Durable {
        group: GroupId,
        index: u64,
    },
    Shutdown,
    /// Another thread failed; the failure is in the health of the node.
    Failed,
}

/// Answers a request; a caller that went away is no error.
pub(crate) fn answer<T>(reply: Responder<T>, with: Result<T>) {
    // The receiver is gone when the caller stopped waiting.
    drop(reply.send(with));
}

/// Refuses a request.
pub(crate) fn refuse<T>(reply: Responder<T>, error: Error) {
    answer(reply, Err(error));
}
