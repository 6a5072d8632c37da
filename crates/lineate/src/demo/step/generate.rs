//! Makes the data up and writes it into files.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
};
use serde_json::{Value, json};

use crate::{
    demo::{
        commands::{DEFINITIONS, LATE},
        data::{CUSTOMER, Data, LABEL, PAYMENT, Table as File},
        timing::micros,
    },
    error::Error,
    output::{
        Page, Report, file, number,
        table::{Side, Table},
    },
};

/// The definitions, as they are applied.
pub(in crate::demo) const YAML: &str = include_str!("../payments.yaml");

/// What was written.
pub(in crate::demo) struct Generated {
    customers: u64,
    merchants: u64,
    files: Vec<Written>,
    labels: Labels,
    elapsed: Duration,
}

struct Written {
    name: String,
    about: &'static str,
    rows: u64,
    bytes: u64,
}

/// What is odd about the labels, counted.
struct Labels {
    rows: u64,
    frauds: u64,
    undecided: u64,
    without_customer: u64,
    repeated: u64,
}

/// Writes everything into a directory.
pub(in crate::demo) fn generate(directory: &Path, scale: f64) -> Result<(Data, Generated), Error> {
    let started = Instant::now();
    let data = Data::generate(scale)
        .map_err(|cause| Error::Rows { path: directory.to_owned(), why: cause.to_string() })?;
    let mut files = Vec::new();
    for source in &data.loads {
        for table in &source.files {
            files.push(Written::of(table, source.about, directory)?);
        }
    }
    files.push(Written::of(&data.labels, "labels: payments that were looked at afterwards", directory)?);
    files.push(late(directory, &data.late)?);
    let definitions = directory.join(DEFINITIONS);
    fs::write(&definitions, YAML).map_err(|source| unwritable(&definitions, source))?;
    let generated = Generated {
        customers: data.customers,
        merchants: data.merchants,
        files,
        labels: Labels::of(&data.labels.rows),
        elapsed: started.elapsed(),
    };
    Ok((data, generated))
}

fn late(directory: &Path, rows: &RecordBatch) -> Result<Written, Error> {
    let path = directory.join(LATE);
    let mut bytes = Vec::new();
    file::ndjson(rows, &mut bytes)?;
    fs::write(&path, &bytes).map_err(|source| unwritable(&path, source))?;
    Ok(Written {
        name: LATE.to_owned(),
        about: "card activity of terminals that were offline",
        rows: rows.num_rows() as u64,
        bytes: bytes.len() as u64,
    })
}

fn unwritable(path: &Path, source: std::io::Error) -> Error {
    Error::File { action: "write", path: path.to_owned(), source }
}

impl Generated {
    /// Rows of all files.
    pub(in crate::demo) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

impl Written {
    /// Writes a file.
    fn of(file: &File, about: &'static str, directory: &Path) -> Result<Self, Error> {
        let bytes = file.write(directory)?;
        Ok(Self { name: file.name.clone(), about, rows: file.rows.num_rows() as u64, bytes })
    }
}

impl Labels {
    fn of(rows: &RecordBatch) -> Self {
        let column = |name: &str| rows.column_by_name(name);
        let nulls = |name: &str| column(name).map_or(0, |column| column.null_count() as u64);
        let frauds = column(LABEL).and_then(|column| column.as_boolean_opt());
        let payments = column(PAYMENT).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let repeated = payments.map_or(0, |payments| {
            let distinct: BTreeSet<i64> = payments.values().iter().copied().collect();
            (payments.len() - distinct.len()) as u64
        });
        let frauds = frauds.map_or(0, |labels| labels.true_count() as u64);
        let rows = rows.num_rows() as u64;
        Self { rows, frauds, undecided: nulls(LABEL), without_customer: nulls(CUSTOMER), repeated }
    }
}

impl Report for Generated {
    fn text(&self, page: &mut Page) {
        let mut table = Table::new([
            ("FILE", Side::Left),
            ("ROWS", Side::Right),
            ("SIZE", Side::Right),
            ("WHAT IT HOLDS", Side::Left),
        ]);
        for file in &self.files {
            table.row([
                file.name.clone(),
                number::count(file.rows),
                number::bytes(file.bytes),
                file.about.to_owned(),
            ]);
        }
        page.table(&table);
        let labels = &self.labels;
        page.gap();
        page.verdict(
            true,
            &format!(
                "{} of {} customers and {} merchants",
                number::counted(self.rows(), "row"),
                number::count(self.customers),
                number::count(self.merchants)
            ),
            &number::duration(self.elapsed),
        );
        page.note(&format!(
            "labels, as they come: {} frauds, {} undecided, {} of guests, {} sent twice, in no order",
            number::count(labels.frauds),
            number::count(labels.undecided),
            number::count(labels.without_customer),
            number::count(labels.repeated),
        ));
    }

    fn json(&self) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|file| json!({"name": file.name, "rows": file.rows, "bytes": file.bytes, "about": file.about}))
            .collect();
        let labels = &self.labels;
        json!({
            "customers": self.customers,
            "merchants": self.merchants,
            "rows": self.rows(),
            "files": files,
            "labels": {
                "rows": labels.rows,
                "frauds": labels.frauds,
                "undecided": labels.undecided,
                "without_customer": labels.without_customer,
                "repeated": labels.repeated,
            },
            "elapsed_us": micros(self.elapsed),
        })
    }
}
