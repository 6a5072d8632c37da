//! The bytes of a checkpoint, `docs/formats/checkpoint.md`: a header, changes of an empty tree in order, an end.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use lineate_consensus::Applied;
use lineate_storage::{
    blob::{BlobFile, BlobInfo, BlobStore},
    kv::KvOp,
};
use lineate_types::{GroupId, Hash, Hasher, limits};

use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"LINECKPT";
/// The only version this code reads and writes.
const VERSION: u32 = 2;

const END: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Bytes read at once.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Changes on their way into a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u64,
}

impl Changes {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.begin(PUT, key);
        // A value has at most `limits::KV_VALUE_BYTES`, which the store checks.
        self.bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.begin(DELETE, key);
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.bytes.extend_from_slice(&more.bytes);
        self.count += more.count;
    }

    fn begin(&mut self, kind: u8, key: &[u8]) {
        self.bytes.push(kind);
        // A key has at most `limits::KV_KEY_BYTES`, which the store checks.
        self.bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.count += 1;
    }
}

/// What a checkpoint begins with.
pub(super) fn header(group: GroupId) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), &group.0.to_le_bytes()].concat()
}

/// What a checkpoint of so many changes ends with.
pub(super) fn end(position: Applied, changes: u64) -> Vec<u8> {
    let Applied { index, term, chain } = position;
    let [index, term, changes] = [index, term, changes].map(u64::to_le_bytes);
    [&[END][..], &index, &term, chain.as_bytes(), &changes].concat()
}

/// Reads a checkpoint, piece by piece. What it gives is known to be right only when [`Reader::next`] has given the
/// end.
pub(super) struct Reader {
    input: Input,
    group: GroupId,
    changes: u64,
}

/// What comes next in a checkpoint.
#[derive(Debug)]
pub(super) enum Item {
    Change(KvOp),
    /// There is no more, all of it verified: the state stands here.
    End(Applied),
}

impl Reader {
    /// Opens the checkpoint of a group.
    ///
    /// # Errors
    /// It is not here, or begins as no checkpoint of this group and version does.
    pub(super) fn open(blobs: &dyn BlobStore, blob: BlobInfo, group: GroupId) -> Result<Self> {
        let file = blobs.open(&blob.hash)?;
        let mut reader = Self { input: Input::new(file, blob), group, changes: 0 };
        let magic: [u8; 8] = reader.input.array()?;
        let version = reader.input.array().map(u32::from_le_bytes)?;
        let of_group = reader.input.array().map(u32::from_le_bytes)?;
        if magic != MAGIC {
            return Err(damaged("it does not begin as a checkpoint does"));
        }
        if version != VERSION {
            return Err(damaged(format!("its format has version {version}; this binary reads {VERSION}")));
        }
        if of_group != group.0 {
            return Err(damaged(format!("it is of group {of_group}, not of {group}")));
        }
        Ok(reader)
    }

    /// What comes next. Not to be called after the end.
    ///
    /// # Errors
    /// The bytes are not what was written.
    pub(super) fn next(&mut self) -> Result<Item> {
        let [kind] = self.input.array()?;
        if kind == END {
            return self.end();
        }
        self.changes += 1;
        let length = usize::from(u16::from_le_bytes(self.input.array()?));
        let key = self.input.bytes("a key", length, limits::KV_KEY_BYTES)?;
        match kind {
            PUT => {
                let length = u32::from_le_bytes(self.input.array()?) as usize;
                let value = self.input.bytes("a value", length, limits::KV_VALUE_BYTES)?;
                Ok(Item::Change(KvOp::Put { key, value }))
            }
            DELETE => Ok(Item::Change(KvOp::Delete { key })),
            _ => Err(damaged(format!("change {} of group {} is of kind {kind}", self.changes, self.group))),
        }
    }

    fn end(&mut self) -> Result<Item> {
        let [index, term] = [self.input.u64()?, self.input.u64()?];
        let chain = Hash::from_bytes(self.input.array()?);
        let changes = self.input.u64()?;
        if changes != self.changes {
            return Err(damaged(format!("it holds {} changes and should hold {changes}", self.changes)));
        }
        self.input.check_end()?;
        Ok(Item::End(Applied { index, term, chain }))
    }
}

/// The bytes of a blob from its beginning on, hashed while they are read.
struct Input {
    file: Arc<dyn BlobFile>,
    blob: BlobInfo,
    read: u64,
    hasher: Hasher,
    block: Bytes,
}

impl Input {
    fn new(file: Arc<dyn BlobFile>, blob: BlobInfo) -> Self {
        Self { file, blob, read: 0, hasher: Hasher::new(), block: Bytes::new() }
    }

