//! A segment's bytes, compared with their checksums before anything decodes them.

use std::{
    io::{self, Read},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use lineate_storage::blob::BlobFile;
use lineate_types::Hash;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use crate::{Error, Result, key_index::CHECKSUM_BLOCK_BYTES};

/// A segment file as the Parquet decoder reads it. The decoder flattens errors to text, so the first failure is
/// kept aside for whoever started the read.
#[derive(Clone)]
pub(super) struct CheckedFile {
    file: Arc<dyn BlobFile>,
    segment: Hash,
    checksums: Arc<[u32]>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl CheckedFile {
    pub(super) fn new(file: Arc<dyn BlobFile>, segment: Hash, checksums: Arc<[u32]>) -> Self {
        Self { file, segment, checksums, failure: Arc::default() }
    }

    /// The same file with a failure of its own, for one read.
    pub(super) fn for_one_read(&self) -> Self {
        Self { failure: Arc::default(), ..self.clone() }
    }

    /// Why the decoder failed: what this file reported, or else that the decoder could not read checked bytes.
    pub(super) fn failure(&self, decoder_says: &dyn std::error::Error) -> Error {
        let kept = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(|| self.corrupt(decoder_says.to_string()))
    }

    /// An error that says this segment is damaged.
    pub(super) fn corrupt(&self, why: impl Into<String>) -> Error {
        Error::Corrupt { segment: self.segment, why: why.into() }
    }

    /// Reads the whole checksum blocks around a range, checks them, and cuts the range out.
    fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.file.len() {
            let (start, end) = (range.start, range.end);
            let length = self.file.len();
            return Err(self.corrupt(format!("bytes {start} to {end} are beyond its {length} bytes")));
        }
        let block_bytes = CHECKSUM_BLOCK_BYTES as u64;
        let first_block = range.start / block_bytes;
        let start = first_block * block_bytes;
        let end = range.end.div_ceil(block_bytes).saturating_mul(block_bytes).min(self.file.len());
        let bytes = self.file.read_at(start, (end - start) as usize)?;
        let checksums = self.checksums.get(first_block as usize..).unwrap_or_default();
        for (number, block) in bytes.chunks(CHECKSUM_BLOCK_BYTES).enumerate() {
            if checksums.get(number) != Some(&crc32c::crc32c(block)) {
                let offset = start + number as u64 * block_bytes;
                return Err(self.corrupt(format!("the bytes at {offset} do not match their checksum")));
            }
        }
        Ok(bytes.slice((range.start - start) as usize..(range.end - start) as usize))
    }

    fn read_or_keep_failure(&self, range: Range<u64>) -> std::result::Result<Bytes, ParquetError> {
        self.read(range).map_err(|cause| {
            let text = cause.to_string();
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
            ParquetError::General(text)
        })
    }
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for CheckedFile {
    type T = CheckedReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<CheckedReader> {
        Ok(CheckedReader { file: self.clone(), offset: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read_or_keep_failure(start..start.saturating_add(length as u64))
    }
}

/// Reads on from an offset, a checksum block at a time.
pub(super) struct CheckedReader {
    file: CheckedFile,
    offset: u64,
    buffer: Bytes,
}

impl Read for CheckedReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let block_bytes = CHECKSUM_BLOCK_BYTES as u64;
            let end = (self.offset / block_bytes + 1).saturating_mul(block_bytes).min(self.file.len());
            if self.offset >= end {
                return Ok(0);
            }
            self.buffer = self.file.read_or_keep_failure(self.offset..end).map_err(io::Error::other)?;
            self.offset = end;
        }
        let length = to.len().min(self.buffer.len());
        let now = self.buffer.split_to(length);
        if let Some(to) = to.get_mut(..length) {
            to.copy_from_slice(&now);
        }
        Ok(length)
    }
}
