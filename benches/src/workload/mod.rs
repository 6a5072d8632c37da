//! What is measured, one file each: loads, pushes, lookups, training sets.

mod ingest;
mod lookup;
mod push;
mod training;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::{Result, data::Job, report::Section, scale::Scale, server::Server};

/// What workloads run with.
#[derive(Debug)]
pub struct Bench {
    /// The root of the checkout.
    pub root: PathBuf,
    /// A directory for everything that is written, on the disk to be measured.
    pub scratch: PathBuf,
    /// The server's program.
    pub lineate: PathBuf,
    /// This program, which is also the echo server.
    pub own_program: PathBuf,
    /// How much is measured.
    pub scale: Scale,
    /// Generated histories and labels.
    pub payments: Job,
    /// The flights of 2013; or why they are left out.
    pub flights: std::result::Result<Job, Skip>,
    /// A Python with the peers' packages; or why there is none.
    pub python: std::result::Result<PathBuf, Skip>,
    /// The version of Redis; or why there is none.
    pub redis: std::result::Result<String, Skip>,
}

/// Why something does not run: an id listed in `docs/skips.md`, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// The report of it, as the gate reads it.
    pub report: &'static str,
}

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Files in bulk.
    Ingest,
    /// Rows in a stream.
    Push,
    /// Features of some entities, now.
    Lookup,
    /// Labels with features as they were known.
    Training,
}

impl Workload {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Push, Self::Lookup, Self::Training];

    /// Runs it.
    ///
    /// # Errors
    /// The server or a peer fails, or answers wrongly.
    pub async fn run(self, bench: &Bench) -> Result<Section> {
        match self {
            Self::Ingest => ingest::run(bench).await,
            Self::Push => push::run(bench).await,
            Self::Lookup => lookup::run(bench).await,
            Self::Training => training::run(bench).await,
        }
    }
}

impl Bench {
    /// Starts a server on an empty directory, with the definitions of a job.
    ///
    /// # Errors
    /// It does not start.
    pub async fn server(&self, job: &Job) -> Result<Server> {
        Server::start(&self.lineate, &self.scratch, &job.definitions).await
    }
}

impl Skip {
    /// A skip, given as it is reported: the word, the id in brackets, a colon, the reason.
    pub const fn new(report: &'static str) -> Self {
        Self { report }
    }

    /// What does not run, and why, for the page.
    pub fn of(&self, what: &str) -> String {
        let reason = self.report.split_once("]: ").map_or(self.report, |(_, reason)| reason);
        format!("{what}: {reason}")
    }
}

/// Tells what is being done.
pub(crate) fn tell(what: &str) {
    eprintln!("bench: {what}");
}

/// Bytes of a file.
fn bytes_of(path: &Path) -> Result<u64> {
    Ok(path.metadata().map_err(crate::Error::file(path))?.len())
}