    /// The next `length` bytes, at most `limit`.
    fn bytes(&mut self, what: &str, length: usize, limit: usize) -> Result<Vec<u8>> {
        if length > limit {
            return Err(damaged(format!("{what} has {length} bytes; at most {limit} are allowed")));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.block.is_empty() {
                self.read_block()?;
            }
            let (now, later) = bytes.split_at_mut(bytes.len().min(self.block.len()));
            self.block.copy_to_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn read_block(&mut self) -> Result<()> {
        let left = self.file.len().saturating_sub(self.read);
        if left == 0 {
            return Err(damaged(format!("it ends after {} bytes, in the middle", self.read)));
        }
        let length = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        self.block = self.file.read_at(self.read, length)?;
        self.read += length as u64;
        self.hasher.update(&self.block);
        Ok(())
    }

    fn check_end(&self) -> Result<()> {
        let found = Hash::finish(&self.hasher);
        if !self.block.is_empty() || self.read != self.file.len() || found != self.blob.hash {
            return Err(damaged(format!("its {} bytes hash to {found}", self.file.len())));
        }
        Ok(())
    }
}

fn damaged(found: impl Into<String>) -> Error {
    Error::Corrupt(found.into())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_storage::blob::MemBlobs;
    use proptest::prelude::*;

    use super::*;

    const GROUP: GroupId = GroupId(258);
    const POSITION: Applied = Applied { index: 513, term: 3, chain: Hash::from_bytes([9; 32]) };

    fn encoded(changes: &[KvOp]) -> Vec<u8> {
        let mut body = Changes::default();
        for change in changes {
            match change {
                KvOp::Put { key, value } => body.put(key, value),
                KvOp::Delete { key } => body.delete(key),
            }
        }
        [header(GROUP), body.bytes, end(POSITION, body.count)].concat()
    }

    /// What is read from bytes that are stored under the name of other ones.
    fn read(bytes: &[u8], hash: Hash) -> Result<(Vec<KvOp>, Applied)> {
        let blobs = MemBlobs::new();
        let stored = blobs.put(bytes)?;
        let mut input = Input::new(blobs.open(&stored.hash)?, BlobInfo { hash, bytes: stored.bytes });
        input.array::<16>()?;
        let mut reader = Reader { input, group: GROUP, changes: 0 };
        let mut changes = Vec::new();
        loop {
            match reader.next()? {
                Item::Change(change) => changes.push(change),
                Item::End(position) => return Ok((changes, position)),
            }
        }
    }

    #[test]
    fn the_bytes_of_a_checkpoint_are_these() {
        let bytes = encoded(&[
            KvOp::Put { key: b"key".to_vec(), value: b"value".to_vec() },
            KvOp::Delete { key: vec![] },
        ]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect!["4c494e45434b505402000000020100000103006b65790500000076616c7565020000000102000000000000030000000000000009090909090909090909090909090909090909090909090909090909090909090200000000000000"].assert_eq(&hex);
    }

    #[test]
    fn a_checkpoint_of_another_group_or_version_or_kind_is_refused() {
        let good = encoded(&[]);
        let refusal = |change: &dyn Fn(&mut Vec<u8>), group| {
            let mut bytes = good.clone();
            change(&mut bytes);
            let blobs = MemBlobs::new();
            let blob = blobs.put(&bytes).expect("stored");
            Reader::open(&blobs, blob, group).err().map(|error| error.to_string())
        };
        assert_eq!(refusal(&|_| {}, GROUP), None);
        assert!(refusal(&|_| {}, GroupId(1)).is_some_and(|error| error.contains("of group 258, not of 1")));
        assert!(refusal(&|bytes| bytes[8] = 1, GROUP).is_some_and(|error| error.contains("version 1")));
        assert!(refusal(&|bytes| bytes[0] = b'X', GROUP).is_some());
        let gone = Reader::open(&MemBlobs::new(), BlobInfo { hash: Hash::of(b""), bytes: 0 }, GROUP);
        assert!(gone.is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_found() {
        let put = KvOp::Put { key: b"k".to_vec(), value: vec![1; 40] };
        let good = encoded(&[put, KvOp::Delete { key: b"d".to_vec() }]);
        let hash = Hash::of(&good);
        assert!(read(&good, hash).is_ok());
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged, hash).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(read(&good[..length], hash).is_err(), "cut to {length} bytes");
        }
        assert!(read(&[&good[..], &[0]].concat(), hash).is_err(), "too long");
    }

    proptest! {
        #[test]
        fn checkpoints_round_trip(
            changes in prop::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..20),
        ) {
            let changes: Vec<KvOp> = changes
                .into_iter()
                .map(|(key, value)| match value {
                    Some(value) => KvOp::Put { key, value },
                    None => KvOp::Delete { key },
                })
                .collect();
            let bytes = encoded(&changes);
            prop_assert_eq!(read(&bytes, Hash::of(&bytes)).ok(), Some((changes, POSITION)));
        }
    }
}
