//! Why a command failed, and with which exit code.

use std::{io, path::PathBuf};

use lineate_client::v1::ErrorDetail;
use lineate_types::{ErrorKind, HasKind};

use crate::command::{INTERRUPTED, Written};

/// A command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The command line contradicts itself, or what it names cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The node refused, or there is none.
    #[error(transparent)]
    Client(#[from] lineate_client::Error),
    /// A push broke off; what was written before stays.
    #[error("{source}; {written}")]
    Push {
        /// What was written.
        written: Box<Written>,
        /// Why it broke off.
        #[source]
        source: lineate_client::Error,
    },
    /// A push was interrupted; what was written before stays.
    #[error("interrupted; {written}, and perhaps rows that were sent and not acknowledged")]
    Interrupted {
        /// What was written.
        written: Box<Written>,
    },
    /// The store in this process cannot be opened or served.
    #[error(transparent)]
    Server(#[from] lineate_server::Error),
    /// A local file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Rows cannot be written in the form asked for.
    #[error("cannot write {}: {why}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A node answered with a record that is not what it is named by, or that this release cannot read.
    #[error("record {id} cannot be shown: {why}")]
    Record {
        /// The id it is named by.
        id: String,
        /// Why not.
        why: String,
    },
    /// Standard output is gone or full.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl Error {
    /// 2 for a wrong command line or configuration, 130 for an interrupt, 1 for everything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Client(lineate_client::Error::Address { .. })
            | Self::Server(lineate_server::Error::Exposed(_)) => 2,
            Self::Interrupted { .. } => INTERRUPTED,
            _ => 1,
        }
    }

    /// Whether the reader of standard output has left, as `| head` does: no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error as a node would describe it.
    pub(crate) fn detail(&self) -> ErrorDetail {
        match self {
            Self::Client(error) => error.detail(),
            Self::Push { written, source } => {
                let mut detail = source.detail();
                if written.lines > 0 || refuses_a_line(source) {
                    detail.message = format!("{}; {written}", detail.message);
                }
                detail.details.extend(written.figures());
                detail
            }
            Self::Interrupted { written } => {
                let mut detail = lineate_proto::status::detail(self);
                detail.details.extend(written.figures());
                detail
            }
            other => lineate_proto::status::detail(other),
        }
    }

    /// What to do about it, where that is known here and not by the node.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Push { written, source } => written.hint(refuses_a_line(source)),
            Self::Interrupted { written } => written.hint(false),
            Self::Client(lineate_client::Error::Unreachable { .. }) => Some(
                "start one with `lineate serve --data-dir DIR`, name another with --addr, or use --data-dir DIR \
                 without a server"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Whether a row was refused: then neither its batch nor any after it was written.
fn refuses_a_line(error: &lineate_client::Error) -> bool {
    matches!(error, lineate_client::Error::Refused(_)) && error.kind() == ErrorKind::Invalid
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Usage(_) | Self::Rows { .. } => ErrorKind::Invalid,
            Self::Record { .. } => ErrorKind::Corrupt,
            Self::Interrupted { .. } => ErrorKind::Unavailable,
            Self::Client(error) | Self::Push { source: error, .. } => error.kind(),
            Self::Server(error) => error.kind(),
            Self::File { source, .. } | Self::Output(source) => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                io::ErrorKind::StorageFull => ErrorKind::ResourceExhausted,
                _ => ErrorKind::Internal,
            },
        }
    }
}
