//! `lineate push`.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use lineate_client::{
    Client, PushSummary,
    v1::{Progress, progress::Unit},
};
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncRead};

use super::Outcome;
use crate::{
    error::Error,
    output::{Output, Page, Report, number, progress::Bar},
    rows,
};

const EXAMPLES: &str = r#"Examples:
  lineate push weather rows.ndjson
  tail -f rows.ndjson | lineate push weather
  echo '{"origin":"JFK","event_timestamp":"2013-06-01T12:00:00Z","temp":21.5}' | lineate push weather

Each line is an object with every column of the view; `"__deleted": true` ends the key and
needs no features. Rows are sent in bounded batches, each atomic in every shard it touches, and are
durable when acknowledged: if a later line is refused, the batches before it stay written. A
connection that breaks is opened again, and nothing is written twice."#;

/// Writes rows into a feature view as they come: JSON objects, one a line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The view: [project/]name[@vN]
    #[arg(value_name = "VIEW")]
    view: String,
    /// The file to read, or - for standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let reader: Box<dyn AsyncRead + Send + Unpin> = match arguments.file.to_str() {
        Some("-") => Box::new(tokio::io::stdin()),
        _ => Box::new(File::open(&arguments.file).await.map_err(|source| Error::File {
            action: "read",
            path: arguments.file.clone(),
            source,
        })?),
    };
    let started = Instant::now();
    let mut bar = Bar::new();
    let mut progress =
        Progress { phase: "pushing".to_owned(), done: 0, total: None, unit: Unit::Rows.into() };
    let summary = client
        .push(&arguments.view, rows::batches(reader), |ack| {
            progress.done += ack.rows;
            bar.show(&progress);
        })
        .await?;
    drop(bar);
    output.report(&Pushed { view: arguments.view, summary, elapsed: started.elapsed() })?;
    Ok(Outcome::Done)
}

/// A finished push and how long it took to the caller.
pub(crate) struct Pushed {
    pub(crate) view: String,
    pub(crate) summary: PushSummary,
    pub(crate) elapsed: std::time::Duration,
}

impl Report for Pushed {
    fn text(&self, page: &mut Page) {
        let summary = &self.summary;
        let rate = summary.rows as f64 / self.elapsed.as_secs_f64().max(1e-6);
        let beside = format!("{} · {} rows/s", number::duration(self.elapsed), number::count(rate as u64));
        page.verdict(true, &format!("{} into {}", number::counted(summary.rows, "row"), self.view), &beside);
        let repeated =
            if summary.duplicates == 0 { String::new() } else { number::count(summary.duplicates) };
        page.facts([
            ("batches", number::count(summary.batches)),
            ("repeated", repeated),
            ("committed", summary.last_commit_us.map_or(String::new(), number::time)),
            ("writer", format!("w{} epoch {}", summary.writer.writer_id, summary.writer.epoch)),
        ]);
    }

    fn json(&self) -> Value {
        let summary = &self.summary;
        json!({
            "view": self.view,
            "rows": summary.rows,
            "batches": summary.batches,
            "repeated_batches": summary.duplicates,
            "last_commit_time": summary.last_commit_us.map(number::time),
            "writer": {"id": summary.writer.writer_id, "epoch": summary.writer.epoch},
        })
    }
}
