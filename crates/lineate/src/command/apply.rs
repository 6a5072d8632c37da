//! `lineate apply`.

use std::path::PathBuf;

use clap::Args;
use console::style;
use lineate_client::{
    Client,
    v1::{
        DefinitionFile, Plan,
        plan::{Change, Kind},
    },
};
use lineate_types::limits;
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    error::Error,
    output::{Format, Output, Page, Report},
};

const EXAMPLES: &str = "\
Examples:
  lineate apply features.yaml --plan     show what would change
  lineate apply features.yaml            show it, then apply it
  lineate apply defs/*.yaml              several files, as one change

A file:
  project: flights
  entities:
    - {name: airport, keys: [{name: origin, type: string}]}
  views:
    - name: weather
      entity: airport
      event_time: event_timestamp
      created_time: created_timestamp    # optional: when the row became known
      ttl: 3h                            # optional: how long a row stays an answer
      naive_times: utc                   # optional: take times without a zone as UTC
      owner: ops@example.com             # optional, as are description: and tags: {key: value}
      features: [{name: temp, type: float64}]
  services:
    - name: delay_model                  # a view may be used again, by other keys
      features: [weather.temp, {view: weather, as: dest_weather, keys: {origin: dest}}]

Types: bool int32 int64 float32 float64 string bytes timestamp date uuid json decimal(38,9) \
list<T> map<string,T> struct<a:T,b:T> vector<float32,768>";

/// Compares definitions with the store, shows what changes, then applies it.
///
/// Whatever can change an answer (types, keys, times, TTL) makes a new version; adding features
/// keeps the history of the version before. Owners, tags and descriptions change in place.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// YAML files, applied together
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only show the plan
    #[arg(long)]
    pub(super) plan: bool,
    /// What the files say, once they are read
    #[arg(skip)]
    definitions: Vec<DefinitionFile>,
}

impl Arguments {
    /// Reads the files: before there is a store, so that none is made for files that cannot be read.
    pub(super) fn read(&mut self) -> Result<(), Error> {
        self.definitions = self.files.drain(..).map(read).collect::<Result<_, _>>()?;
        Ok(())
    }
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let Arguments { definitions, plan: plan_only, .. } = arguments;
    if plan_only {
        output.report(&client.plan(definitions).await?)?;
        return Ok(Outcome::Done);
    }
    if output.format() == Format::Json {
        output.report(&client.apply(definitions).await?)?;
        return Ok(Outcome::Done);
    }
    // Seen also where applying it is refused.
    let planned = client.plan(definitions.clone()).await?;
    let mut page = Page::default();
    changes(&mut page, &planned);
    output.text(page.as_str())?;
    let applied = client.apply(definitions).await?;
    let mut page = Page::default();
    if applied.changes != planned.changes {
        page.line("the store was changed meanwhile; what was applied is:");
        changes(&mut page, &applied);
    }
    page.line(&summary(&applied));
    output.text(page.as_str())?;
    Ok(Outcome::Done)
}

fn read(path: PathBuf) -> Result<DefinitionFile, Error> {
    let failed = |path: &PathBuf, source| Error::File { action: "read", path: path.clone(), source };
    let bytes = std::fs::metadata(&path).map_err(|cause| failed(&path, cause))?.len();
    if bytes > limits::DEFINITION_BYTES as u64 {
        return Err(Error::Usage(format!(
            "`{}` has {bytes} bytes; a file of definitions has at most {}",
            path.display(),
            limits::DEFINITION_BYTES
        )));
    }
    let yaml = std::fs::read_to_string(&path).map_err(|cause| failed(&path, cause))?;
    Ok(DefinitionFile { name: path.display().to_string(), yaml })
}

impl Report for Plan {
    fn text(&self, page: &mut Page) {
        changes(page, self);
        page.line(&summary(self));
    }

    fn json(&self) -> Value {
        let changes: Vec<Value> = self
            .changes
            .iter()
            .map(|change| {
                json!({
                    "kind": word(change.kind()),
                    "what": change.what,
                    "name": change.name,
                    "details": change.details,
                    "consequences": change.consequences,
                })
            })
            .collect();
        json!({"applied": self.applied, "changes": changes})
    }
}

/// Every change, and a gap.
fn changes(page: &mut Page, plan: &Plan) {
    for change in &plan.changes {
        line(page, change);
    }
    if !plan.changes.is_empty() {
        page.gap();
    }
}

fn line(page: &mut Page, change: &Change) {
    let mark = match change.kind() {
        Kind::New => style("+").green().bold(),
        Kind::Changed => style("~").yellow().bold(),
        Kind::Unchanged | Kind::Unspecified => style("=").dim(),
    };
    let kind = style(word(change.kind())).dim();
    page.line(&format!("{mark} {} {}  {kind}", change.what, style(&change.name).bold()));
    for detail in &change.details {
        page.line(&format!("    {detail}"));
    }
    for consequence in &change.consequences {
        page.line(&format!("    {} {consequence}", style("→").yellow()));
    }
}

fn summary(plan: &Plan) -> String {
    let count = |kind: Kind| plan.changes.iter().filter(|change| change.kind() == kind).count();
    let counts = format!(
        "{} new, {} changed, {} unchanged",
        count(Kind::New),
        count(Kind::Changed),
        count(Kind::Unchanged)
    );
    let nothing = count(Kind::New) + count(Kind::Changed) == 0;
    match (plan.applied, nothing) {
        (_, true) => format!("nothing to change ({counts})"),
        (true, false) => format!("applied: {counts}"),
        (false, false) => format!("a plan only: {counts}; run without --plan to apply it"),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::New => "new",
        Kind::Changed => "changed",
        Kind::Unchanged => "unchanged",
        Kind::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_plan_says_what_changes_and_what_that_means() {
        let plan = Plan {
            changes: vec![
                Change {
                    kind: Kind::New.into(),
                    what: "entity".into(),
                    name: "airport".into(),
                    ..Default::default()
                },
                Change {
                    kind: Kind::Changed.into(),
                    what: "view".into(),
                    name: "weather@v2".into(),
                    details: vec!["feature `temp`: float32 becomes float64".into()],
                    consequences: vec!["starts without rows; load its history again".into()],
                },
                Change {
                    kind: Kind::Unchanged.into(),
                    what: "service".into(),
                    name: "s@v1".into(),
                    ..Default::default()
                },
            ],
            applied: false,
        };
        let mut page = Page::default();
        plan.text(&mut page);
        expect![[r#"
            + entity airport  new
            ~ view weather@v2  changed
                feature `temp`: float32 becomes float64
                → starts without rows; load its history again
            = service s@v1  unchanged

            a plan only: 1 new, 1 changed, 1 unchanged; run without --plan to apply it
        "#]]
        .assert_eq(page.as_str());
        assert_eq!(plan.json()["changes"][1]["kind"], "changed");
    }
}
