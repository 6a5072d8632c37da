//! Canonical batches of a file, one after another.

use std::fmt;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use lineate_types::limits;

use super::{ForeignBatches, ForeignFile, pace::Pace};
use crate::{Error, Result, run::batch_bytes};

/// The rows of one foreign file as canonical batches, in file order; never an empty batch. Errors name the
/// file; after one, and at the end, there is nothing more.
pub struct IntakeBatches {
    file: ForeignFile,
    schema: SchemaRef,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    rows: u64,
    /// All rows of the file, where it says how many.
    total_rows: Option<u64>,
    done: bool,
}

impl IntakeBatches {
    pub(in crate::intake) fn new(
        file: &ForeignFile,
        schema: SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Self {
        Self {
            file: file.clone(),
            schema,
            batches: Box::new(batches),
            rows: 0,
            total_rows: None,
            done: false,
        }
    }

    /// Says how many rows there are in all, as far as the file can be trusted.
    pub(in crate::intake) fn with_total_rows(self, total_rows: Option<u64>) -> Self {
        Self { total_rows, ..self }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows given so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How much of the file these are, in bytes of it; never less than before, and no more than the file has.
    pub fn bytes_read(&self) -> u64 {
        let bytes = self.file.bytes();
        match self.total_rows {
            Some(total) if total > 0 => {
                let share = u128::from(bytes) * u128::from(self.rows.min(total)) / u128::from(total);
                u64::try_from(share).unwrap_or(bytes)
            }
            _ => self.file.bytes_read().min(bytes),
        }
    }

    fn step(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            match self.batches.next() {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    self.rows += batch.num_rows() as u64;
                    return Some(Ok(batch));
                }
                Some(Err(cause)) => return Some(Err(cause)),
                None if self.rows == 0 => {
                    return Some(Err(Error::Format("there are no rows in the file".into())));
                }
                None => return None,
            }
        }
    }
}

impl Iterator for IntakeBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().map(|step| step.map_err(|cause| self.file.error(cause)));
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

impl fmt::Debug for IntakeBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntakeBatches").field("file", &self.file).field("rows", &self.rows).finish()
    }
}

/// Foreign batches with types of their own, converted; large ones in parts.
pub(in crate::intake) struct Typed<C> {
    batches: ForeignBatches,
    convert: C,
    pace: Pace,
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    first_row: u64,
}

impl<C: Fn(&RecordBatch, u64) -> Result<RecordBatch>> Typed<C> {
    pub(in crate::intake) fn new(batches: ForeignBatches, convert: C) -> Self {
        Self { batches, convert, pace: Pace::new(limits::INTAKE_BATCH_ROWS), rest: None, first_row: 0 }
    }

    /// Converts the next rows of a batch; nothing yet if they are too large once unpacked, and are tried again in
    /// smaller parts.
    fn convert(&mut self, batch: RecordBatch) -> Option<Result<RecordBatch>> {
        let rows = self.pace.rows().min(batch.num_rows());
        match (self.convert)(&batch.slice(0, rows), self.first_row) {
            Err(Error::TooMuch { .. }) if self.pace.take_fewer(rows) => {
                self.rest = Some(batch);
                None
            }
            converted => {
                if let Ok(converted) = &converted {
                    self.pace.took(rows, batch_bytes(converted));
                }
                self.first_row += rows as u64;
                self.rest = (rows < batch.num_rows()).then(|| batch.slice(rows, batch.num_rows() - rows));
                Some(converted)
            }
        }
    }
}

impl<C: Fn(&RecordBatch, u64) -> Result<RecordBatch>> Iterator for Typed<C> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = match self.rest.take() {
                Some(rest) => rest,
                None => match self.batches.next()? {
                    Ok(batch) => batch,
                    Err(cause) => return Some(Err(cause)),
                },
            };
            if let Some(converted) = self.convert(batch) {
                return Some(converted);
            }
        }
    }
}
