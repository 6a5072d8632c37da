//! NDJSON rows: one JSON object a line, lines of blanks skipped.

use std::{collections::BTreeMap, fmt};

use arrow::array::{ArrayRef, RecordBatch};
use lineate_types::{DataType, limits};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Builder, Lines, lines::utf8};
use crate::{
    Error, Result,
    intake::{
        Intake,
        refusal::{Rows, excerpt, hint},
    },
    schema::DELETED_COLUMN,
};

/// A JSON value as it stands in the text.
pub(in crate::intake) type Raw<'a> = &'a RawValue;

/// Calls back with every field of a JSON object, in order, twice for one that is there twice.
pub(in crate::intake) fn visit_object<'a>(
    text: &'a str,
    visit: impl FnMut(&str, Raw<'a>),
) -> std::result::Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Fields(visit))?;
    deserializer.end()
}

struct Fields<F>(F);

impl<'de, F: FnMut(&str, Raw<'de>)> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some((key, raw)) = map.next_entry::<Key<'de>, Raw<'de>>()? {
            (self.0)(&key.0, raw);
        }
        Ok(())
    }
}

/// A field's name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Objects whose fields go into columns of known types, by name.
pub(in crate::intake) struct NdjsonTable {
    lines: Lines,
    names: Vec<String>,
    by_name: BTreeMap<String, usize>,
    columns: Vec<Builder>,
    /// Where the tombstone mark stands among the columns, which may be left out of an object.
    deleted: Option<usize>,
    /// Columns that may be left out of an object with a tombstone mark, from this one on.
    features: usize,
    owner: String,
    row_lines: Vec<u64>,
}

impl NdjsonTable {
    /// Columns by name; every object has every one.
    pub(in crate::intake) fn new(lines: Lines, columns: Vec<(String, Builder)>, owner: &str) -> Self {
        let (names, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let by_name = names.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect();
        Self {
            lines,
            features: names.len(),
            names,
            by_name,
            columns,
            deleted: None,
            owner: owner.to_owned(),
            row_lines: Vec::new(),
        }
    }

    /// The next rows: columns in the order given, and the line of each row; none at the end.
    ///
    /// # Errors
    /// A line is no JSON object, a field is unknown, missing or there twice, or a value is not of its
    /// column's type.
    pub(in crate::intake) fn next(&mut self) -> Result<Option<(Vec<ArrayRef>, &[u64])>> {
        self.row_lines.clear();
        let mut bytes = 0;
        while self.row_lines.len() < limits::INTAKE_BATCH_ROWS && bytes < limits::INTAKE_TEXT_BYTES {
            let Some((line, number)) = self.lines.next()? else { break };
            bytes += line.len();
            let text = utf8(line, number)?.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let mut row = Row { raws: vec![None; self.names.len()], odd: None };
            visit_object(text, |key, raw| match self.by_name.get(key) {
                Some(at) => row.put(*at, key, raw),
                None => row.odd = row.odd.take().or_else(|| Some(Odd::Unknown(key.to_owned()))),
            })
            .map_err(|cause| not_an_object(number, text, &cause))?;
            let raws = row.fields(number, &self.names, &self.owner)?;
            let is_tombstone = self
                .deleted
                .and_then(|at| raws.get(at).copied().flatten())
                .is_some_and(|raw| raw.get() == "true");
            let optional = |at: usize| Some(at) == self.deleted || is_tombstone && at >= self.features;
            for (at, ((name, column), raw)) in self.names.iter().zip(&mut self.columns).zip(raws).enumerate()
            {
                match raw {
                    Some(raw) => column.push_json(raw).map_err(|fault| Error::Value {
                        place: format!("line {number}"),
                        column: format!("{name}{}", fault.path),
                        why: fault.why,
                    })?,
                    None if optional(at) => column.push_null(),
                    None => {
                        return Err(Error::Value {
                            place: format!("line {number}"),
                            column: name.clone(),
                            why: "the field is missing; every row carries all columns, null where unknown"
                                .into(),
                        });
                    }
                }
            }
            self.row_lines.push(number);
        }
        if self.row_lines.is_empty() {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(Builder::finish).collect::<Result<Vec<_>>>()?;
        Ok(Some((columns, &self.row_lines)))
    }
}

/// The fields of one object, by column.
struct Row<'a> {
    raws: Vec<Option<Raw<'a>>>,
    odd: Option<Odd>,
}

/// The first field that does not belong.
enum Odd {
    Unknown(String),
    Twice(String),
}

impl<'a> Row<'a> {
    fn put(&mut self, at: usize, key: &str, raw: Raw<'a>) {
        match self.raws.get_mut(at) {
            Some(slot) if slot.is_none() => *slot = Some(raw),
            _ => self.odd = self.odd.take().or_else(|| Some(Odd::Twice(key.to_owned()))),
        }
    }

    fn fields(self, line: u64, names: &[String], owner: &str) -> Result<Vec<Option<Raw<'a>>>> {
        match self.odd {
            None => Ok(self.raws),
            Some(Odd::Twice(name)) => {
                Err(Error::Format(format!("line {line}: field {} is there twice", excerpt(&name))))
            }
            Some(Odd::Unknown(name)) => {
                let absent = names.iter().zip(&self.raws).filter(|(_, raw)| raw.is_none());
                let hint = hint(&name, absent.map(|(name, _)| name.as_str()));
                Err(Error::UnknownColumn { column: name, owner: format!("{owner} (line {line})"), hint })
            }
        }
    }
}

/// The error of a line that is something else.
pub(super) fn not_an_object(line: u64, text: &str, cause: &serde_json::Error) -> Error {
    let found = match text.starts_with('{') {
        true => {
            // The line is the only one: its number in the text says nothing.
            let described = cause.to_string();
            described.replace(&format!(" at line {} column", cause.line()), " at column")
        }
        false => format!("found {}", excerpt(text)),
    };
    Error::Format(format!("line {line}: expected one JSON object: {found}"))
}

/// Canonical batches of a view from NDJSON.
pub(super) struct NdjsonRows {
    intake: Intake,
    table: NdjsonTable,
    done: bool,
}

impl NdjsonRows {
    pub(super) fn open(intake: Intake, lines: Lines) -> Self {
        let naive = intake.rules().naive_times_are_utc;
        let deleted = (DELETED_COLUMN.to_owned(), Builder::new(&DataType::Bool, naive));
        let columns = intake
            .columns()
            .iter()
            .map(|column| (column.name.clone(), Builder::new(&column.data_type, naive)))
            .chain([deleted])
            .collect();
        let mut table = NdjsonTable::new(lines, columns, intake.owner());
        table.deleted = Some(intake.schema().deleted());
        table.features = intake.schema().features().start;
        Self { intake, table, done: false }
    }

    fn step(&mut self) -> Result<Option<RecordBatch>> {
        let Some((mut columns, lines)) = self.table.next()? else { return Ok(None) };
        let deleted = columns.pop();
        let deleted = self.intake.deleted(deleted.as_ref(), lines.len(), Rows::Lines(lines))?;
        columns.push(deleted);
        self.intake.finish(columns, lines.len(), Rows::Lines(lines)).map(Some)
    }
}

impl Iterator for NdjsonRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}
