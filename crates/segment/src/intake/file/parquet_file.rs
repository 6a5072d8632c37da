//! Parquet files, read row group by row group in batches that fit into memory.

use std::io::{BufReader, Read};

use arrow::{array::RecordBatch, error::ArrowError};
use bytes::Bytes;
use lineate_types::limits;
use parquet::{
    arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    basic::Compression,
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{ChunkReader, Length},
    },
};

use super::{super::unwinding::caught, ForeignFile, Typing};
use crate::{Error, Result};

/// What every Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// The magic twice, and the length of the footer.
const LEAST_BYTES: u64 = 12;
/// Bytes of a decoded batch aimed at.
const BATCH_BYTES: u64 = 64 * 1024 * 1024;

pub(super) fn open(file: &ForeignFile) -> Result<Typing> {
    check_ends(file)?;
    let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file.clone()))?;
    let schema = builder.schema().clone();
    check_codecs(builder.metadata())?;
    let rows = batch_rows(builder.metadata());
    let total_rows = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
    let reader = guarded(|| builder.with_batch_size(rows).build())?;
    Ok(Typing { schema, batches: Box::new(Batches { reader: Some(reader) }), total_rows })
}

fn check_ends(file: &ForeignFile) -> Result<()> {
    let tail = file.bytes().checked_sub(MAGIC.len() as u64).filter(|_| file.bytes() >= LEAST_BYTES);
    let complete = match tail {
        Some(offset) => file.read_at(offset, MAGIC.len())?.as_ref() == MAGIC,
        None => false,
    };
    if complete { Ok(()) } else { Err(Error::Format("the parquet file is cut short".into())) }
}

/// Says so before decoding if a column is compressed in a way that is not built in.
fn check_codecs(metadata: &ParquetMetaData) -> Result<()> {
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    let odd = |codec: Compression| match codec {
        Compression::BROTLI(_) => Some("brotli"),
        Compression::LZO => Some("lzo"),
        _ => None,
    };
    match columns.map(|column| column.compression()).find_map(odd) {
        Some(codec) => Err(Error::Format(format!(
            "the parquet file is compressed by {codec}; write it with snappy, zstd, gzip or lz4"
        ))),
        None => Ok(()),
    }
}

/// Rows of a batch so that an average one stays near [`BATCH_BYTES`].
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let sizes = metadata.row_groups().iter().map(|group| group.total_byte_size().max(0).unsigned_abs());
    let bytes = sizes.fold(0_u64, u64::saturating_add);
    let per_row = bytes.checked_div(rows).unwrap_or(0).max(1);
    usize::try_from(BATCH_BYTES / per_row).unwrap_or(1).clamp(1, limits::INTAKE_BATCH_ROWS)
}

/// The batches; none after an error.
struct Batches {
    reader: Option<ParquetRecordBatchReader>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader.take()?;
        let batch = match guarded(|| reader.next().transpose()) {
            Ok(batch) => batch?,
            Err(cause) => return Some(Err(cause)),
        };
        self.reader = Some(reader);
        Some(Ok(batch))
    }
}

/// Why Parquet bytes cannot be decoded, whichever layer says so.
trait Damage {
    fn why(self) -> String;
}

impl Damage for ParquetError {
    fn why(self) -> String {
        self.to_string()
    }
}

impl Damage for ArrowError {
    fn why(self) -> String {
        self.to_string()
    }
}

/// Runs the Parquet decoder; its panics on hostile bytes become errors.
fn guarded<T, E: Damage>(decode: impl FnOnce() -> std::result::Result<T, E>) -> Result<T> {
    match caught(decode) {
        Some(Ok(decoded)) => Ok(decoded),
        Some(Err(cause)) => Err(Error::Format(format!("the parquet file is damaged: {}", cause.why()))),
        None => Err(Error::Format("the parquet file is damaged: it cannot be decoded".into())),
    }
}

impl Length for ForeignFile {
    fn len(&self) -> u64 {
        self.bytes()
    }
}

impl ChunkReader for ForeignFile {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(Box::new(BufReader::new(self.reader(start))))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read_at(start, length).map_err(|cause| ParquetError::External(Box::new(cause)))
    }
}
