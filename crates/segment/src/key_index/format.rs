//! The layout of a key index, byte by byte; all numbers little-endian.

use bytes::{Buf, BufMut, Bytes};
use lineate_types::{Bucket, limits};

use crate::run::KeyRef;

/// The first eight bytes of the blob, and the last.
pub(super) const MAGIC: [u8; 8] = *b"LNTKEYIX";
/// The version of this layout.
pub(super) const VERSION: u32 = 1;
/// Magic and version.
pub(super) const HEADER_BYTES: u64 = 12;
/// See [`Footer`].
pub(super) const FOOTER_BYTES: usize = 68;
/// Keys of one block, at most.
pub(super) const BLOCK_KEYS: usize = 128;
/// Bytes after which a block is closed; it exceeds them by at most one entry.
pub(super) const BLOCK_BYTES: usize = 4_096;
/// Bytes of the segment under one checksum.
pub(crate) const CHECKSUM_BLOCK_BYTES: usize = 16 * 1024;

/// One block of keys, as the directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockEntry {
    pub(super) bucket: Bucket,
    pub(super) keys: u16,
    /// The number of the first row of the first key.
    pub(super) first_row: u32,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) checksum: u32,
    pub(super) first_key: Bytes,
}

/// The end of the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where blocks end and the checksums of the segment begin.
    pub(super) checksums_offset: u64,
    /// Where the directory begins; it ends at the footer.
    pub(super) directory_offset: u64,
    /// Bytes of the segment the checksums are of.
    pub(super) segment_bytes: u64,
    pub(super) keys: u64,
    pub(super) rows: u64,
    pub(super) blocks: u64,
    /// CRC-32C of the bytes from `checksums_offset` to the footer.
    pub(super) tail_checksum: u32,
}

impl BlockEntry {
    pub(super) fn key(&self) -> KeyRef<'_> {
        KeyRef { bucket: self.bucket, bytes: &self.first_key }
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.put_u16_le(self.bucket.0);
        to.put_u16_le(self.keys);
        to.put_u32_le(self.first_row);
        to.put_u64_le(self.offset);
        to.put_u32_le(self.bytes);
        to.put_u32_le(self.checksum);
        put_key(&self.first_key, to);
    }

    /// Takes one entry from the front; none if it is cut short or out of bounds.
    pub(super) fn read(from: &mut Bytes) -> Option<Self> {
        let entry = Self {
            bucket: Bucket(from.try_get_u16_le().ok()?),
            keys: from.try_get_u16_le().ok()?,
            first_row: from.try_get_u32_le().ok()?,
            offset: from.try_get_u64_le().ok()?,
            bytes: from.try_get_u32_le().ok()?,
            checksum: from.try_get_u32_le().ok()?,
            first_key: take_key(from)?,
        };
        let small = entry.bytes as usize <= BLOCK_BYTES + limits::KEY_BYTES + 6;
        (small && entry.keys > 0 && entry.bucket.0 < limits::BUCKETS).then_some(entry)
    }
}

impl Footer {
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.put_u64_le(self.checksums_offset);
        to.put_u64_le(self.directory_offset);
        to.put_u64_le(self.segment_bytes);
        to.put_u64_le(self.keys);
        to.put_u64_le(self.rows);
        to.put_u64_le(self.blocks);
        to.put_u32_le(self.tail_checksum);
        let checksum = crc32c::crc32c(to.get(start..).unwrap_or_default());
        to.put_u32_le(checksum);
        to.put_u32_le(VERSION);
        to.put_slice(&MAGIC);
    }

    /// Reads the last [`FOOTER_BYTES`] of a blob.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(bytes: &Bytes) -> Result<Self, String> {
        let short = || "its footer is cut short".to_owned();
        let (fields, mut end) = bytes.split_at_checked(FOOTER_BYTES - 16).ok_or_else(short)?;
        let checksum = end.try_get_u32_le().map_err(|_| short())?;
        let version = end.try_get_u32_le().map_err(|_| short())?;
        if end != MAGIC {
            return Err("it does not end as a key index does".to_owned());
        }
        if version != VERSION {
            return Err(format!("it has format version {version}; this build reads {VERSION}"));
        }
        if checksum != crc32c::crc32c(fields) {
            return Err("its footer does not match its checksum".to_owned());
        }
        let mut fields = fields;
        let mut next = || fields.try_get_u64_le().map_err(|_| short());
        Ok(Self {
            checksums_offset: next()?,
            directory_offset: next()?,
            segment_bytes: next()?,
            keys: next()?,
            rows: next()?,
            blocks: next()?,
            tail_checksum: fields.try_get_u32_le().map_err(|_| short())?,
        })
    }
}

/// One key of a block: how many rows it has, its length, its bytes.
pub(super) fn put_entry(key: &[u8], rows: u32, to: &mut Vec<u8>) {
    to.put_u32_le(rows);
    put_key(key, to);
}

/// Takes one key of a block from the front.
pub(super) fn take_entry(from: &mut Bytes) -> Option<(Bytes, u32)> {
    let rows = from.try_get_u32_le().ok()?;
    Some((take_key(from)?, rows))
}

/// Keys are at most `limits::KEY_BYTES` long, which 16 bits hold; the writer checks it.
fn put_key(key: &[u8], to: &mut Vec<u8>) {
    to.put_u16_le(u16::try_from(key.len()).unwrap_or(u16::MAX));
    to.put_slice(key);
}

fn take_key(from: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(from.try_get_u16_le().ok()?);
    (length <= from.len()).then(|| from.split_to(length))
}
