//! Why a column or a value cannot be taken, and where it stands.

use std::fmt::Display;

use lineate_types::Name;

use crate::Error;

/// A column or one of its values cannot become the wanted type exactly.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The whole column has a wrong type.
    Type {
        /// The path inside the column: `.field`, `[]`; empty for the column itself.
        path: String,
        why: String,
    },
    /// One value is wrong.
    Value {
        /// The row in the converted array.
        index: usize,
        path: String,
        why: String,
    },
    /// The converted column would be too large.
    TooMuch { what: &'static str, actual: u64, limit: u64 },
}

impl Refusal {
    /// The column is of one type where another was expected.
    pub(super) fn wrong_type(expected: impl Display, found: impl Display) -> Self {
        Self::Type { path: String::new(), why: format!("expected {expected}, found {found}") }
    }

    /// The value at an index is wrong.
    pub(super) fn value(index: usize, why: impl Into<String>) -> Self {
        Self::Value { index, path: String::new(), why: why.into() }
    }

    /// The same refusal, told of the parent of the array it arose in.
    pub(super) fn inside(self, step: &str, row_of: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Type { path, why } => Self::Type { path: format!("{step}{path}"), why },
            Self::Value { index, path, why } => {
                Self::Value { index: row_of(index), path: format!("{step}{path}"), why }
            }
            too_much => too_much,
        }
    }

    /// The error that names the column and the row.
    pub(super) fn of_column(self, column: &str, rows: Rows<'_>) -> Error {
        match self {
            Self::Type { path, why } => Error::ColumnType { column: format!("{column}{path}"), why },
            Self::Value { index, path, why } => {
                Error::Value { place: rows.place(index), column: format!("{column}{path}"), why }
            }
            Self::TooMuch { what, actual, limit } => Error::TooMuch { what, actual, limit },
        }
    }
}

/// How the rows of a batch are called: rows of a table counted on, or lines of a text file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rows<'a> {
    /// Row `0` of the batch is this one of the table, counted from 0.
    From(u64),
    /// The line of each row, counted from 1.
    Lines(&'a [u64]),
}

impl Rows<'_> {
    /// `row 3` or `line 3`, counted from 1.
    pub(super) fn place(self, index: usize) -> String {
        match self {
            Self::From(first) => format!("row {}", first.saturating_add(index as u64).saturating_add(1)),
            Self::Lines(lines) => match lines.get(index) {
                Some(line) => format!("line {line}"),
                None => format!("row {}", index + 1),
            },
        }
    }
}

/// `; did you mean ...?`, or nothing if no candidate is near.
pub(super) fn hint<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    Name::nearest(wanted, candidates).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

/// At most 60 characters of a value, for messages; control characters escaped.
pub(super) fn excerpt(text: &str) -> String {
    let mut shown = String::from("`");
    for character in text.chars().take(60) {
        if character.is_control() {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    shown.push_str(if text.chars().nth(60).is_some() { "...`" } else { "`" });
    shown
}
