//! Messages that mean nothing.

use lineate_types::{ErrorKind, HasKind};

/// A message came that the vocabulary has no value for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field holds what it must not.
    #[error("field `{field}`: {why}")]
    Field {
        /// The field, as the `.proto` file names it.
        field: &'static str,
        /// What was wrong and what would be right.
        why: String,
    },
    /// A field is absent that must be there.
    #[error("field `{field}` is missing")]
    Missing {
        /// The field, as the `.proto` file names it.
        field: &'static str,
    },
}

impl Error {
    /// A field holds what it must not.
    pub fn field(field: &'static str, why: impl ToString) -> Self {
        Self::Field { field, why: why.to_string() }
    }
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
