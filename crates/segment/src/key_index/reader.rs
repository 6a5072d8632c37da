//! Reads a key index: the directory at once, a block at a time.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use lineate_storage::blob::{BlobFile, BlobStore};
use lineate_types::{EntityKey, Hash};

use super::format::{
    BlockEntry, CHECKSUM_BLOCK_BYTES, FOOTER_BYTES, Footer, HEADER_BYTES, MAGIC, VERSION, take_entry,
};
use crate::{
    Error, Result,
    run::{KeyRef, KeyTable},
};

/// An open key index. Cheap to share; a lookup reads one block.
pub struct KeyIndex {
    file: Arc<dyn BlobFile>,
    hash: Hash,
    footer: Footer,
    directory: Vec<BlockEntry>,
    checksums: Arc<[u32]>,
}

/// The rows of one key in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRows {
    /// The number of the first one.
    pub first: u32,
    /// How many there are, at least one.
    pub count: u32,
}

impl KeyIndex {
    /// Opens the index of this name and checks its header, directory and footer.
    ///
    /// # Errors
    /// The blob is missing, cannot be read, is damaged or has another format version.
    pub fn open(blobs: &dyn BlobStore, hash: &Hash) -> Result<Self> {
        let file = blobs.open(hash)?;
        let corrupt = |why: String| Error::Corrupt { segment: *hash, why };
        let length = file.len();
        let footer_offset = length.checked_sub(FOOTER_BYTES as u64).filter(|offset| *offset >= HEADER_BYTES);
        let Some(footer_offset) = footer_offset else {
            return Err(corrupt(format!("a key index of {length} bytes is cut short")));
        };
        let header = file.read_at(0, HEADER_BYTES as usize)?;
        let expected_header: Vec<u8> = MAGIC.into_iter().chain(VERSION.to_le_bytes()).collect();
        if header != expected_header {
            return Err(corrupt("it does not begin as a key index of this version does".to_owned()));
        }
        let footer = Footer::read(&file.read_at(footer_offset, FOOTER_BYTES)?).map_err(corrupt)?;

        let ascends =
            [HEADER_BYTES, footer.checksums_offset, footer.directory_offset, footer_offset].is_sorted();
        if !ascends {
            return Err(corrupt("the parts of its footer overlap".to_owned()));
        }
        let tail_bytes = (footer_offset - footer.checksums_offset) as usize;
        let mut tail = file.read_at(footer.checksums_offset, tail_bytes)?;
        if crc32c::crc32c(&tail) != footer.tail_checksum {
            return Err(corrupt("its directory does not match its checksum".to_owned()));
        }
        let checksums = tail.split_to((footer.directory_offset - footer.checksums_offset) as usize);
        let directory = read_directory(tail, &footer).map_err(corrupt)?;
        let checksums = read_checksums(checksums, &footer).map_err(corrupt)?;
        Ok(Self { file, hash: *hash, footer, directory, checksums })
    }

    /// How many keys there are.
    pub fn keys(&self) -> u64 {
        self.footer.keys
    }

    /// How many rows the segment has.
    pub fn rows(&self) -> u64 {
        self.footer.rows
    }

    /// How many bytes the segment has.
    pub fn segment_bytes(&self) -> u64 {
        self.footer.segment_bytes
    }

    /// The checksums of the segment, one per [`CHECKSUM_BLOCK_BYTES`].
    pub(crate) fn checksums(&self) -> &Arc<[u32]> {
        &self.checksums
    }

    /// The rows of a key, if the segment has any.
    ///
    /// # Errors
    /// The block cannot be read or is damaged.
    pub fn find(&self, key: KeyRef<'_>) -> Result<Option<KeyRows>> {
        Ok(self.find_all([key])?.first().map(|(_, rows)| *rows))
    }

