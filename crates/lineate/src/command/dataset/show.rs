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
        facts(page, self);
        page.gap();
        columns(page, self);
    }

    fn json(&self) -> Value {
        document(self)
    }
}

/// What a training set pins.
pub(crate) fn facts(page: &mut Page, dataset: &Dataset) {
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
pub(crate) fn columns(page: &mut Page, dataset: &Dataset) {
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
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_client::v1::{DatasetColumn, DatasetFile};

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

              COLUMN          TYPE      LOGICAL HASH
              weather__temp   float64   b3:6437b3ac3846
        "#]]
        .assert_eq(page.as_str());
        assert_eq!(dataset.json()["mode"], Value::Null);
    }
}
