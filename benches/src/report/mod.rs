//! The page: sections of text and tables, rendered as Markdown.

mod machine;
mod number;
mod page;

pub use machine::{Machine, Steal};
pub use number::{cell, figure, percent, ratio, whole};
pub use page::{Header, render};

/// What one workload has to say.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// What is measured and what it includes, a paragraph each.
    pub paragraphs: Vec<String>,
    /// The figures.
    pub tables: Vec<Table>,
    /// What deserves a word below the tables.
    pub notes: Vec<String>,
    /// What did not run, and why.
    pub skipped: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// Cells, one for each column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(caption: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { caption: caption.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}
