//! What can go wrong between a caller and a node.

use std::{io, path::PathBuf};

use lineate_proto::{status, v1::ErrorDetail};
use lineate_types::{ErrorKind, HasKind};

/// A request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node answered with an error.
    #[error("{}", .0.message)]
    Refused(Box<ErrorDetail>),
    /// Nothing answers there.
    #[error("no lineate server answers at {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
    /// The address cannot be one.
    #[error("`{address}` is not an address; write HOST:PORT, such as {}", crate::DEFAULT_ADDRESS)]
    Address {
        /// What was given.
        address: String,
    },
    /// A local file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The rows to push cannot be read.
    #[error("cannot read the rows to push")]
    Rows(#[source] io::Error),
    /// The node's answer makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Answer(String),
}

impl Error {
    /// The details as a node would send them, for output that is the same for local and remote errors.
    pub fn detail(&self) -> ErrorDetail {
        match self {
            Self::Refused(detail) => (**detail).clone(),
            other => status::detail(other),
        }
    }

    /// The way to the server broke: what was sent may or may not have had its effect.
    pub(crate) fn lost(why: impl std::fmt::Display) -> Self {
        Self::Refused(Box::new(ErrorDetail {
            kind: ErrorKind::Unavailable.as_str().to_owned(),
            message: format!("the connection to the server was lost: {why}"),
            ..ErrorDetail::default()
        }))
    }

    pub(crate) fn answer(why: impl ToString) -> Self {
        Self::Answer(why.to_string())
    }
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(detail) => status::kind_of_detail(detail),
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Address { .. } => ErrorKind::Invalid,
            Self::File { source, .. } | Self::Rows(source) => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Invalid,
            },
            Self::Answer(_) => ErrorKind::Internal,
        }
    }
}

impl From<tonic::Status> for Error {
    fn from(refusal: tonic::Status) -> Self {
        // A status with a source was made on this side of the wire: the transport failed, under codes that vary.
        if let Some(cause) = std::error::Error::source(&refusal) {
            return Self::lost(root(cause));
        }
        Self::Refused(Box::new(status::to_detail(&refusal)))
    }
}

impl From<lineate_proto::Error> for Error {
    fn from(error: lineate_proto::Error) -> Self {
        Self::answer(error)
    }
}

/// The innermost cause, which says most of a broken transport.
fn root<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}
