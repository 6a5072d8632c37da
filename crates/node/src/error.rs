//! What can go wrong in a node.

use lineate_types::{ErrorKind, HasKind, ShardId, WriterId};

/// A node cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// A bound was reached.
    #[error("{0}")]
    ResourceExhausted(String),
    /// A writer skipped sequences.
    #[error("{0}")]
    Conflict(String),
    /// A writer belongs to another principal.
    #[error("{0}")]
    PermissionDenied(String),
    /// A writer is in its next epoch, and a shard may not know it. Nobody was told the epoch; opening the writer again
    /// begins one more.
    #[error(
        "shard {shard} could not be told that writer {writer} begins an epoch; open the writer again: {source}"
    )]
    NotFenced {
        /// The writer.
        writer: WriterId,
        /// The shard.
        shard: ShardId,
        /// Why it was not told.
        source: Box<Error>,
    },
    /// Texts are recorded as erased and shown to nobody any more, and could not be erased from their files yet. That is
    /// tried again until it is done.
    #[error(
        "the erasure is recorded and the texts are hidden, but not yet gone from the disk; that is tried again: {source}"
    )]
    NotErased {
        /// Why they are still there.
        source: Box<Error>,
    },
    /// Stored bytes are not what was written.
    #[error("{0}")]
    Corrupt(String),
    /// Nobody waits for the work any more; what it changed is undone.
    #[error("the caller went away or the node stops; nothing was changed")]
    Cancelled,
    /// A state machine refused a command; nothing was changed.
    #[error(transparent)]
    Refused(#[from] lineate_state::Refusal),
    /// Planning or stored state failed.
    #[error(transparent)]
    State(#[from] lineate_state::Error),
    /// Replication failed.
    #[error(transparent)]
    Consensus(#[from] lineate_consensus::Error),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] lineate_storage::Error),
    /// Rows or segments failed.
    #[error(transparent)]
    Segment(#[from] lineate_segment::Error),
    /// Records failed.
    #[error(transparent)]
    Ledger(#[from] lineate_ledger::Error),
    /// A reply or a task broke off; a bug.
    #[error("internal: {0}")]
    Internal(String),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::ResourceExhausted(_) => ErrorKind::ResourceExhausted,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::NotFenced { source, .. } | Self::NotErased { source } => source.kind(),
            Self::PermissionDenied(_) => ErrorKind::PermissionDenied,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Refused(error) => error.kind(),
            Self::State(error) => error.kind(),
            Self::Consensus(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Segment(error) => error.kind(),
            Self::Ledger(error) => error.kind(),
            Self::Cancelled => ErrorKind::Unavailable,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Internal(format!("a task ended early: {error}"))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Segment(error.into())
    }
}
