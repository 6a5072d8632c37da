//! Tables as Parquet blobs in row order: the stored spine and the stored output (`docs/formats/training-set-files.md`).

#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use lineate_segment::decoded_bytes::row_bytes;
use lineate_storage::blob::{BlobFile, BlobInfo, BlobStore, BlobWriter};
use lineate_types::{Hash, limits};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        reader::{ChunkReader, Length},
    },
};

use crate::{Error, Result};

/// Rows of one row group, and of one batch that is read, at most.
const ROW_GROUP_ROWS: usize = 65_536;
/// Bytes of one row group, which is in memory while it is written.
const ROW_GROUP_BYTES: usize = 128 * 1024 * 1024;

/// Bytes of one page, and of the dictionary of a column.
const PAGE_BYTES: usize = 1024 * 1024;
/// Rows of one page.
const PAGE_ROWS: usize = 20_000;
/// Rows after which the limits of a page are looked at.
const WRITE_ROWS: usize = 1_024;
/// What wrote the file. Not the release, which changes nothing here.
const CREATED_BY: &str = "lineate";

/// The fixed choices of the writer. What the library chooses by itself is said too: it may choose otherwise one day.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_dictionary_enabled(true)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(WRITE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build()
}

/// A Parquet blob being written.
pub(crate) struct TableWriter {
    parquet: ArrowWriter<TableBlob>,
    rows: u64,
}

impl TableWriter {
    /// Begins a table.
    pub(crate) fn new(blobs: &dyn BlobStore, schema: SchemaRef) -> Result<Self> {
        let blob = TableBlob(Some(blobs.writer()?));
        let parquet = ArrowWriter::try_new(blob, schema, Some(properties())).map_err(write_error)?;
        Ok(Self { parquet, rows: 0 })
    }

    /// Adds rows.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.parquet.write(batch).map_err(write_error)
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the table: a durable blob, and its rows.
    pub(crate) fn finish(mut self) -> Result<(BlobInfo, u64)> {
        // Not by `into_inner`: that makes a text of why the last bytes cannot be written.
        self.parquet.finish().map_err(write_error)?;
        let blob = self.parquet.inner_mut().0.take();
        let blob = blob.ok_or_else(|| Error::Invalid("the table is ended".to_owned()))?;
        Ok((blob.finish()?, self.rows))
    }
}

/// A blob that is taken from the Parquet writer at the end.
struct TableBlob(Option<Box<dyn BlobWriter>>);

impl TableBlob {
    fn blob(&mut self) -> io::Result<&mut Box<dyn BlobWriter>> {
        self.0.as_mut().ok_or_else(|| io::Error::other("the table is ended"))
    }
}

impl io::Write for TableBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blob()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob()?.flush()
    }
}

/// A table blob, read in row order.
pub(crate) struct TableReader {
    pub(crate) schema: SchemaRef,
    /// Bytes of one row, roughly.
    pub(crate) row_bytes: u64,
    pub(crate) batches: ParquetRecordBatchReader,
}

/// Reads a table blob in batches of about [`limits::TRAINING_BATCH_BYTES`], where `more_row_bytes` of other columns
/// will stand beside each row.
///
/// # Errors
/// The blob is missing or no Parquet file.
pub(crate) fn read_table(blobs: &dyn BlobStore, hash: &Hash, more_row_bytes: u64) -> Result<TableReader> {
    let file = BlobChunks(blobs.open(hash)?);
    let damaged = |cause: ParquetError| Error::Output(format!("blob {hash}: {cause}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
    let schema = builder.schema().clone();
    let row_bytes = row_bytes(builder.metadata(), |_| true);
    let rows = batch_rows(row_bytes.saturating_add(more_row_bytes));
    let batches = builder.with_batch_size(rows).build().map_err(damaged)?;
    Ok(TableReader { schema, row_bytes, batches })
}

/// Rows of one batch of rows of so many bytes: a power of two, so that no batch crosses a row group.
fn batch_rows(row_bytes: u64) -> usize {
    let rows = limits::TRAINING_BATCH_BYTES as u64 / row_bytes.max(1);
    let rows = usize::try_from(rows).unwrap_or(ROW_GROUP_ROWS).clamp(1, ROW_GROUP_ROWS);
    1 << rows.ilog2()
}

fn write_error(cause: ParquetError) -> Error {
    match cause {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => lineate_storage::Error::io("write a table to", "the blob store", *cause).into(),
            Err(cause) => Error::Invalid(format!("the table cannot be written: {cause}")),
        },
        cause => Error::Invalid(format!("the table cannot be written as Parquet: {cause}")),
    }
}

/// A blob as the Parquet reader wants it.
struct BlobChunks(Arc<dyn BlobFile>);

impl Length for BlobChunks {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for BlobChunks {
    type T = BlobReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<BlobReader> {
        Ok(BlobReader { file: self.0.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.0.read_at(start, length).map_err(|cause| ParquetError::External(Box::new(cause)))
    }
}

struct BlobReader {
    file: Arc<dyn BlobFile>,
    at: u64,
}

impl io::Read for BlobReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(into.len());
        let bytes = self.file.read_at(self.at, length).map_err(io::Error::other)?;
        if let Some(into) = into.get_mut(..length) {
            into.copy_from_slice(&bytes);
        }
        self.at += length as u64;
        Ok(length)
    }
}
