//! Writes a key index, streaming: only the directory is held in memory.

use std::io::Write;

use bytes::{BufMut, Bytes};
use lineate_storage::blob::{BlobInfo, BlobStore, BlobWriter};
use lineate_types::{Bucket, KeyError, limits};

use super::format::{
    BLOCK_BYTES, BLOCK_KEYS, BlockEntry, CHECKSUM_BLOCK_BYTES, Footer, HEADER_BYTES, MAGIC, VERSION,
    put_entry,
};
use crate::{Error, Result, error::write_error, run::KeyRef};

/// CRC-32C of each block of `CHECKSUM_BLOCK_BYTES` of a segment, taken while it is written.
#[derive(Debug, Clone, Default)]
pub struct SegmentChecksums {
    checksums: Vec<u32>,
    current: u32,
    bytes: u64,
}

/// Takes keys in run order with the number of rows of each.
pub struct KeyIndexWriter {
    blob: Box<dyn BlobWriter>,
    offset: u64,
    directory: Vec<BlockEntry>,
    block: Option<OpenBlock>,
    /// The last key pushed, whose rows are still being counted.
    pending: Option<(Bucket, Vec<u8>, u32)>,
    keys: u64,
    /// Rows pushed.
    rows: u32,
    /// Rows of the keys that are in blocks.
    settled_rows: u32,
}

struct OpenBlock {
    entry: BlockEntry,
    payload: Vec<u8>,
}

impl SegmentChecksums {
    /// Adds the next bytes of the segment.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = (self.bytes % CHECKSUM_BLOCK_BYTES as u64) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(CHECKSUM_BLOCK_BYTES - filled));
            self.current = crc32c::crc32c_append(self.current, now);
            self.bytes += now.len() as u64;
            if filled + now.len() == CHECKSUM_BLOCK_BYTES {
                self.checksums.push(std::mem::take(&mut self.current));
            }
            bytes = later;
        }
    }

    /// How many bytes were added.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn finish(mut self) -> (Vec<u32>, u64) {
        if !self.bytes.is_multiple_of(CHECKSUM_BLOCK_BYTES as u64) {
            self.checksums.push(self.current);
        }
        (self.checksums, self.bytes)
    }
}

impl KeyIndexWriter {
    /// Begins an index.
    ///
    /// # Errors
    /// The blob cannot be written.
    pub fn new(blobs: &dyn BlobStore) -> Result<Self> {
        let mut blob = blobs.writer()?;
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        header.put_slice(&MAGIC);
        header.put_u32_le(VERSION);
        blob.write_all(&header).map_err(write_error)?;
        let offset = HEADER_BYTES;
        let (directory, block, pending) = (Vec::new(), None, None);
        Ok(Self { blob, offset, directory, block, pending, keys: 0, rows: 0, settled_rows: 0 })
    }

    /// Adds the next rows, all of one key: the last one again, or one above it.
    ///
    /// # Errors
    /// The key is below the last one or too long, there are more than `u32::MAX` rows, or the blob cannot be
    /// written.
    pub fn push(&mut self, key: KeyRef<'_>, rows: u32) -> Result<()> {
        self.rows = self.rows.checked_add(rows).ok_or_else(|| Error::TooMuch {
            what: "rows of a segment",
            actual: u64::from(self.rows) + u64::from(rows),
            limit: u64::from(u32::MAX),
        })?;
        if let Some((bucket, bytes, pending_rows)) = &mut self.pending {
            let last = KeyRef { bucket: *bucket, bytes };
            if last == key {
                *pending_rows += rows;
                return Ok(());
            }
            if last > key {
                return Err(Error::Invalid("the keys of a run must ascend by (bucket, key bytes)".into()));
            }
        }
        if key.bytes.len() > limits::KEY_BYTES {
            return Err(KeyError::TooLong { bytes: key.bytes.len() }.into());
        }
        self.settle_pending()?;
        self.pending = Some((key.bucket, key.bytes.to_vec(), rows));
        Ok(())
    }

    /// How many rows were pushed.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// How many keys were pushed.
    pub fn keys(&self) -> u64 {
        self.keys + u64::from(self.pending.is_some())
    }

    /// Ends the index of a segment with these checksums.
    ///
    /// # Errors
    /// The blob cannot be written.
    pub fn finish(mut self, checksums: SegmentChecksums) -> Result<BlobInfo> {
        self.settle_pending()?;
        self.close_block()?;
        let (checksums, segment_bytes) = checksums.finish();
        let mut tail = Vec::with_capacity(checksums.len() * 4);
        checksums.iter().for_each(|checksum| tail.put_u32_le(*checksum));
        let directory_offset = self.offset + tail.len() as u64;
        self.directory.iter().for_each(|entry| entry.write(&mut tail));
        let footer = Footer {
            checksums_offset: self.offset,
            directory_offset,
            segment_bytes,
            keys: self.keys,
            rows: u64::from(self.rows),
            blocks: self.directory.len() as u64,
            tail_checksum: crc32c::crc32c(&tail),
        };
        footer.write(&mut tail);
        self.blob.write_all(&tail).map_err(write_error)?;
        Ok(self.blob.finish()?)
    }

    /// Puts the pending key into a block, now that all its rows are known.
    fn settle_pending(&mut self) -> Result<()> {
        let Some((bucket, key, rows)) = self.pending.take() else { return Ok(()) };
        let is_full = |block: &OpenBlock| {
            usize::from(block.entry.keys) >= BLOCK_KEYS
                || block.payload.len() >= BLOCK_BYTES
                || block.entry.bucket != bucket
        };
        if self.block.as_ref().is_some_and(is_full) {
            self.close_block()?;
        }
        let first_row = self.settled_rows;
        let block = self.block.get_or_insert_with(|| OpenBlock {
            entry: BlockEntry {
                bucket,
                keys: 0,
                first_row,
                offset: self.offset,
                bytes: 0,
                checksum: 0,
                first_key: Bytes::from(key.clone()),
            },
            payload: Vec::with_capacity(BLOCK_BYTES * 2),
        });
        put_entry(&key, rows, &mut block.payload);
        block.entry.keys += 1;
        self.keys += 1;
        self.settled_rows += rows;
        Ok(())
    }

    fn close_block(&mut self) -> Result<()> {
        let Some(OpenBlock { mut entry, payload }) = self.block.take() else { return Ok(()) };
        entry.bytes = payload.len() as u32;
        entry.checksum = crc32c::crc32c(&payload);
        self.blob.write_all(&payload).map_err(write_error)?;
        self.offset += payload.len() as u64;
        self.directory.push(entry);
        Ok(())
    }
}
