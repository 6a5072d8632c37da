//! Parquet files, read in batches that fit into memory once decoded.

use std::io::{BufReader, Read};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
    error::ArrowError,
};
use bytes::Bytes;
use lineate_types::limits;
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    basic::Compression,
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{ChunkReader, Length},
    },
};

use super::{super::unwinding::caught, ForeignFile, Typing, pace::Pace};
use crate::{Error, Result, decoded_bytes::row_bytes, run::batches::column_bytes};

/// What every Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// The magic twice, and the length of the footer.
const LEAST_BYTES: u64 = 12;

pub(super) fn open(file: &ForeignFile) -> Result<Typing> {
    check_ends(file)?;
    let metadata = guarded(|| ArrowReaderMetadata::load(file, ArrowReaderOptions::default()))?;
    let schema = metadata.schema().clone();
    check_codecs(metadata.metadata())?;
    let total_rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).ok();
    let pace = Pace::new(most_rows(metadata.metadata()));
    let mut batches = Batches { file: file.clone(), metadata, pace, rows: 0, reader: None };
    batches.reader = Some(batches.open()?);
    Ok(Typing { schema, batches: Box::new(batches), total_rows })
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

/// Rows of a batch so that an average one has few enough bytes, by what the file says of itself.
fn most_rows(metadata: &ParquetMetaData) -> usize {
    let rows = limits::INTAKE_BATCH_BYTES as u64 / row_bytes(metadata, |_| true).max(1);
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// The batches; none after an error.
struct Batches {
    file: ForeignFile,
    metadata: ArrowReaderMetadata,
    pace: Pace,
    /// Rows given so far.
    rows: u64,
    reader: Option<Reader>,
}

/// A decoder of the rows from some row on, so many at once.
struct Reader {
    batches: ParquetRecordBatchReader,
    batch_rows: usize,
}

impl Batches {
    /// A reader of the rows that are left. What it passes over of a row group is skipped, not decoded.
    fn open(&self) -> Result<Reader> {
        let mut passed_over = self.rows;
        let groups = self.metadata.metadata().row_groups().iter().enumerate();
        let left = groups.skip_while(|(_, group)| {
            let rows = group.num_rows().max(0).unsigned_abs();
            let is_over = rows <= passed_over;
            passed_over -= if is_over { rows } else { 0 };
            is_over
        });
        let left: Vec<usize> = left.map(|(number, _)| number).collect();
        let batch_rows = self.pace.rows();
        let batches = guarded(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
                .with_row_groups(left)
                .with_offset(usize::try_from(passed_over).unwrap_or(usize::MAX))
                .with_batch_size(batch_rows)
                .build()
        })?;
        Ok(Reader { batches, batch_rows })
    }

    /// The next batch, by a reader that is kept until another number of rows is wanted.
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut reader = match self.reader.take() {
                Some(reader) if reader.batch_rows == self.pace.rows() => reader,
                _ => self.open()?,
            };
            match guarded(|| reader.batches.next().transpose()) {
                Ok(Some(batch)) => {
                    self.rows += batch.num_rows() as u64;
                    self.pace.took(batch.num_rows(), own_bytes(&batch));
                    self.reader = Some(reader);
                    return Ok(Some(batch));
                }
                Ok(None) => return Ok(None),
                // More than Arrow counts in 32 bits looks like damage; fewer rows tell.
                Err(cause) if !self.pace.take_fewer(reader.batch_rows) => return Err(cause),
                Err(_) => {}
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Bytes that the rows of a batch take, without dictionaries and pages that batches share.
fn own_bytes(batch: &RecordBatch) -> usize {
    let lengths = |views: &[u128]| views.iter().map(|view| size_of::<u128>() + (*view as u32) as usize).sum();
    let bytes = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Dictionary(..) => column.len() * size_of::<u32>(),
        DataType::Utf8View => column.as_string_view_opt().map_or(0, |column| lengths(column.views())),
        DataType::BinaryView => column.as_binary_view_opt().map_or(0, |column| lengths(column.views())),
        _ => column_bytes(column),
    });
    bytes.sum()
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