    /// Those of some ascending keys that the segment has, with their rows. Reads each block once.
    ///
    /// # Errors
    /// A block cannot be read or is damaged.
    pub fn find_all<'k>(
        &self,
        keys: impl IntoIterator<Item = KeyRef<'k>>,
    ) -> Result<Vec<(KeyRef<'k>, KeyRows)>> {
        let mut found = Vec::new();
        let mut last: Option<(usize, Bytes)> = None;
        for key in keys {
            let Some(position) = self.directory.partition_point(|entry| entry.key() <= key).checked_sub(1)
            else {
                continue;
            };
            let Some(entry) = self.directory.get(position).filter(|entry| entry.bucket == key.bucket) else {
                continue;
            };
            let block = match last.take() {
                Some((held, block)) if held == position => block,
                _ => self.read_block(entry)?,
            };
            found.extend(self.find_in_block(entry, block.clone(), key)?.map(|rows| (key, rows)));
            last = Some((position, block));
        }
        Ok(found)
    }

    fn find_in_block(
        &self,
        entry: &BlockEntry,
        mut block: Bytes,
        key: KeyRef<'_>,
    ) -> Result<Option<KeyRows>> {
        let mut first = entry.first_row;
        for _ in 0..entry.keys {
            let (bytes, count) = self.take_entry(&mut block)?;
            if bytes == key.bytes {
                return Ok(Some(KeyRows { first, count }));
            }
            first = first.saturating_add(count);
        }
        Ok(None)
    }

    /// The keys of the blocks from one on, until there are enough: whole blocks, so that there may be a few more.
    /// Gives the block to go on from; none at the end.
    ///
    /// # Errors
    /// A block cannot be read or is damaged.
    pub fn keys_from(&self, block: usize, enough: usize) -> Result<(Vec<EntityKey>, Option<usize>)> {
        let mut keys = Vec::new();
        let mut position = block;
        while let Some(entry) = self.directory.get(position).filter(|_| keys.len() < enough) {
            let mut block = self.read_block(entry)?;
            for _ in 0..entry.keys {
                let (bytes, _) = self.take_entry(&mut block)?;
                keys.push(
                    EntityKey::from_bytes(bytes.to_vec())
                        .map_err(|cause| self.corrupt(&format!("one of its keys is none: {cause}")))?,
                );
            }
            position += 1;
        }
        Ok((keys, (position < self.directory.len()).then_some(position)))
    }

    /// Every key, and where the rows of each start, with the number of rows at the end.
    ///
    /// # Errors
    /// A block cannot be read or is damaged, or the counts do not add up.
    pub fn load(&self) -> Result<(KeyTable, Vec<u32>)> {
        let mut keys = KeyTable::with_capacity(self.footer.keys as usize);
        let mut starts = Vec::with_capacity(self.footer.keys as usize + 1);
        let mut row = 0_u32;
        for entry in &self.directory {
            if entry.first_row != row {
                return Err(self.corrupt("the rows of its blocks do not follow one another"));
            }
            let mut block = self.read_block(entry)?;
            for _ in 0..entry.keys {
                let (bytes, count) = self.take_entry(&mut block)?;
                keys.push(KeyRef { bucket: entry.bucket, bytes: &bytes })
                    .map_err(|_| self.corrupt("its keys do not ascend"))?;
                starts.push(row);
                row = row.checked_add(count).ok_or_else(|| self.corrupt("it counts too many rows"))?;
            }
        }
        starts.push(row);
        if keys.len() as u64 != self.footer.keys || u64::from(row) != self.footer.rows {
            return Err(self.corrupt("its blocks hold another number of keys or rows than its footer says"));
        }
        Ok((keys, starts))
    }

    fn read_block(&self, entry: &BlockEntry) -> Result<Bytes> {
        let block = self.file.read_at(entry.offset, entry.bytes as usize)?;
        if crc32c::crc32c(&block) != entry.checksum {
            return Err(self.corrupt(&format!("the block at {} does not match its checksum", entry.offset)));
        }
        Ok(block)
    }

    fn take_entry(&self, block: &mut Bytes) -> Result<(Bytes, u32)> {
        let entry = take_entry(block).filter(|(_, rows)| *rows > 0);
        entry.ok_or_else(|| self.corrupt("a block holds fewer keys than its directory says"))
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::Corrupt { segment: self.hash, why: why.to_owned() }
    }
}

/// Reads the directory and checks that its blocks fill the blob and ascend.
fn read_directory(mut bytes: Bytes, footer: &Footer) -> Result<Vec<BlockEntry>, String> {
    let mut directory: Vec<BlockEntry> = Vec::new();
    let mut offset = HEADER_BYTES;
    while bytes.has_remaining() {
        let entry = BlockEntry::read(&mut bytes).ok_or("its directory is cut short")?;
        if entry.offset != offset || directory.last().is_some_and(|last| last.key() >= entry.key()) {
            return Err("the blocks of its directory do not follow one another".to_owned());
        }
        offset += u64::from(entry.bytes);
        directory.push(entry);
    }
    let keys: u64 = directory.iter().map(|entry| u64::from(entry.keys)).sum();
    if offset != footer.checksums_offset || directory.len() as u64 != footer.blocks || keys != footer.keys {
        return Err("its directory holds another number of blocks or keys than its footer says".to_owned());
    }
    Ok(directory)
}

fn read_checksums(mut bytes: Bytes, footer: &Footer) -> Result<Arc<[u32]>, String> {
    let expected = footer.segment_bytes.div_ceil(CHECKSUM_BLOCK_BYTES as u64);
    if expected.checked_mul(4) != Some(bytes.len() as u64) {
        return Err(format!("it holds {} bytes of checksums; expected {expected} of 4 bytes", bytes.len()));
    }
    Ok(std::iter::from_fn(|| bytes.try_get_u32_le().ok()).collect())
}
