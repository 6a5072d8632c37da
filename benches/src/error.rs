//! Why a benchmark could not be run.

use std::{io, path::PathBuf};

/// A benchmark could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be used.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program cannot be started.
    #[error("cannot run `{program}`")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ended early, or answered something else than it should.
    #[error("`{program}` failed: {why}")]
    Program {
        /// The program.
        program: String,
        /// What it said.
        why: String,
    },
    /// The server refused a request, or is away.
    #[error("the server failed: {0}")]
    Server(#[from] lineate_client::Error),
    /// An answer is not what the data makes it.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// A connection broke.
    #[error("the connection to {peer} broke")]
    Connection {
        /// Who was at the other end.
        peer: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Arrow or Parquet cannot write or read the data.
    #[error("the data cannot be written or read")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow cannot hold the data.
    #[error("the data does not fit its schema")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The echo server cannot be reached or started.
    #[error("the echo server failed")]
    Echo(#[from] tonic::transport::Error),
    /// Somebody asked it to end.
    #[error("stopped before it was done")]
    Stopped,
    /// The Python environment cannot be made.
    #[error("the Python environment cannot be made")]
    Python(#[from] xtask::Error),
}

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Turns what the system said of a file into an error.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Turns what the system said of a program into an error.
    pub(crate) fn run(program: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let program = program.into();
        move |source| Self::Run { program, source }
    }

    /// A program that did not do what it should.
    pub(crate) fn program(program: impl Into<String>, why: impl ToString) -> Self {
        Self::Program { program: program.into(), why: why.to_string() }
    }
}
