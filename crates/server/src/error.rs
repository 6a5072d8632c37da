//! What can go wrong in serving.

use std::{io, net::SocketAddr};

use lineate_types::{ErrorKind, HasKind};

/// A server cannot start, or a request cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is open to others, and nobody would be asked who they are.
    #[error(
        "{0} is reachable from other machines, and without authentication anyone could read and write; \
         listen on 127.0.0.1, or say --insecure"
    )]
    Exposed(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// A bound was reached.
    #[error("{0}")]
    Busy(String),
    /// The server finishes what is under way and takes nothing new.
    #[error("the server is stopping; repeat the request when it is back, or elsewhere")]
    Stopping,
    /// A message makes no sense.
    #[error(transparent)]
    Message(#[from] lineate_proto::Error),
    /// The node refused or failed.
    #[error(transparent)]
    Node(#[from] lineate_node::Error),
    /// The query layer refused or failed.
    #[error(transparent)]
    Query(#[from] lineate_query::Error),
    /// Rows cannot be taken or given.
    #[error(transparent)]
    Segment(#[from] lineate_segment::Error),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] lineate_ledger::Error),
    /// The catalog refused.
    #[error(transparent)]
    State(#[from] lineate_state::Error),
    /// The store must not be worked on.
    #[error("the store stopped: {0}")]
    Stopped(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Exposed(_) | Self::Invalid(_) => ErrorKind::Invalid,
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => ErrorKind::AlreadyExists,
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Unavailable,
            },
            Self::Busy(_) => ErrorKind::ResourceExhausted,
            Self::Stopping => ErrorKind::Unavailable,
            Self::Message(error) => error.kind(),
            Self::Node(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::Segment(error) => error.kind(),
            Self::Ledger(error) => error.kind(),
            Self::State(error) => error.kind(),
            Self::Stopped(_) => ErrorKind::Corrupt,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Internal | ErrorKind::Corrupt => {
                tracing::error!(kind = %error.kind(), %error, "request failed");
            }
            kind => tracing::debug!(%kind, %error, "request refused"),
        }
        lineate_proto::status::from_error(&error)
    }
}
