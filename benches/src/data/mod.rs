//! What is stored and asked for: generated payments and, where there is the data, the flights of 2013.

pub mod file;
pub mod flights;
pub mod payments;

use std::path::{Path, PathBuf};

/// Files of history, the definitions they fit, and labels to join with them.
#[derive(Debug, Clone)]
pub struct Job {
    /// What the data is, in a word.
    pub name: &'static str,
    /// The definitions, YAML.
    pub definitions: PathBuf,
    /// The service whose features are wanted.
    pub service: &'static str,
    /// One file of history for each view.
    pub logs: Vec<Log>,
    /// The labels.
    pub spine: PathBuf,
}

/// The history of one view.
#[derive(Debug, Clone)]
pub struct Log {
    /// The view.
    pub view: &'static str,
    /// Its rows, a Parquet file.
    pub path: PathBuf,
}

impl Job {
    /// Every file that a training set reads: the histories, then the spine.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.logs.iter().map(|log| log.path.as_path()).chain([self.spine.as_path()])
    }
}
