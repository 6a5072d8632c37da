//! A page of text: titles, facts, tables and notes in one voice.

use console::{measure_text_width, style};

use super::table::Table;

/// Text under construction. Styles appear only where standard output is a terminal.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// The text so far.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the page is about, and beside it, quietly, how it went.
    pub(crate) fn title(&mut self, title: &str, beside: &str) {
        let gap = if beside.is_empty() { "" } else { "  " };
        self.line(&format!("{}{gap}{}", style(title).bold(), style(beside).dim()));
    }

    /// A title with a check mark, or a cross.
    pub(crate) fn verdict(&mut self, good: bool, title: &str, beside: &str) {
        let mark = if good { style("✓").green().bold() } else { style("✗").red().bold() };
        let gap = if beside.is_empty() { "" } else { "  " };
        self.line(&format!("{mark} {}{gap}{}", style(title).bold(), style(beside).dim()));
    }

    /// Names and values below one another, the values aligned.
    pub(crate) fn facts<Name: AsRef<str>, Value: AsRef<str>>(
        &mut self,
        facts: impl IntoIterator<Item = (Name, Value)>,
    ) {
        let facts: Vec<_> = facts.into_iter().filter(|(_, value)| !value.as_ref().is_empty()).collect();
        let width = facts.iter().map(|(name, _)| measure_text_width(name.as_ref())).max().unwrap_or(0);
        for (name, value) in facts {
            let (name, value) = (name.as_ref(), value.as_ref());
            let padding = " ".repeat(width - measure_text_width(name));
            self.line(&format!("  {}{padding}  {value}", style(name).dim()));
        }
    }

    /// A table, unless it is empty.
    pub(crate) fn table(&mut self, table: &Table) {
        if !table.is_empty() {
            self.text += &table.render();
        }
    }

    /// A quiet line, indented.
    pub(crate) fn note(&mut self, text: &str) {
        self.line(&format!("  {}", style(text).dim()));
    }

    /// A line as it is.
    pub(crate) fn line(&mut self, text: &str) {
        self.text += text.trim_end();
        self.text.push('\n');
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }
}
