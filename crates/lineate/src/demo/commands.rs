//! The commands that do what the demo does. They are shown beside what they would print, so they must be right: a
//! test hands each of them to the real command line.

use std::path::Path;

use super::data::{CUSTOMER, Data, MERCHANT, Pair, Source};

/// The names of what the demo makes.
pub(super) const SERVICE: &str = "fraud_model";
/// The training set as it was known.
pub(super) const DATASET: &str = "fraud";
/// The training set with what was found out later.
pub(super) const LEAKING: &str = "fraud_hindsight";
/// The model.
pub(super) const MODEL: &str = "fraud";
/// The alias that points at the model in use.
pub(super) const ALIAS: &str = "production";
/// The file of definitions.
pub(super) const DEFINITIONS: &str = "payments.yaml";
/// The file of late rows.
pub(super) const LATE: &str = "late_activity.ndjson";

/// A directory for those who want to look around afterwards.
const OWN_DIRECTORY: &str = "lineate-demo";

pub(super) fn define() -> Vec<String> {
    vec![format!("lineate apply {DEFINITIONS}")]
}

pub(super) fn ingest(data: &Data) -> Vec<String> {
    let files = |source: &Source| match source.files.as_slice() {
        [only] => only.name.clone(),
        _ => format!("{}_*.parquet", source.view),
    };
    data.loads.iter().map(|source| format!("lineate ingest {} {}", source.view, files(source))).collect()
}

pub(super) fn look_up(pair: &Pair) -> Vec<String> {
    vec![format!("lineate get {SERVICE} --entity {}", entity(pair))]
}

pub(super) fn push() -> Vec<String> {
    vec![format!("lineate push card_activity {LATE}")]
}

pub(super) fn build() -> Vec<String> {
    let create = |name: &str, more: &str| {
        format!("lineate dataset create {name} --spine labels.parquet --service {SERVICE}{more}")
    };
    vec![create(DATASET, ""), create(LEAKING, " --mode event")]
}

pub(super) fn register() -> Vec<String> {
    vec![
        format!("lineate model register {MODEL} --dataset {DATASET}@v1 --artifact model.json --metric auc=…"),
        format!("lineate model promote {MODEL}@v1 {ALIAS}"),
    ]
}

pub(super) fn trace() -> Vec<String> {
    vec![format!("lineate trace model:{MODEL}@v1")]
}

pub(super) fn verify() -> Vec<String> {
    vec![
        format!("lineate dataset verify {DATASET}@v1"),
        format!("lineate verify model:{MODEL}@v1"),
        "lineate verify".to_owned(),
    ]
}

/// What to try next, with what it does. Where the store is gone, the first command makes it again.
pub(super) fn next(store: &Path, kept: bool, pair: &Pair) -> Vec<(String, &'static str)> {
    let directory = if kept { store.display().to_string() } else { OWN_DIRECTORY.to_owned() };
    let mut commands = Vec::new();
    if !kept {
        commands.push((format!("lineate demo --data-dir {directory}"), "the same again, and keep it"));
    }
    let on = |rest: String| format!("lineate --data-dir {directory} {rest}");
    commands.extend([
        (on(format!("get {SERVICE} --entity {}", entity(pair))), "features of one customer at one merchant"),
        (on(format!("dataset show {DATASET}")), "what the training set pins"),
        (on(format!("dataset pull {DATASET} --output {DATASET}.parquet")), "its rows, for your own tools"),
        (on(format!("trace model:{MODEL} --format dot")), "the lineage, for Graphviz"),
        (on(format!("diff dataset:{DATASET} dataset:{LEAKING}")), "how two training sets differ in origin"),
        (on("verify".to_owned()), "re-hash and re-prove everything"),
        (format!("lineate serve --data-dir {directory}"), "gRPC, Arrow Flight and HTTP on 127.0.0.1:7401"),
    ]);
    commands
}

fn entity(pair: &Pair) -> String {
    format!("{CUSTOMER}={},{MERCHANT}={}", pair.customer_id, pair.merchant_id)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_that_is_shown_is_one() {
        let data = Data::generate(0.01).expect("generates");
        let mut commands =
            [define(), ingest(&data), look_up(&data.kept), push(), build(), trace(), verify()].concat();
        commands.extend(register().into_iter().map(|line| line.replace('…', "0.8")));
        for kept in [true, false] {
            commands.extend(next(Path::new("/tmp/x"), kept, &data.removed).into_iter().map(|(line, _)| line));
        }
        for line in commands {
            if let Err(refusal) = Cli::try_parse_from(line.split(' ')) {
                panic!("`{line}`: {refusal}");
            }
        }
    }
}
