//! What the core asks its caller to do, and what it answers.

use bytes::Bytes;
use lineate_storage::{blob::BlobInfo, log::GroupBatch};
use lineate_types::{GroupId, TimestampUs};

use crate::Committed;

/// What to do after a [`Group::ready`](super::Group::ready); see the module for the order.
#[derive(Debug, Default)]
pub struct Effects {
    /// To send at once.
    pub send: Vec<Outgoing>,
    /// To make durable.
    pub persist: Option<Persist>,
    /// To apply: committed and durable here.
    pub apply: Vec<Committed>,
}

/// A change of the log on its way to the disk.
#[derive(Debug)]
pub struct Persist {
    /// To be told to [`Group::persisted`](super::Group::persisted).
    pub number: u64,
    /// What to append.
    pub batch: GroupBatch,
}

/// A message to another peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The peer.
    pub to: u64,
    /// The bytes, format `docs/formats/raft-message.md`.
    pub frame: Bytes,
}

/// A proposed command. It is applied if and only if the entry applied at `index` has this `term`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Its index in the log of the group.
    pub index: u64,
    /// The term it was proposed in.
    pub term: u64,
    /// Its commit time.
    pub commit_time: TimestampUs,
}

/// Why a leader's work cannot be done now. Nothing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another peer leads, or nobody.
    NotLeader {
        /// The leader, where it is known.
        leader: Option<u64>,
    },
    /// This peer leads, and what it found in its log is not committed yet.
    NotYet,
    /// The clock must pass this time first.
    Wait {
        /// The time.
        until: TimestampUs,
    },
}

/// A point at which a group can be read linearizably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPoint {
    /// Read what has a commit time at or below this. It is at or above the commit time of every command
    /// answered before the read was asked for, and no command applied later gets a commit time at or below
    /// it, whatever leader crashes or clock steps come in between.
    pub as_of: TimestampUs,
    /// The state machine has applied at least this index.
    pub applied_index: u64,
    /// The greatest commit time that is applied: no command that was answered before the read was asked for has a
    /// greater one.
    pub committed: TimestampUs,
}

/// What is known of a group at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// This node's peer id.
    pub peer: u64,
    /// The leader, where it is known.
    pub leader: Option<u64>,
    /// Whether this peer leads.
    pub leads: bool,
    /// The Raft term.
    pub term: u64,
    /// The newest committed index known here.
    pub commit: u64,
    /// The newest applied index.
    pub applied: u64,
    /// The newest index of the log.
    pub last_index: u64,
    /// The index the log begins after.
    pub cut: u64,
    /// Nothing at or below this time will be committed; of the applied state.
    pub closed: TimestampUs,
    /// What the entries from the cut up to the applied one take in the log, roughly.
    pub log_bytes: u64,
    /// The blob that holds the state the entries behind the cut made; none as long as the log was never cut.
    pub checkpoint: Option<BlobInfo>,
}
