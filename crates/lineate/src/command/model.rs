//! `lineate model`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, Subcommand};
use lineate_client::{
    Client, UploadSource,
    v1::{Model, ModelListing, Promotion, RegisterModelRequest},
};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    error::Error,
    output::{
        Output, Page, Report, number,
        progress::Bar,
        table::{Side, Table},
    },
};

const REGISTER_EXAMPLES: &str = "\
Examples:
  lineate model register late --dataset delays@v1 --artifact model.joblib \\
      --code $(git rev-parse HEAD) --param trees=200 --metric auc=0.741 --metric log_loss=0.42";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  lineate model promote late@v2 production";

/// Registers, lists and promotes models.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record a trained model: on what, by which code, how good
    #[command(after_help = REGISTER_EXAMPLES)]
    Register(Register),
    /// List models: the newest version of each name
    List(List),
    /// Point an alias at one version of a model
    #[command(after_help = PROMOTE_EXAMPLES)]
    Promote(Promote),
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The model: [project/]name; every call makes a new version
    #[arg(value_name = "NAME")]
    name: String,
    /// The training set it was trained on; repeat it for more
    #[arg(long = "dataset", required = true, value_name = "NAME[@vN]")]
    datasets: Vec<String>,
    /// The model's file, to keep beside its record
    #[arg(long, value_name = "FILE")]
    artifact: Option<PathBuf>,
    /// The revision of the code that trained it
    #[arg(long, value_name = "REV")]
    code: Option<String>,
    /// What the training was given; repeat it for more
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// What an evaluation measured; repeat it for more
    #[arg(long = "metric", value_name = "KEY=NUMBER", value_parser = metric)]
    metrics: Vec<(String, String)>,
}

/// Lists models: the newest version of each name. `lineate show model:NAME` shows all of one.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Every version, not only the newest
    #[arg(long)]
    all: bool,
    /// Only this project
    #[arg(long, value_name = "PROJECT", default_value = "", hide_default_value = true)]
    project: String,
}

#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The model version: [project/]name@vN
    #[arg(value_name = "NAME@vN")]
    model: String,
    /// The alias, such as production
    #[arg(value_name = "ALIAS")]
    alias: String,
}

pub(crate) async fn run(command: Command, client: &Client, output: &mut Output) -> Result<Outcome, Error> {
    match command {
        Command::Register(arguments) => output.report(&register(arguments, client).await?)?,
        Command::List(arguments) => {
            output.report(&client.list_models(&arguments.project, arguments.all).await?)?;
        }
        Command::Promote(arguments) => {
            output.report(&client.promote_model(&arguments.model, &arguments.alias).await?)?;
        }
    }
    Ok(Outcome::Done)
}

async fn register(arguments: Register, client: &Client) -> Result<Model, Error> {
    let artifact_upload_id = match arguments.artifact {
        Some(path) => {
            let bytes = std::fs::metadata(&path).ok().map(|metadata| metadata.len());
            let mut bar = Bar::new();
            let sent = bar.bytes("sending the model", bytes);
            client.upload(UploadSource::File(path), sent).await?.upload_id
        }
        None => String::new(),
    };
    let request = RegisterModelRequest {
        name: arguments.name,
        datasets: arguments.datasets,
        artifact_upload_id,
        code: arguments.code.unwrap_or_default(),
        parameters: unique(arguments.parameters, "--param")?,
        metrics: unique(arguments.metrics, "--metric")?,
    };
    Ok(client.register_model(request).await?)
}

fn unique(pairs: Vec<(String, String)>, option: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            return Err(Error::Usage(format!("{option} gives `{key}` twice")));
        }
        map.insert(key, value);
    }
    Ok(map)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

fn metric(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text)?;
    match value.parse::<f64>() {
        Ok(_) => Ok((key, value)),
        Err(_) => Err(format!("`{value}` is not a number")),
    }
}

impl Report for Model {
    fn text(&self, page: &mut Page) {
        page.verdict(true, &format!("model {}@v{}", self.name, self.version), &self.project);
        let artifact = match self.artifact_hash.as_str() {
            "" => String::new(),
            hash => format!("{} · {}", number::short_hash(hash), number::bytes(self.artifact_bytes)),
        };
        page.facts([
            ("dataset", self.datasets.join(", ")),
            ("code", self.code.clone()),
            ("artifact", artifact),
            ("parameters", pairs(&self.parameters)),
            ("metrics", pairs(&self.metrics)),
            ("aliases", self.aliases.join(", ")),
            ("run", self.run.clone()),
            ("record", self.record.clone()),
        ]);
        page.note(&format!("trace it with: lineate trace model:{}@v{}", self.name, self.version));
    }

    fn json(&self) -> Value {
        json!({
            "project": self.project,
            "name": self.name,
            "version": self.version,
            "datasets": self.datasets,
            "run": self.run,
            "record": self.record,
            "artifact": match self.artifact_hash.as_str() {
                "" => Value::Null,
                hash => json!({"hash": hash, "bytes": self.artifact_bytes}),
            },
            "code": number::text_or_null(&self.code),
            "parameters": self.parameters,
            "metrics": self.metrics,
            "aliases": self.aliases,
            "commit_time": number::time_or_null(self.commit_time_us),
        })
    }
}

impl Report for ModelListing {
    fn text(&self, page: &mut Page) {
        if self.models.is_empty() {
            page.line("no models; record one with `lineate model register`");
            return;
        }
        let mut table = Table::new([
            ("MODEL", Side::Left),
            ("ALIASES", Side::Left),
            ("DATASET", Side::Left),
            ("METRICS", Side::Left),
            ("CREATED", Side::Left),
            ("RECORD", Side::Left),
        ]);
        for model in &self.models {
            table.row([
                format!("{}/{}@v{}", model.project, model.name, model.version),
                model.aliases.join(", "),
                model.datasets.join(", "),
                pairs(&model.metrics),
                number::time(model.commit_time_us),
                number::short_hash(&model.record),
            ]);
        }
        page.table(&table);
    }

    fn json(&self) -> Value {
        json!({"models": self.models.iter().map(Report::json).collect::<Vec<_>>()})
    }
}

impl Report for Promotion {
    fn text(&self, page: &mut Page) {
        let before = match self.previous.as_str() {
            "" => "new alias".to_owned(),
            previous if previous == self.model => "already, nothing was recorded".to_owned(),
            previous => format!("was {previous}"),
        };
        page.verdict(true, &format!("{} is {}", self.alias, self.model), &before);
        page.facts([("record", self.model_record.clone())]);
    }

    fn json(&self) -> Value {
        json!({
            "model": self.model,
            "alias": self.alias,
            "changed": self.previous != self.model,
            "previous": number::text_or_null(&self.previous),
            "model_record": self.model_record,
        })
    }
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_numbers_and_kept_as_written() {
        assert_eq!(metric("auc=0.740"), Ok(("auc".into(), "0.740".into())));
        for text in ["auc", "=1", "auc=good", "auc="] {
            assert!(metric(text).is_err(), "{text}");
        }
        assert_eq!(pair("note=a=b"), Ok(("note".into(), "a=b".into())));
        assert!(unique(vec![("a".into(), "1".into()), ("a".into(), "2".into())], "--param").is_err());
    }
}
