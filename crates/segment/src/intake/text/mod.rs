//! Text formats: NDJSON and CSV, read straight into canonical columns.
//!
//! Numbers go from their digits to their type without a detour, so that an int64 beyond 2^53 and a decimal of
//! 38 digits arrive as written. What stands for null: in JSON `null`; in CSV an empty field, except that a
//! quoted empty field of a string or bytes column is the empty value.

mod builder;
mod cell;
mod csv;
mod infer;
mod json;
mod lines;
mod ndjson;
mod records;
mod spine;

pub(super) use builder::Builder;
use lines::Lines;
use records::Records;

use arrow::array::RecordBatch;

use super::{FileFormat, ForeignFile, Intake};
use crate::Result;

impl Intake {
    /// The rows of a text file as canonical batches.
    pub(super) fn open_text(
        &self,
        file: &ForeignFile,
        format: FileFormat,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + Send>> {
        Ok(match format {
            FileFormat::Csv => Box::new(csv::CsvRows::open(self.clone(), Box::new(file.reader(0)))?),
            _ => Box::new(ndjson::NdjsonRows::open(self.clone(), Lines::new(Box::new(file.reader(0))))),
        })
    }

    /// The rows of NDJSON text as canonical batches, read as they come: for what is pushed line by line.
    /// `first_line` is the number of its first line in what the sender reads, from 1: errors name lines there.
    /// Batches end after [`lineate_types::limits::INTAKE_BATCH_ROWS`] rows.
    pub fn ndjson(
        &self,
        text: impl std::io::Read + Send + 'static,
        first_line: u64,
    ) -> impl Iterator<Item = Result<RecordBatch>> + Send {
        ndjson::NdjsonRows::open(self.clone(), Lines::numbered(Box::new(text), first_line))
    }
}
