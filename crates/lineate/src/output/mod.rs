//! What a command prints: a report, as a page of text or as one JSON document.
//!
//! A report is the same whether the node is in this process or far away, because it is made from the reply alone.

pub(crate) mod cell;
pub(crate) mod checkpoint;
pub(crate) mod failure;
pub(crate) mod file;
pub(crate) mod number;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod table;

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
};

use serde_json::Value;

pub(crate) use page::Page;

use crate::error::Error;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document; for rows, one object a line.
    Json,
    /// `trace` only: the text form, by its own name.
    Tree,
    /// `trace` only: a graph for Graphviz.
    Dot,
    /// `trace` only: W3C PROV-JSON.
    ProvJson,
}

/// Something to print.
pub(crate) trait Report {
    /// For people.
    fn text(&self, page: &mut Page);
    /// For programs.
    fn json(&self) -> Value;
}

/// Standard output in the form asked for.
pub(crate) struct Output {
    format: Format,
    stream: Box<dyn Write + Send>,
}

impl Format {
    const ALL: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("json", Self::Json),
        ("tree", Self::Tree),
        ("dot", Self::Dot),
        ("prov-json", Self::ProvJson),
    ];

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("text", |(name, _)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, format)| format)
            .ok_or_else(|| "expected text or json; for trace also tree, dot or prov-json".to_owned())
    }
}

impl Output {
    /// Standard output. The forms of `trace` are refused unless `graph` is set.
    ///
    /// # Errors
    /// The command does not know the format.
    pub(crate) fn standard(format: Format, graph: bool) -> Result<Self, Error> {
        match format {
            Format::Tree | Format::Dot | Format::ProvJson if !graph => Err(Error::Usage(format!(
                "--format {format} is for trace only; this command knows text and json"
            ))),
            _ => Ok(Self { format, stream: Box::new(io::stdout()) }),
        }
    }

    /// The format asked for.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints a report.
    pub(crate) fn report(&mut self, report: &impl Report) -> Result<(), Error> {
        match self.format {
            Format::Json => self.document(&report.json()),
            _ => {
                let mut page = Page::default();
                report.text(&mut page);
                self.text(page.as_str())
            }
        }
    }

    /// Prints a JSON document.
    pub(crate) fn document(&mut self, document: &Value) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(document).map_err(io::Error::other)?;
        text.push('\n');
        self.text(&text)
    }

    /// Prints text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Error> {
        self.stream.write_all(text.as_bytes())?;
        Ok(self.stream.flush()?)
    }

    /// The stream itself, for rows.
    pub(crate) fn stream(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.stream
    }
}
