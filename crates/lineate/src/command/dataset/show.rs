//! `lineate dataset show`, and how every command shows a training set.

use clap::Args;
use lineate_client::{Client, v1::Dataset};
use serde_json::{Value, json};

use super::super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report, number,
        table::{Side, Table},
    },
};

/// Shows a training set: what it pins, its columns and their hashes.
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
    output.report(&client.show_dataset(&arguments.name).await?)?;
    Ok(Outcome::Done)
}

impl Report for Dataset {
    fn text(&self, page: &mut Page) {
        let size = format!(
            "{} × {}",
            number::counted(self.rows, "row"),
            number::counted(self.columns.len() as u64, "column")
        );
        page.title(&format!("dataset {}/{}@v{}", self.project, self.name, self.version), &size);
        body(page, self);
        for warning in &self.warnings {
            page.note(warning);
        }
    }

    fn json(&self) -> Value {
        document(self)
    }
}

/// What a training set pins, what the join found, and its columns.
pub(crate) fn body(page: &mut Page, dataset: &Dataset) {
    facts(page, dataset);
    page.gap();
    matches(page, dataset);
    columns(page, dataset);
}

/// What the join found in each view.
fn matches(page: &mut Page, dataset: &Dataset) {
    if dataset.matches.is_empty() {
        return;
    }
    let mut table = Table::new([
        ("VIEW", Side::Left),
        ("MODE", Side::Left),
        ("FILLED", Side::Right),
        ("NULL", Side::Right),
        ("EXPIRED", Side::Right),
    ]);
    for found in &dataset.matches {
        table.row([
            found.alias.clone(),
            found.mode.clone(),
            number::count(found.filled),
            number::count(found.null),
            number::count(found.expired),
        ]);
    }
    page.table(&table);
    page.gap();
}

/// What a training set pins.
fn facts(page: &mut Page, dataset: &Dataset) {
    let bytes: u64 = dataset.files.iter().map(|file| file.bytes).sum();
    let mode = if dataset.mode.is_empty() { "each view's default" } else { &dataset.mode };
    page.facts([
        ("service", dataset.service.clone()),
        ("views", dataset.views.join(", ")),
        ("mode", mode.to_owned()),
        ("snapshot", number::time(dataset.snapshot_us)),
        ("files", format!("{} · {}", number::count(dataset.files.len() as u64), number::bytes(bytes))),
        ("record", dataset.record.clone()),
    ]);
}

/// The columns of a training set with their hashes.
fn columns(page: &mut Page, dataset: &Dataset) {
    let mut table = Table::new([("COLUMN", Side::Left), ("TYPE", Side::Left), ("LOGICAL HASH", Side::Left)]);
    for column in &dataset.columns {
        table.row([column.name.clone(), column.r#type.clone(), number::short_hash(&column.logical_hash)]);
    }
    page.table(&table);
}

/// A training set for programs.
pub(crate) fn document(dataset: &Dataset) -> Value {
    let columns: Vec<Value> = dataset
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.r#type,
                "from_spine": column.from_spine,
                "logical_hash": column.logical_hash,
            })
        })
        .collect();
    let files: Vec<Value> = dataset
        .files
        .iter()
        .map(|file| json!({"hash": file.hash, "bytes": file.bytes, "rows": file.rows}))
        .collect();
    let matches: Vec<Value> = dataset
        .matches
        .iter()
        .map(|found| {
            json!({
                "alias": found.alias,
                "view": found.view,
                "mode": found.mode,
                "filled": found.filled,
                "null": found.null,
                "expired": found.expired,
            })
        })
        .collect();
    json!({
        "project": dataset.project,
        "name": dataset.name,
        "version": dataset.version,
        "record": dataset.record,
        "service": dataset.service,
        "views": dataset.views,
        "mode": number::text_or_null(&dataset.mode),
        "snapshot": number::time(dataset.snapshot_us),
        "contract_version": dataset.contract_version,
        "rows": dataset.rows,
        "time_column": dataset.time_column,
        "spine_hash": dataset.spine_hash,
        "commit_time": number::time_or_null(dataset.commit_time_us),
        "columns": columns,
        "files": files,
        "inputs": dataset.inputs,
        "matches": matches,
        "warnings": dataset.warnings,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_client::v1::{DatasetColumn, DatasetFile, ViewMatches};

    use super::*;

    #[test]
    fn a_training_set_shows_what_it_pins() {
        let dataset = Dataset {
            project: "flights".into(),
            name: "delays".into(),
            version: 2,
            record: "b3:77".into(),
            service: "delay_model@v1".into(),
            views: vec!["weather@v1".into(), "route_log@v1".into()],
            snapshot_us: 1_370_088_000_000_000,
            rows: 1_000,
            columns: vec![DatasetColumn {
                name: "weather__temp".into(),
                r#type: "float64".into(),
                logical_hash: "b3:6437b3ac38465133ffb6".into(),
                from_spine: false,
            }],
            files: vec![DatasetFile { hash: "b3:01".into(), bytes: 2_048, rows: 1_000 }],
            matches: vec![ViewMatches {
                alias: "weather".into(),
                view: "weather@v1".into(),
                mode: "known".into(),
                filled: 900,
                null: 99,
                expired: 1,
            }],
            ..Default::default()
        };
        let mut page = Page::default();
        dataset.text(&mut page);
        expect![[r#"
            dataset flights/delays@v2  1,000 rows × 1 column
              service   delay_model@v1
              views     weather@v1, route_log@v1
              mode      each view's default
              snapshot  2013-06-01T12:00:00.000000Z
              files     1 · 2.0 KiB
              record    b3:77

              VIEW      MODE    FILLED   NULL   EXPIRED
              weather   known      900     99         1

              COLUMN          TYPE      LOGICAL HASH
              weather__temp   float64   b3:6437b3ac3846
        "#]]
        .assert_eq(page.as_str());
        assert_eq!(dataset.json()["mode"], Value::Null);
    }
}
