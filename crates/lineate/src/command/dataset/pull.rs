//! `lineate dataset pull`.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use futures::StreamExt;
use lineate_client::{
    Client,
    v1::{Progress, progress::Unit},
};
use serde_json::{Value, json};

use super::super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report,
        file::{self, RowFile},
        number,
        progress::Bar,
    },
};

const EXAMPLES: &str = "\
Examples:
  lineate dataset pull delays --output delays.parquet
  lineate dataset pull delays@v1 | head -3          NDJSON on standard output

From Python: pyarrow.flight.connect('grpc://127.0.0.1:7401'), then get_flight_info with the path \
['dataset', 'delays'] and do_get for each endpoint.";

/// Writes the rows of a training set, in the order of its spine, to a file or as NDJSON to standard output.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The training set: [project/]name[@vN]
    #[arg(value_name = "NAME[@vN]")]
    name: String,
    /// The file to write: .parquet, .arrow, .csv or .ndjson
    #[arg(long, value_name = "FILE", value_parser = file::named)]
    output: Option<PathBuf>,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    match arguments.output {
        Some(path) => output.report(&into_file(client, &arguments.name, path).await?)?,
        None => {
            let mut rows = client.pull_dataset(&arguments.name).await?;
            while let Some(batch) = rows.next().await {
                file::ndjson(&batch?, output.stream())?;
            }
            output.stream().flush()?;
        }
    }
    Ok(Outcome::Done)
}

/// Rows that were written to a file.
pub(crate) struct Pulled {
    name: String,
    path: PathBuf,
    rows: u64,
    bytes: u64,
    elapsed: Duration,
}

/// Writes the rows of a training set to a file, with a bar.
pub(crate) async fn into_file(client: &Client, name: &str, path: PathBuf) -> Result<Pulled, Error> {
    file::check(&path)?;
    let started = Instant::now();
    let mut rows = client.pull_dataset(name).await?;
    let mut file = RowFile::create(&path, &rows.schema)?;
    let mut bar = Bar::new();
    let mut progress = Progress {
        phase: "writing".to_owned(),
        done: 0,
        total: rows.rows,
        unit: Unit::Rows.into(),
        ..Progress::default()
    };
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        file.write(&batch)?;
        progress.done += batch.num_rows() as u64;
        bar.show(&progress);
    }
    let bytes = file.finish()?;
    Ok(Pulled { name: name.to_owned(), path, rows: progress.done, bytes, elapsed: started.elapsed() })
}

impl Report for Pulled {
    fn text(&self, page: &mut Page) {
        let rows = number::counted(self.rows, "row");
        page.verdict(
            true,
            &format!("{rows} of {} in {}", self.name, self.path.display()),
            &format!("{} · {}", number::bytes(self.bytes), number::duration(self.elapsed)),
        );
    }

    fn json(&self) -> Value {
        json!({
            "dataset": self.name,
            "file": self.path.display().to_string(),
            "rows": self.rows,
            "bytes": self.bytes,
        })
    }
}
