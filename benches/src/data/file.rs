//! Parquet files: written from generated batches, and read back as the floor of everything that reads them.

use std::{fs::File, path::Path};

use arrow::array::RecordBatch;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};

use crate::{Error, Result};

/// Rows of one decoded batch.
const BATCH_ROWS: usize = 8_192;

/// Writes batches into one file, as most tools would: Snappy, defaults otherwise.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, mut batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<u64> {
    let file = File::create(path).map_err(Error::file(path))?;
    let Some(first) = batches.next().transpose()? else { return Ok(0) };
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(file, first.schema(), Some(properties))?;
    writer.write(&first)?;
    let mut rows = first.num_rows();
    for batch in batches {
        let batch = batch?;
        writer.write(&batch)?;
        rows += batch.num_rows();
    }
    writer.close()?;
    Ok(rows as u64)
}

/// Reads and decodes every column of a file in one thread, and counts its rows.
///
/// # Errors
/// The file cannot be read.
pub fn decode(path: &Path) -> Result<u64> {
    let file = File::open(path).map_err(Error::file(path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS).build()?;
    let mut rows = 0;
    for batch in reader {
        rows += std::hint::black_box(batch?).num_rows();
    }
    Ok(rows as u64)
}
