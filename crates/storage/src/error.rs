//! What can go wrong with a disk, and what the caller does about it.

use std::{io, path::PathBuf};

use lineate_types::{ErrorKind, GroupId, HasKind};

/// The result of a storage call.
pub type Result<T> = std::result::Result<T, Error>;

/// A storage failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No space or quota is left; nothing of the refused write remains, and the store stays usable.
    #[error("the disk is full: could not {doing} {}; free space and repeat", path.display())]
    Full {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The process or the machine has no file descriptor left; nothing of the refused write remains, and the store
    /// stays usable.
    #[error(
        "no file descriptor is left: could not {doing} {}; raise the limit of open files, or repeat when others are closed",
        path.display()
    )]
    Descriptors {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A bound of the system would be passed.
    #[error("{what} has {actual} bytes; at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        actual: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// Stored bytes are not what was written.
    #[error("{what} is corrupt: {found}")]
    Corrupt {
        /// The file, entry, value or blob.
        what: String,
        /// What was found, and what would be right.
        found: String,
    },
    /// Stored bytes were written by a version of the format that this binary does not know.
    #[error(
        "{what} has format version {found}; this binary reads version {known}, use the one that wrote it"
    )]
    Version {
        /// The file or value.
        what: String,
        /// The version found.
        found: u32,
        /// The version that can be read.
        known: u32,
    },
    /// The thing named is not stored here.
    #[error("{what} is not in this store")]
    NotFound {
        /// The thing named.
        what: String,
    },
    /// There is no store in the directory.
    #[error("there is no store in {}; name the directory of one, or make it with `lineate init`", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The entries asked for lie behind the cut.
    #[error("entry {index} of group {group} is behind the cut; the log begins at {first}")]
    Forgotten {
        /// The Raft group.
        group: GroupId,
        /// The first index asked for.
        index: u64,
        /// The first index that can be read.
        first: u64,
    },
    /// The entries asked for lie beyond the end of the log.
    #[error("entry {index} of group {group} is beyond the end of the log at {last}")]
    Beyond {
        /// The Raft group.
        group: GroupId,
        /// The last index asked for.
        index: u64,
        /// The last index that can be read.
        last: u64,
    },
    /// An earlier failure left the state of the disk unknown; only reopening tells what survived.
    #[error("{store} stopped after a failure and must be reopened: {reason}")]
    Poisoned {
        /// Which store.
        store: &'static str,
        /// The failure that stopped it.
        reason: String,
    },
    /// Another process owns the directory.
    #[error("{} is in use by {owner}; {advice}", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, as it describes itself.
        owner: String,
        /// What to do instead.
        advice: String,
    },
    /// The request breaks a rule of the port.
    #[error("{reason}")]
    Invalid {
        /// Which rule, and what would be right.
        reason: String,
    },
    /// The operating system refused.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } | Self::Descriptors { .. } => ErrorKind::ResourceExhausted,
            Self::TooLarge { .. } | Self::Invalid { .. } | Self::Version { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::NotFound { .. } | Self::NoStore { .. } | Self::Forgotten { .. } | Self::Beyond { .. } => {
                ErrorKind::NotFound
            }
            Self::Poisoned { .. } | Self::Locked { .. } | Self::Io { .. } => ErrorKind::Unavailable,
        }
    }
}

impl Error {
    /// The failure of an operating-system call, told apart by what the caller does about it: no space and
    /// no quota become [`Error::Full`], no file descriptor [`Error::Descriptors`], all else [`Error::Io`].
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match &source {
            full if is_full(full) => Self::Full { doing, path, source },
            none_left if is_out_of_descriptors(none_left) => Self::Descriptors { doing, path, source },
            _ => Self::Io { doing, path, source },
        }
    }

    /// Whether what was refused can be had when others give space or descriptors back: nothing of it was done.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Descriptors { .. })
    }

    /// A rule of the port was broken.
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into() }
    }

    /// Stored bytes are not what was written.
    pub(crate) fn corrupt(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), found: found.into() }
    }
}

/// Whether the operating system ran out of space or of quota.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the process (`EMFILE`) or the whole machine (`ENFILE`) has as many files open as it may.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_space_no_quota_and_no_descriptor_are_resource_exhausted_and_other_errors_are_not() {
        for (errno, kind) in [
            (28, ErrorKind::ResourceExhausted),
            (122, ErrorKind::ResourceExhausted),
            (23, ErrorKind::ResourceExhausted),
            (24, ErrorKind::ResourceExhausted),
            (5, ErrorKind::Unavailable),
        ] {
            let error = Error::io("write", "x", io::Error::from_raw_os_error(errno));
            assert_eq!(error.kind(), kind, "errno {errno}");
        }
    }
}
