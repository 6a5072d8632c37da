//! The one error of this crate.

use lineate_types::{ErrorKind, HasKind, Hash, KeyError};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A run, a segment or a foreign file cannot be written, read or converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// A bound was reached.
    #[error("{what}: {actual} is more than the {limit} allowed")]
    TooMuch {
        /// What was counted.
        what: &'static str,
        /// How much there is.
        actual: u64,
        /// How much there may be.
        limit: u64,
    },
    /// Stored bytes are not what was written.
    #[error("segment {segment} is damaged: {why}")]
    Corrupt {
        /// The blob that is damaged: the Parquet file or its key index.
        segment: Hash,
        /// What is wrong with it.
        why: String,
    },
    /// A foreign table has a column nobody asked for.
    #[error("column `{column}` is not in {owner}{hint}")]
    UnknownColumn {
        /// The column.
        column: String,
        /// What it was looked for in: a view version, a spine, a struct.
        owner: String,
        /// The nearest name, as a question, or nothing.
        hint: String,
    },
    /// A foreign table lacks a column.
    #[error("column `{column}` ({expected}) of {owner} is missing; every row carries all columns{hint}")]
    MissingColumn {
        /// The column.
        column: String,
        /// Its type.
        expected: String,
        /// What it belongs to: a view version, a spine, a struct.
        owner: String,
        /// The nearest name that is there, as a question, or nothing.
        hint: String,
    },
    /// A foreign column's type cannot become the column's type exactly.
    #[error("column `{column}`: {why}")]
    ColumnType {
        /// The column, with the path inside it.
        column: String,
        /// What was expected and what was found.
        why: String,
    },
    /// A foreign value cannot become the column's type exactly.
    #[error("{place}, column `{column}`: {why}")]
    Value {
        /// The row or line, counted from 1.
        place: String,
        /// The column, with the path inside it.
        column: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A foreign file or stream cannot be read.
    #[error("{0}")]
    Format(String),
    /// Something is wrong in a foreign file.
    #[error("{file}: {cause}")]
    InFile {
        /// The file's name.
        file: String,
        /// What is wrong.
        #[source]
        cause: Box<Error>,
    },
    /// An entity key is malformed or too long.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Columns do not fit together, which the code above should have made impossible.
    #[error("columns do not fit together: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A blob cannot be read or written.
    #[error(transparent)]
    Storage(#[from] lineate_storage::Error),
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_)
            | Self::Key(_)
            | Self::UnknownColumn { .. }
            | Self::MissingColumn { .. }
            | Self::ColumnType { .. }
            | Self::Value { .. }
            | Self::Format(_) => ErrorKind::Invalid,
            Self::InFile { cause, .. } => cause.kind(),
            Self::TooMuch { .. } => ErrorKind::ResourceExhausted,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Arrow(_) => ErrorKind::Internal,
            Self::Storage(cause) => cause.kind(),
        }
    }
}

/// The failure to write into an open blob.
pub(crate) fn write_error(source: std::io::Error) -> Error {
    lineate_storage::Error::io("write a segment in", "the blob store", source).into()
}
