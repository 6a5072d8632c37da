//! Spines in text: one pass over the file for the types, one for the values.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};
use lineate_types::{DataType, limits};

use super::{
    Builder, Lines,
    csv::CsvTable,
    infer::Guess,
    lines::utf8,
    ndjson::{NdjsonTable, not_an_object, visit_object},
};
use crate::{
    Error, Result,
    intake::{FileFormat, ForeignFile, IntakeBatches, SpineIntake, refusal::Rows, spine::OWNER},
    schema::arrow_field,
};

/// Columns of a spine.
const COLUMNS: usize = limits::FEATURES_PER_SERVICE;

impl SpineIntake {
    /// The rows of a text file as a spine.
    pub(in crate::intake) fn open_text(
        &self,
        file: &ForeignFile,
        format: FileFormat,
    ) -> Result<IntakeBatches> {
        let columns = match format {
            FileFormat::Csv => self.infer_csv(file)?,
            _ => self.infer_ndjson(file)?,
        };
        self.check_names(columns.iter().map(|(name, _)| name.as_str()))?;
        let fields = columns.iter().map(|(name, data_type)| arrow_field(name, data_type, true));
        let foreign: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let schema = self.schema(&foreign)?;
        let naive = self.rules().naive_times_are_utc;
        let builders = columns.into_iter().map(|(name, data_type)| (name, Builder::new(&data_type, naive)));
        let table = match format {
            FileFormat::Csv => {
                let mut table = CsvTable::open(Box::new(file.reader(0)))?;
                table.set_columns(builders.map(|(_, builder)| builder).collect());
                Table::Csv(table)
            }
            _ => Table::Ndjson(NdjsonTable::new(
                Lines::new(Box::new(file.reader(0))),
                builders.collect(),
                OWNER,
            )),
        };
        Ok(IntakeBatches::new(file, schema, TextSpine { intake: self.clone(), table, foreign }))
    }

    /// Names and types of the columns, in file order.
    fn infer_csv(&self, file: &ForeignFile) -> Result<Vec<(String, DataType)>> {
        let mut table = CsvTable::open(Box::new(file.reader(0)))?;
        check_count(table.header().len())?;
        let mut guesses = vec![Guess::new(self.rules().naive_times_are_utc); table.header().len()];
        while let Some(record) = table.next_record()? {
            for (guess, (text, quoted)) in guesses.iter_mut().zip(record.fields()) {
                guess.see_cell(text, quoted);
            }
        }
        let columns = table.header().iter().zip(&guesses);
        Ok(columns
            .map(|(name, guess)| (name.clone(), self.wanted(name).unwrap_or_else(|| guess.of_cells())))
            .collect())
    }

    /// Names and types of the fields, in order of their first appearance.
    fn infer_ndjson(&self, file: &ForeignFile) -> Result<Vec<(String, DataType)>> {
        let mut lines = Lines::new(Box::new(file.reader(0)));
        let mut positions: BTreeMap<String, usize> = BTreeMap::new();
        let mut guesses: Vec<(String, Guess)> = Vec::new();
        while let Some((line, number)) = lines.next()? {
            let text = utf8(line, number)?.trim_ascii();
            if text.is_empty() {
                continue;
            }
            visit_object(text, |name, raw| {
                let at = match positions.get(name) {
                    Some(at) => *at,
                    None => {
                        positions.insert(name.to_owned(), guesses.len());
                        guesses.push((name.to_owned(), Guess::new(self.rules().naive_times_are_utc)));
                        guesses.len() - 1
                    }
                };
                if let Some((_, guess)) = guesses.get_mut(at) {
                    guess.see_json(raw);
                }
            })
            .map_err(|cause| not_an_object(number, text, &cause))?;
            check_count(guesses.len())?;
        }
        Ok(guesses
            .into_iter()
            .map(|(name, guess)| {
                let data_type = self.wanted(&name).unwrap_or_else(|| guess.of_json());
                (name, data_type)
            })
            .collect())
    }
}

fn check_count(columns: usize) -> Result<()> {
    if columns > COLUMNS {
        return Err(Error::TooMuch {
            what: "columns of a spine",
            actual: columns as u64,
            limit: COLUMNS as u64,
        });
    }
    Ok(())
}

enum Table {
    Csv(CsvTable),
    Ndjson(NdjsonTable),
}

impl Table {
    fn next(&mut self) -> Result<Option<(Vec<ArrayRef>, &[u64])>> {
        match self {
            Self::Csv(table) => table.next(),
            Self::Ndjson(table) => table.next(),
        }
    }
}

/// Batches of a spine from text.
struct TextSpine {
    intake: SpineIntake,
    table: Table,
    foreign: SchemaRef,
}

impl Iterator for TextSpine {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let (columns, lines) = match self.table.next() {
            Ok(Some(rows)) => rows,
            Ok(None) => return None,
            Err(cause) => return Some(Err(cause)),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let batch = RecordBatch::try_new_with_options(self.foreign.clone(), columns, &options);
        Some(
            batch.map_err(Error::from).and_then(|batch| self.intake.convert_rows(&batch, Rows::Lines(lines))),
        )
    }
}
