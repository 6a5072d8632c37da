//! `lineate init`.

use std::path::PathBuf;

use clap::Args;
use lineate_server::{Embedded, Opened};
use lineate_types::limits;
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    cli::Global,
    error::Error,
    output::{Output, Page, Report, number},
};

const EXAMPLES: &str = "\
Examples:
  lineate init --data-dir store
  lineate init --data-dir store --shards 4

The number of shards is fixed for the life of a store. `apply` and `serve` make a store with the default number \
if there is none; other commands need one.";

/// Makes a store in a directory.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Shards: how many parts the rows are kept in, 1 to 1024 [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::BUCKETS)))]
    shards: Option<u16>,
}

pub(crate) async fn run(
    arguments: Arguments,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let directory = super::required_directory(global, "init")?;
    let shards = arguments.shards.unwrap_or(limits::DEFAULT_SHARDS);
    let embedded = Embedded::open(directory.clone(), Some(shards)).await?;
    let made = Made { directory, opened: embedded.opened().clone() };
    embedded.close().await?;
    if let Some(asked) = arguments.shards.filter(|asked| *asked != made.opened.shards) {
        return Err(Error::Usage(format!(
            "the store in {} has {} shards already, not {asked}; their number is fixed when a store is made",
            made.directory.display(),
            made.opened.shards
        )));
    }
    output.report(&made)?;
    Ok(Outcome::Done)
}

struct Made {
    directory: PathBuf,
    opened: Opened,
}

impl Report for Made {
    fn text(&self, page: &mut Page) {
        let verb = if self.opened.created { "made a store in" } else { "there is a store in" };
        page.verdict(true, &format!("{verb} {}", self.directory.display()), "");
        page.facts([
            ("store", self.opened.store_id.clone()),
            ("shards", number::count(self.opened.shards.into())),
        ]);
    }

    fn json(&self) -> Value {
        json!({
            "data_dir": self.directory.display().to_string(),
            "created": self.opened.created,
            "store_id": self.opened.store_id,
            "shards": self.opened.shards,
        })
    }
}
