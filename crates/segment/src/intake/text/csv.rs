//! CSV rows of a view.

use std::io::Read;

use arrow::array::{ArrayRef, RecordBatch};
use lineate_types::{DataType, limits};

use super::{Builder, Records, records::Record};
use crate::{
    Error, Result,
    intake::{Intake, refusal::Rows},
    schema::DELETED_COLUMN,
};

/// Records whose fields go into columns of known types, by position.
pub(in crate::intake) struct CsvTable {
    records: Records,
    header: Vec<String>,
    columns: Vec<Builder>,
    lines: Vec<u64>,
}

impl CsvTable {
    /// Reads the header.
    ///
    /// # Errors
    /// There is none, or it is not CSV.
    pub(in crate::intake) fn open(text: Box<dyn Read + Send>) -> Result<Self> {
        let mut records = Records::new(text);
        let header = records.next()?.ok_or_else(|| Error::Format("the file is empty".into()))?;
        let header: Vec<String> = header.fields().map(|(name, _)| name.to_owned()).collect();
        Ok(Self { records, header, columns: Vec::new(), lines: Vec::new() })
    }

    /// The names of the columns, in file order.
    pub(in crate::intake) fn header(&self) -> &[String] {
        &self.header
    }

    /// Says the types of the columns, in file order.
    pub(in crate::intake) fn set_columns(&mut self, columns: Vec<Builder>) {
        self.columns = columns;
    }

    /// The next record, with as many fields as the header.
    ///
    /// # Errors
    /// It has too many or too few, or is not CSV.
    pub(in crate::intake) fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        next_record(&mut self.records, self.header.len())
    }

    /// The next rows: columns in file order, and the line of each row; none at the end.
    ///
    /// # Errors
    /// A record has too many or too few fields, or a field is not of its column's type.
    pub(in crate::intake) fn next(&mut self) -> Result<Option<(Vec<ArrayRef>, &[u64])>> {
        self.lines.clear();
        let mut bytes = 0;
        while self.lines.len() < limits::INTAKE_BATCH_ROWS && bytes < limits::INTAKE_TEXT_BYTES {
            let Some(record) = next_record(&mut self.records, self.header.len())? else { break };
            for ((name, column), (text, quoted)) in
                self.header.iter().zip(&mut self.columns).zip(record.fields())
            {
                bytes += text.len() + 1;
                column.push_cell(text, quoted).map_err(|fault| Error::Value {
                    place: format!("line {}", record.line),
                    column: format!("{name}{}", fault.path),
                    why: fault.why,
                })?;
            }
            self.lines.push(record.line);
        }
        if self.lines.is_empty() {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(Builder::finish).collect::<Result<Vec<_>>>()?;
        Ok(Some((columns, &self.lines)))
    }
}

fn next_record(records: &mut Records, fields: usize) -> Result<Option<Record<'_>>> {
    match records.next()? {
        Some(record) if record.len() != fields => Err(Error::Format(format!(
            "line {} has {} fields; the header has {fields}",
            record.line,
            record.len()
        ))),
        record => Ok(record),
    }
}

/// Canonical batches of a view from CSV.
pub(super) struct CsvRows {
    intake: Intake,
    table: CsvTable,
}

impl CsvRows {
    pub(super) fn open(intake: Intake, text: Box<dyn Read + Send>) -> Result<Self> {
        let mut table = CsvTable::open(text)?;
        intake.check_names(table.header().iter().map(String::as_str), true)?;
        let naive = intake.rules().naive_times_are_utc;
        let builders = table.header().iter().map(|name| {
            let column = intake.columns().iter().find(|column| column.name == *name);
            Builder::new(column.map_or(&DataType::Bool, |column| &column.data_type), naive)
        });
        let builders = builders.collect();
        table.set_columns(builders);
        Ok(Self { intake, table })
    }

    fn step(&mut self) -> Result<Option<RecordBatch>> {
        let header = self.table.header().to_vec();
        let Some((columns, lines)) = self.table.next()? else { return Ok(None) };
        let find = |name: &str| {
            header.iter().zip(&columns).find(|(found, _)| *found == name).map(|(_, column)| column.clone())
        };
        let mut canonical: Vec<ArrayRef> =
            self.intake.columns().iter().filter_map(|column| find(&column.name)).collect();
        canonical.push(self.intake.deleted(
            find(DELETED_COLUMN).as_ref(),
            lines.len(),
            Rows::Lines(lines),
        )?);
        self.intake.finish(canonical, lines.len(), Rows::Lines(lines)).map(Some)
    }
}

impl Iterator for CsvRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
