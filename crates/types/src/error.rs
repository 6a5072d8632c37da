//! The kinds of failure every crate maps its errors to, and what a caller does about each.

use std::fmt;

/// What a caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: change it; repeating it cannot help.
    Invalid,
    /// The thing named does not exist: check the name, or create it first.
    NotFound,
    /// The thing exists already with another content: choose another name or version.
    AlreadyExists,
    /// The state moved on, or the same identity came with another content: read again, then decide.
    Conflict,
    /// Another replica leads this group: repeat the request there.
    NotLeader,
    /// Not now: repeat with the same identity after a pause. The outcome may be unknown.
    Unavailable,
    /// A bound was reached: free something, send less, or wait.
    ResourceExhausted,
    /// Nobody is known to have sent this: authenticate.
    Unauthenticated,
    /// The caller is known and not allowed: ask for the grant.
    PermissionDenied,
    /// Stored bytes are not what was written: restore or rebuild; the system refuses to guess.
    Corrupt,
    /// A bug: report it.
    Internal,
}

impl ErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::NotLeader,
        Self::Unavailable,
        Self::ResourceExhausted,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::Corrupt,
        Self::Internal,
    ];

    /// The stable name used in JSON errors and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::NotLeader => "not_leader",
            Self::Unavailable => "unavailable",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }

    /// The kind with this stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that knows its kind. Every crate's `Error` implements this.
pub trait HasKind: std::error::Error {
    /// What the caller should do.
    fn kind(&self) -> ErrorKind;
}
