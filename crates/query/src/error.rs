//! What can go wrong when a training set is made, read or verified.

use lineate_state::meta::CONTRACT_VERSION;
use lineate_types::{ErrorKind, HasKind};

/// A training set cannot be made, read or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// A bound was reached.
    #[error("{0}")]
    ResourceExhausted(String),
    /// The stored spine is not what was recorded.
    #[error("the stored spine is damaged: {0}")]
    Spine(String),
    /// A stored file of the training set is not what was recorded.
    #[error("the stored output is damaged: {0}")]
    Output(String),
    /// The training set was made by rules that this release does not have.
    #[error(
        "dataset {dataset} was made by version {found} of the point-in-time contract; this release knows version \
         {CONTRACT_VERSION}, verify with the one that made it"
    )]
    Contract {
        /// The training set, `project/name@vN`.
        dataset: String,
        /// The version of the contract it was made by.
        found: u32,
    },
    /// The node failed.
    #[error(transparent)]
    Node(#[from] lineate_node::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::Contract { .. } => ErrorKind::Invalid,
            Self::ResourceExhausted(_) => ErrorKind::ResourceExhausted,
            Self::Spine(_) | Self::Output(_) => ErrorKind::Corrupt,
            Self::Node(error) => error.kind(),
        }
    }
}

/// Everything below comes through the node's error, which knows its kind.
macro_rules! through_node {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Node(error.into())
            }
        })*
    };
}

through_node!(
    lineate_storage::Error,
    lineate_segment::Error,
    lineate_state::Error,
    arrow::error::ArrowError,
    tokio::task::JoinError
);
