//! The stage: steps shown to people as they happen, and to programs as one document at the end.

use console::style;
use serde_json::{Map, Value};

use crate::{
    error::Error,
    output::{Format, Output, Page, Report},
};

/// What is shown, step by step.
pub(super) struct Stage<'a> {
    output: &'a mut Output,
    document: Map<String, Value>,
    steps: usize,
}

impl<'a> Stage<'a> {
    /// An empty stage.
    pub(super) fn new(output: &'a mut Output) -> Self {
        Self { output, document: Map::new(), steps: 0 }
    }

    /// Begins a step: what happens and why, and the commands that would do the same.
    pub(super) fn begin(&mut self, title: &str, story: &str, commands: &[String]) -> Result<(), Error> {
        self.steps += 1;
        let mut page = Page::default();
        page.gap();
        page.line(&format!("{} {}", style(self.steps).cyan().bold(), style(title).bold()));
        for line in story.lines() {
            page.note(line);
        }
        for command in commands {
            page.line(&format!("  {} {}", style("$").dim(), style(command).cyan()));
        }
        page.gap();
        self.page(&page)
    }

    /// Shows what came of something, and keeps it under a name.
    pub(super) fn show(&mut self, name: &str, report: &impl Report) -> Result<(), Error> {
        self.document.insert(name.to_owned(), report.json());
        let mut page = Page::default();
        report.text(&mut page);
        self.page(&page)
    }

    /// Ends the show. Programs get all of it now.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.output.format() {
            Format::Json => self.output.document(&Value::Object(self.document)),
            _ => Ok(()),
        }
    }

    fn page(&mut self, page: &Page) -> Result<(), Error> {
        match self.output.format() {
            Format::Json => Ok(()),
            _ => self.output.text(page.as_str()),
        }
    }
}
