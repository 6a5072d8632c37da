//! `lineate push`.

use std::{cell::RefCell, collections::VecDeque, fmt, path::PathBuf, pin::pin, time::Instant};

use clap::Args;
use futures::TryStreamExt;
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
durable when acknowledged: if a later line is refused, the batches before it stay written, and it is
said up to which line that is. A connection that breaks is opened again, and nothing is written twice."#;

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
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome, Error> {
    let mut written = Written { view: arguments.view.clone(), ..Written::default() };
    let mut interrupted = pin!(interrupted);
    let reader: Box<dyn AsyncRead + Send + Unpin> = match arguments.file.to_str() {
        Some("-") => Box::new(tokio::io::stdin()),
        name => {
            written.file = name.map(str::to_owned);
            // Opening a pipe waits for whoever writes to it.
            let opened = tokio::select! {
                opened = File::open(&arguments.file) => opened,
                () = &mut interrupted => return Err(Error::Interrupted { written: Box::new(written) }),
            };
            let path = arguments.file.clone();
            Box::new(opened.map_err(|source| Error::File { action: "read", path, source })?)
        }
    };
    let started = Instant::now();
    let mut bar = Bar::new();
    let mut progress = Progress {
        phase: "pushing".to_owned(),
        done: 0,
        total: None,
        unit: Unit::Rows.into(),
        ..Progress::default()
    };
    // The last lines of the batches that were not answered yet, oldest first.
    let unanswered = RefCell::new(VecDeque::new());
    let batches =
        rows::batches(reader).inspect_ok(|batch| unanswered.borrow_mut().push_back(rows::last_line(batch)));
    let pushing = client.push(&arguments.view, batches, |ack| {
        progress.done += ack.rows;
        written.rows += ack.rows;
        written.lines = unanswered.borrow_mut().pop_front().unwrap_or(written.lines);
        bar.show(&progress);
    });
    let pushed = tokio::select! {
        pushed = pushing => Some(pushed),
        () = &mut interrupted => None,
    };
    drop(bar);
    let Some(pushed) = pushed else { return Err(Error::Interrupted { written: Box::new(written) }) };
    let summary = pushed.map_err(|source| Error::Push { written: Box::new(written), source })?;
    output.report(&Pushed { view: arguments.view, summary, elapsed: started.elapsed() })?;
    Ok(Outcome::Done)
}

/// What a push wrote before it failed: all rows of its first lines.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The view, as it was named.
    pub(crate) view: String,
    /// The file, if it was one.
    pub(crate) file: Option<String>,
    /// Rows that are durable.
    pub(crate) rows: u64,
    /// The last line of them, from 1; 0 if there is none.
    pub(crate) lines: u64,
}

impl Written {
    /// For programs.
    pub(crate) fn figures(&self) -> [(String, String); 2] {
        [("rows_written", self.rows), ("lines_written", self.lines)]
            .map(|(name, figure)| (name.to_owned(), figure.to_string()))
    }

    /// How to go on, if there is something not to repeat. `mend` is for a line that was refused.
    pub(crate) fn hint(&self, mend: bool) -> Option<String> {
        if self.lines == 0 {
            return None;
        }
        let (next, file) = (self.lines + 1, self.file.as_deref().unwrap_or("FILE"));
        let mend = if mend { "mend the line, then " } else { "" };
        Some(format!(
            "{mend}push from line {next} on: `tail -n +{next} {file} | lineate push {} -`",
            self.view
        ))
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines {
            0 => f.write_str("nothing is written"),
            lines => {
                let rows = number::counted(self.rows, "row");
                let verb = if self.rows == 1 { "is" } else { "are" };
                write!(f, "the {rows} of the lines 1 to {lines} {verb} written")
            }
        }
    }
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
