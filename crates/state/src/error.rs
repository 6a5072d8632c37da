//! What can go wrong when a command is planned, encoded or applied.

use lineate_types::{ErrorKind, HasKind};
use minicbor::{Decode, Encode};

/// A command cannot be planned or applied, or stored state cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something named does not exist.
    #[error("{what} `{name}` does not exist{hint}")]
    NotFound {
        /// The kind of thing.
        what: String,
        /// Its name.
        name: String,
        /// What would be right, beginning with a semicolon, or nothing.
        hint: String,
    },
    /// The state moved on, or an identity came back with another content.
    #[error("{0}")]
    Conflict(String),
    /// A bound was reached.
    #[error("{0}")]
    ResourceExhausted(String),
    /// A writer, load or name belongs to another principal.
    #[error("{0}")]
    PermissionDenied(String),
    /// Stored bytes are not what was written, or were written by a newer release.
    #[error("{what} cannot be read: {why}")]
    Corrupt {
        /// What was read.
        what: String,
        /// Why it cannot be.
        why: String,
    },
    /// The storage port failed.
    #[error(transparent)]
    Storage(#[from] lineate_storage::Error),
    /// Rows or segments failed.
    #[error(transparent)]
    Segment(#[from] lineate_segment::Error),
    /// A record failed.
    #[error(transparent)]
    Ledger(#[from] lineate_ledger::Error),
}

impl Error {
    /// The same error, naming where it was found.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::Invalid(text) => Self::Invalid(format!("{place}: {text}")),
            Self::Conflict(text) => Self::Conflict(format!("{place}: {text}")),
            Self::NotFound { what, name, hint } => {
                Self::Invalid(format!("{place}: {what} `{name}` does not exist{hint}"))
            }
            other => other,
        }
    }
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::ResourceExhausted(_) => ErrorKind::ResourceExhausted,
            Self::PermissionDenied(_) => ErrorKind::PermissionDenied,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Storage(error) => error.kind(),
            Self::Segment(error) => error.kind(),
            Self::Ledger(error) => error.kind(),
        }
    }
}

/// An error as it travels in a reply: every replica computes the same.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    #[n(0)]
    kind: String,
    #[n(1)]
    message: String,
}

impl HasKind for Refusal {
    fn kind(&self) -> ErrorKind {
        ErrorKind::from_name(&self.kind).unwrap_or(ErrorKind::Internal)
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind().as_str().into(), message: error.to_string() }
    }
}
