//! How the demo shows itself: steps as they happen, or one JSON document at the end.

use std::path::{Path, PathBuf};

use console::style;
use serde_json::{Value, json};

use crate::{
    error::Error,
    output::{Format, Output, Page, Report},
};

/// The demo's output.
pub(crate) struct Stage<'a> {
    output: &'a mut Output,
    store: PathBuf,
    steps: Vec<Value>,
    number: u32,
}

impl<'a> Stage<'a> {
    /// A stage for a store.
    pub(crate) fn new(output: &'a mut Output, store: &Path) -> Self {
        Self { output, store: store.to_owned(), steps: Vec::new(), number: 0 }
    }

    /// A step begins.
    pub(crate) fn step(&mut self, title: &str, what: &str) -> Result<(), Error> {
        self.number += 1;
        let number = style(format!(" {} ", self.number)).black().on_cyan();
        self.steps.push(json!({"step": title, "results": []}));
        let gap = if self.number == 1 { "" } else { "\n" };
        self.say(&format!("{gap}{number} {}  {}\n", style(title).bold().cyan(), style(what).dim()))
    }

    /// The command that does the same by hand.
    pub(crate) fn command(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let line = format!("$ lineate {}", arguments.join(" "));
        self.say(&format!("\n{}\n", style(line).green()))
    }

    /// What a command answered.
    pub(crate) fn report(&mut self, name: &str, report: &impl Report) -> Result<(), Error> {
        let mut page = Page::default();
        report.text(&mut page);
        self.keep(name, report.json());
        self.say(page.as_str())
    }

    /// A drawing, as text and as the document it was drawn from.
    pub(crate) fn drawing(&mut self, name: &str, text: &str, document: &str) -> Result<(), Error> {
        self.keep(name, serde_json::from_str(document).unwrap_or(Value::Null));
        self.say(text)
    }

    /// A figure that was counted from replies.
    pub(crate) fn figure(&mut self, name: &str, value: u64, text: &str) -> Result<(), Error> {
        self.keep(name, value.into());
        self.say(&format!("{} {}\n", style("!").yellow().bold(), style(text).bold()))
    }

    /// A quiet line.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Error> {
        self.say(&format!("\n  {}\n", style(text).dim()))
    }

    /// The demo is over.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        let store = self.store.display().to_string();
        if self.output.format() == Format::Json {
            let steps = std::mem::take(&mut self.steps);
            return self.output.document(&json!({"data_dir": store, "steps": steps}));
        }
        self.say(&format!(
            "\n{} The store stays in {store}. Try:\n  {}\n  {}\n  {}\n",
            style("✓").green().bold(),
            style(format!("lineate --data-dir {store} dataset list")).green(),
            style(format!("lineate --data-dir {store} trace view:zone_traffic --down")).green(),
            style(format!("lineate --data-dir {store} serve")).green(),
        ))
    }

    fn keep(&mut self, name: &str, result: Value) {
        let results = self.steps.last_mut().and_then(|step| step.get_mut("results"));
        if let Some(results) = results.and_then(Value::as_array_mut) {
            results.push(json!({name: result}));
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Error> {
        match self.output.format() {
            Format::Json => Ok(()),
            _ => self.output.text(text),
        }
    }
}
