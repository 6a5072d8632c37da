//! Shows the plan of the definitions, then applies them.

use std::time::{Duration, Instant};

use console::{StyledObject, style};
use lineate_client::{
    Client,
    v1::{DefinitionFile, Plan, plan::Kind},
};
use serde_json::{Value, json};

use super::generate::YAML;
use crate::{
    demo::{commands::DEFINITIONS, timing::micros},
    error::Error,
    output::{Page, Report, number},
};

/// A plan, and the same once more as it was applied.
pub(in crate::demo) struct Defined {
    plan: Plan,
    applied: Plan,
    elapsed: Duration,
}

/// Plans and applies.
pub(in crate::demo) async fn define(client: &Client) -> Result<Defined, Error> {
    let files = || vec![DefinitionFile { name: DEFINITIONS.to_owned(), yaml: YAML.to_owned() }];
    let plan = client.plan(files()).await?;
    let started = Instant::now();
    let applied = client.apply(files()).await?;
    Ok(Defined { plan, applied, elapsed: started.elapsed() })
}

impl Report for Defined {
    fn text(&self, page: &mut Page) {
        let names = self.plan.changes.iter().map(|change| change.name.len());
        let width = names.max().unwrap_or(0);
        for change in &self.plan.changes {
            let means: Vec<&str> =
                change.details.iter().chain(&change.consequences).map(String::as_str).collect();
            page.line(&format!(
                "  {} {:<7}  {}{}  {}",
                mark(change.kind()),
                change.what,
                style(&change.name).bold(),
                " ".repeat(width - change.name.len()),
                style(means.join("; ")).dim()
            ));
        }
        page.gap();
        let count = self.applied.changes.iter().filter(|change| change.kind() == Kind::New).count() as u64;
        let verdict = if self.applied.applied { "applied as one change" } else { "nothing to apply" };
        page.verdict(
            self.applied.applied,
            &format!("{verdict}: {}", number::counted(count, "definition")),
            &number::duration(self.elapsed),
        );
    }

    fn json(&self) -> Value {
        json!({"plan": self.plan.json(), "applied": self.applied.json(), "elapsed_us": micros(self.elapsed)})
    }
}

fn mark(kind: Kind) -> StyledObject<&'static str> {
    match kind {
        Kind::New => style("+").green().bold(),
        Kind::Changed => style("~").yellow().bold(),
        Kind::Unchanged | Kind::Unspecified => style("=").dim(),
    }
}
