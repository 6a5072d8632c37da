//! Foreign files: their format by content, their batches, their rows as canonical batches.
//!
//! Memory stays bounded by a batch, whatever the size of the file. A file is read by offset, so that one
//! open file can be read more than once.
//!
//! Deliberately absent: archives and compressed text; directories and globs (see the client).

mod arrow_file;
mod arrow_stream;
mod batches;
mod detect;
mod handle;
mod pace;
mod parquet_file;

pub use batches::IntakeBatches;
pub use detect::FileFormat;
pub use handle::ForeignFile;

pub(super) use batches::Typed;

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::Intake;
use crate::Result;

/// Batches of a file that carries its types.
pub(super) type ForeignBatches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// An open file that carries its types.
pub(super) struct Typing {
    pub(super) schema: SchemaRef,
    pub(super) batches: ForeignBatches,
    /// All rows, where the file says how many.
    pub(super) total_rows: Option<u64>,
}

/// Opens a file that carries its types; none for a text format.
pub(super) fn open_typed(file: &ForeignFile, format: FileFormat) -> Result<Option<Typing>> {
    match format {
        FileFormat::Parquet => parquet_file::open(file).map(Some),
        FileFormat::ArrowFile => arrow_file::open(file).map(Some),
        FileFormat::ArrowStream => arrow_stream::open(file).map(Some),
        FileFormat::Ndjson | FileFormat::Csv => Ok(None),
    }
}

impl Intake {
    /// The rows of a file as canonical batches, in file order.
    ///
    /// Names and types of all columns are checked before this returns, where the format carries them.
    ///
    /// # Errors
    /// The file is empty, cut short, damaged or of no known format, or its columns are not the view's. The
    /// batches give the errors of [`Intake::convert`], with the file's name, and one if there is no row.
    pub fn open(&self, file: &ForeignFile) -> Result<IntakeBatches> {
        file.naming(|| {
            let format = file.format()?;
            let schema = self.schema().arrow().clone();
            match open_typed(file, format)? {
                Some(Typing { schema: foreign, batches, total_rows }) => {
                    self.check_schema(&foreign)?;
                    let intake = self.clone();
                    let convert = move |batch: &RecordBatch, first_row| intake.convert(batch, first_row);
                    let batches = Typed::new(batches, convert);
                    Ok(IntakeBatches::new(file, schema, batches).with_total_rows(total_rows))
                }
                None => Ok(IntakeBatches::new(file, schema, self.open_text(file, format)?)),
            }
        })
    }
}
