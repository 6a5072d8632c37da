//! The tasks of this repository: the gate (`cargo xtask ci`) and its steps.
//!
//! Where to look: [`gate`] holds the steps in order, [`layers`] the table of who may import whom, [`tidy`] the
//! rules for text, manifests and docs, [`python`] the virtual environment of the Python tests.
//!
//! Invariants:
//! - a step has exactly three ends: passed, failed, skipped; a skip carries an id listed in `docs/skips.md`;
//! - `tidy` and `layers` read the checkout and change nothing, so they run as tests too;
//! - nothing here builds with optimisations, and nothing names a machine or a package mirror.

#![expect(clippy::print_stdout, reason = "a task runner speaks on stdout")]

pub mod gate;
pub mod layers;
pub mod process;
pub mod programs;
pub mod python;
pub mod skips;
pub mod tidy;
pub mod tree;

use std::{io, path::PathBuf};

/// Why a task could not do its work. What a step finds wrong with the checkout is not an error but a finding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program could not be started, or its output not be read.
    #[error("cannot run `{program}`; is it installed and on the PATH?")]
    Run {
        /// The command line.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{program}` failed ({status})")]
    Failed {
        /// The command line.
        program: String,
        /// How it ended.
        status: String,
    },
    /// A program printed something else than expected.
    #[error("`{program}` printed something unexpected: {why}")]
    Output {
        /// The command line.
        program: String,
        /// What is wrong with it.
        why: String,
    },
}
