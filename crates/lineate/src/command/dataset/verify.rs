//! `lineate dataset verify`.

use std::time::Instant;

use clap::Args;
use lineate_client::Client;

use super::super::{Outcome, verify::Verdict};
use crate::{
    error::Error,
    output::{Output, progress::Bar},
};

/// Runs the join again from the stored history, never from the stored output, and compares every column's
/// hash; then re-hashes the stored files.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The training set: [project/]name[@vN]
    #[arg(value_name = "NAME[@vN]")]
    name: String,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut bar = Bar::new();
    let report = client.verify_dataset(&arguments.name, |progress| bar.show(&progress)).await?;
    drop(bar);
    let subject = format!("dataset {}", arguments.name);
    let verdict = Verdict { subject, report, elapsed: started.elapsed() };
    output.report(&verdict)?;
    Ok(verdict.outcome())
}
