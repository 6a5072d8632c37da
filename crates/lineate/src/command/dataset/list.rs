//! `lineate dataset list`.

use clap::Args;
use lineate_client::{
    Client,
    v1::{Dataset, DatasetListing},
};
use serde_json::{Value, json};

use super::super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report, number,
        table::{Side, Table},
    },
};

/// Lists training sets: the newest version of each name.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Every version, not only the newest
    #[arg(long)]
    all: bool,
    /// Only this project
    #[arg(long, value_name = "PROJECT", default_value = "", hide_default_value = true)]
    project: String,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    output.report(&client.list_datasets(&arguments.project, arguments.all).await?)?;
    Ok(Outcome::Done)
}

impl Report for DatasetListing {
    fn text(&self, page: &mut Page) {
        if self.datasets.is_empty() {
            page.line("no training sets; make one with `lineate dataset create`");
            return;
        }
        let mut table = Table::new([
            ("DATASET", Side::Left),
            ("ROWS", Side::Right),
            ("SERVICE", Side::Left),
            ("MODE", Side::Left),
            ("MADE", Side::Left),
            ("RECORD", Side::Left),
        ]);
        for dataset in &self.datasets {
            table.row([
                format!("{}/{}@v{}", dataset.project, dataset.name, dataset.version),
                number::count(dataset.rows),
                dataset.service.clone(),
                dataset.mode.clone(),
                number::time(dataset.commit_time_us),
                number::short_hash(&dataset.record),
            ]);
        }
        page.table(&table);
    }

    fn json(&self) -> Value {
        let datasets: Vec<Value> = self.datasets.iter().map(summary).collect();
        json!({"datasets": datasets})
    }
}

fn summary(dataset: &Dataset) -> Value {
    json!({
        "project": dataset.project,
        "name": dataset.name,
        "version": dataset.version,
        "record": dataset.record,
        "service": dataset.service,
        "mode": number::text_or_null(&dataset.mode),
        "rows": dataset.rows,
        "snapshot": number::time(dataset.snapshot_us),
        "commit_time": number::time_or_null(dataset.commit_time_us),
    })
}
