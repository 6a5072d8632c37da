//! What can go wrong in replication, and what the caller does about it.

use lineate_types::{ErrorKind, GroupId, HasKind, TimestampUs};

use crate::BoxError;

/// The result of a consensus call.
pub type Result<T> = std::result::Result<T, Error>;

/// A replication failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This node serves no such group.
    #[error("group {group} is not served by this node")]
    UnknownGroup {
        /// The group asked for.
        group: GroupId,
    },
    /// A command is larger than a log entry may be.
    #[error("a command has {bytes} bytes; at most {limit} are allowed")]
    CommandTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// Too much is on its way already. Nothing happened; repeat after a pause.
    #[error("group {group} has {limit} {what} in flight, the most it may have; wait for some to finish")]
    Busy {
        /// The group.
        group: GroupId,
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The disk of the log is full, or the process has no file descriptor left. Nothing happened; repeat when there is
    /// space.
    #[error(
        "the raft log cannot be written, its disk is full or no file descriptor is left; free space, no restart is needed"
    )]
    DiskFull,
    /// Another peer leads the group. Nothing happened; repeat there.
    #[error("{}", not_leader(*.group, *.leader))]
    NotLeader {
        /// The group.
        group: GroupId,
        /// The leader, where it is known.
        leader: Option<u64>,
    },
    /// No leader, or no quorum behind it, for too long. Nothing happened; repeat after a pause.
    #[error("no quorum of group {group} answered in time; repeat after a pause")]
    NoQuorum {
        /// The group.
        group: GroupId,
    },
    /// A proposal was sent and its fate is not known: it may be applied now, later or never. Repeat it with
    /// the same identity.
    #[error("whether group {group} applied the command is unknown: {why}; repeat it with the same identity")]
    OutcomeUnknown {
        /// The group.
        group: GroupId,
        /// Why nobody knows.
        why: &'static str,
    },
    /// A close lies too far in the future.
    #[error("group {group} cannot be closed at {at}; the latest allowed now is {latest}")]
    CloseTooFar {
        /// The group.
        group: GroupId,
        /// The instant asked for.
        at: TimestampUs,
        /// The latest instant allowed at the time of the call.
        latest: TimestampUs,
    },
    /// The driver was shut down.
    #[error("this node is shutting down")]
    Stopped,
    /// The node met a failure it must not work beyond: every call fails until the process is restarted.
    #[error("this node stopped after a failure and must be restarted: {reason}")]
    Failed {
        /// What failed.
        reason: String,
        /// The kind of the failure.
        kind: ErrorKind,
    },
    /// The log of a group contradicts itself or the state machine.
    #[error("the log of group {group} is corrupt: {found}")]
    CorruptLog {
        /// The group.
        group: GroupId,
        /// What was found, and what would be right.
        found: String,
    },
    /// Bytes of an entry, a message or a record of the group are not what the format says.
    #[error("{what} cannot be read: {found}")]
    Malformed {
        /// What was decoded.
        what: &'static str,
        /// What was found, and what would be right.
        found: String,
    },
    /// A peer sent what it must not send; the message was dropped.
    #[error("a message to group {group} was refused: {reason}")]
    Refused {
        /// The group.
        group: GroupId,
        /// Which rule it breaks.
        reason: String,
    },
    /// The options contradict themselves.
    #[error("the consensus options are wrong: {reason}")]
    Options {
        /// Which, and what would be right.
        reason: String,
    },
    /// The state of a group could not be written as a blob. Its log was not cut; repeat later.
    #[error("the checkpoint of group {group} failed, its log is kept whole: {reason}")]
    Checkpoint {
        /// The group.
        group: GroupId,
        /// What failed.
        reason: String,
        /// The kind of the failure.
        kind: ErrorKind,
    },
    /// The Raft log failed.
    #[error("the raft log failed")]
    Log(#[from] lineate_storage::Error),
    /// A state machine failed.
    #[error("the state machine of group {group} failed")]
    StateMachine {
        /// The group.
        group: GroupId,
        /// Its own error.
        #[source]
        source: BoxError,
    },
    /// The Raft core refused what it must accept.
    #[error("the raft core of group {group} failed")]
    Raft {
        /// The group.
        group: GroupId,
        /// Its own error.
        #[source]
        source: raft::Error,
    },
    /// A thread could not be started.
    #[error("could not start the {thread} thread")]
    Thread {
        /// Which thread.
        thread: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownGroup { .. } => ErrorKind::NotFound,
            Self::CommandTooLarge { .. }
            | Self::CloseTooFar { .. }
            | Self::Refused { .. }
            | Self::Options { .. } => ErrorKind::Invalid,
            Self::Busy { .. } | Self::DiskFull => ErrorKind::ResourceExhausted,
            Self::NotLeader { .. } => ErrorKind::NotLeader,
            Self::NoQuorum { .. } | Self::OutcomeUnknown { .. } | Self::Stopped | Self::Thread { .. } => {
                ErrorKind::Unavailable
            }
            Self::Failed { kind, .. } | Self::Checkpoint { kind, .. } => *kind,
            Self::CorruptLog { .. } | Self::Malformed { .. } => ErrorKind::Corrupt,
            Self::Log(error) => error.kind(),
            Self::StateMachine { .. } | Self::Raft { .. } => ErrorKind::Internal,
        }
    }
}

fn not_leader(group: GroupId, leader: Option<u64>) -> String {
    match leader {
        Some(leader) => format!("this node does not lead group {group}; peer {leader} does"),
        None => format!("this node does not lead group {group}; the leader is not known yet"),
    }
}
