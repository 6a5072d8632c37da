//! What can go wrong in a run: the tools, or the product.

use std::{io, path::PathBuf};

use lineate_types::{ErrorKind, HasKind};

/// A run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The product broke a promise: what a run is made to find.
    #[error("broken promise: {0}")]
    Violation(String),
    /// The server did not start.
    #[error("the server did not start: {why}; its last words were:\n{log}")]
    Start {
        /// What happened instead.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// A request failed that should not have.
    #[error("{doing} failed")]
    Request {
        /// What was asked for.
        doing: String,
        /// The refusal.
        #[source]
        source: lineate_client::Error,
    },
    /// A tool of the run failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// This machine cannot run the scenario.
    #[error("this machine cannot do it: {0}")]
    Unable(String),
    /// A part of the run ended by itself.
    #[error("a part of the run failed: {0}")]
    Harness(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A broken promise.
    pub fn violation(what: impl Into<String>) -> Self {
        Self::Violation(what.into())
    }

    /// A failed tool.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }

    /// Puts what was asked for before a refusal.
    pub fn asking(doing: impl Into<String>) -> impl FnOnce(lineate_client::Error) -> Self {
        |source| Self::Request { doing: doing.into(), source }
    }

    /// The error and all its causes, in a line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Violation(_) => ErrorKind::Corrupt,
            Self::Request { source, .. } => source.kind(),
            Self::Unable(_) | Self::Start { .. } => ErrorKind::Unavailable,
            Self::Io { .. } | Self::Harness(_) => ErrorKind::Internal,
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(cause: tokio::task::JoinError) -> Self {
        Self::Harness(cause.to_string())
    }
}
