//! `lineate dataset create`.

use std::{path::PathBuf, time::Instant};

use clap::{Args, ValueEnum};
use lineate_client::{
    Client, UploadSource,
    v1::{CreateDatasetRequest, Dataset, Progress},
};
use lineate_types::TimestampUs;
use serde_json::{Value, json};

use super::{super::Outcome, pull, show};
use crate::{
    error::Error,
    output::{Format, Output, Page, Report, failure, file, number, progress::Bar},
};

const EXAMPLES: &str = "\
Examples:
  lineate dataset create delays --spine labels.parquet --service delay_model
  lineate dataset create delays --spine labels.csv --service delay_model@v2 --time departure \\
      --mode event --output delays.parquet

The spine has a row for each label: the keys of the service's views, a time, and any other columns, which are \
kept. For every row and view the answer is the row with the latest event time at or before the label's time \
and within the view's ttl. Modes: known (also its created time, so that no backfill leaks into the past; the \
default where the view has one; a row without one is known from its commit), event (no such cut; the default \
of other views), served (also committed to this store by then).";

/// Joins labels with features as they were known at each label's time, and records what it was made from.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The training set: [project/]name; every call makes a new version
    #[arg(value_name = "NAME")]
    name: String,
    /// The labels: Parquet, CSV, NDJSON or Arrow
    #[arg(long, value_name = "FILE")]
    spine: PathBuf,
    /// The service: [project/]name[@vN]
    #[arg(long, value_name = "SERVICE")]
    service: String,
    /// The spine's column of label times
    #[arg(long, value_name = "COLUMN", default_value = "event_timestamp")]
    time: String,
    /// Which rows count as known; by default what each view's own is
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Only rows committed to this store by then; by default now
    #[arg(long, value_name = "TIME")]
    snapshot: Option<TimestampUs>,
    /// Also write the rows there: .parquet, .arrow, .csv or .ndjson
    #[arg(long, value_name = "FILE", value_parser = file::named)]
    output: Option<PathBuf>,
}

/// Which rows count as known at a label's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Known,
    Event,
    Served,
}

/// What to join.
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) spine: PathBuf,
    pub(crate) service: String,
    pub(crate) time_column: String,
    pub(crate) mode: String,
    pub(crate) snapshot: Option<TimestampUs>,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    if let Some(path) = &arguments.output {
        file::check(path)?;
    }
    let started = Instant::now();
    let mode = match arguments.mode {
        None => "",
        Some(Mode::Known) => "known",
        Some(Mode::Event) => "event",
        Some(Mode::Served) => "served",
    };
    let recipe = Recipe {
        name: arguments.name,
        spine: arguments.spine,
        service: arguments.service,
        time_column: arguments.time,
        mode: mode.to_owned(),
        snapshot: arguments.snapshot,
    };
    let dataset = create(client, recipe, output.format()).await?;
    let elapsed = started.elapsed();
    let pulled = match arguments.output {
        Some(path) => {
            let name = format!("{}/{}@v{}", dataset.project, dataset.name, dataset.version);
            Some(pull::into_file(client, &name, path).await?)
        }
        None => None,
    };
    output.report(&Created { dataset, pulled, elapsed })?;
    Ok(Outcome::Done)
}

/// Uploads the spine and makes the training set, with a bar. Warnings come before it is made.
pub(crate) async fn create(client: &Client, recipe: Recipe, format: Format) -> Result<Dataset, Error> {
    let mut bar = Bar::new();
    let bytes = std::fs::metadata(&recipe.spine).ok().map(|metadata| metadata.len());
    let sent = bar.bytes("sending the spine", bytes);
    let spine_name = recipe.spine.display().to_string();
    let spine = client.upload(UploadSource::File(recipe.spine), sent).await?;
    let request = CreateDatasetRequest {
        name: recipe.name,
        service: recipe.service,
        spine_upload_id: spine.upload_id,
        time_column: recipe.time_column,
        mode: recipe.mode,
        snapshot_us: recipe.snapshot.map(|time| time.0),
        spine_name,
    };
    let on_progress = |progress: Progress| match progress.warning.as_str() {
        "" => bar.show(&progress),
        warning => failure::warn(warning, format),
    };
    Ok(client.create_dataset(request, on_progress).await?)
}

/// A training set that was made, and perhaps written to a file.
pub(crate) struct Created {
    pub(crate) dataset: Dataset,
    pub(crate) pulled: Option<pull::Pulled>,
    pub(crate) elapsed: std::time::Duration,
}

impl Report for Created {
    fn text(&self, page: &mut Page) {
        let dataset = &self.dataset;
        let rate = dataset.rows as f64 / self.elapsed.as_secs_f64().max(1e-6);
        page.verdict(
            true,
            &format!(
                "dataset {}@v{}: {} × {}",
                dataset.name,
                dataset.version,
                number::counted(dataset.rows, "row"),
                number::counted(dataset.columns.len() as u64, "column")
            ),
            &format!("{} · {} rows/s", number::duration(self.elapsed), number::count(rate as u64)),
        );
        show::body(page, dataset);
        if let Some(pulled) = &self.pulled {
            page.gap();
            pulled.text(page);
        }
    }

    fn json(&self) -> Value {
        let mut document = show::document(&self.dataset);
        if let Some(pulled) = &self.pulled
            && let Some(members) = document.as_object_mut()
        {
            members.insert("output".to_owned(), json!(pulled.json()));
        }
        document
    }
}
