//! Blobs in memory, on a disk that fails when told to.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lineate_types::Hash;

use super::{BlobFile, BlobInfo, BlobStore, BlobWriter, ClosedBlob, check_read, not_found};
use crate::{Error, Result};

/// What happens to one [`BlobWriter::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFault {
    /// Nothing: the blob is stored. Useful to place a later fault.
    None,
    /// The disk is full: nothing is left of the blob.
    Full,
    /// The disk fails: nothing is left of the blob.
    Fails,
}

/// Blobs in memory.
#[derive(Debug, Default, Clone)]
pub struct MemBlobs {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    blobs: BTreeMap<Hash, Bytes>,
    faults: VecDeque<BlobFault>,
    full: bool,
}

impl MemBlobs {
    /// An empty store on a healthy disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues faults; each following finished blob takes one.
    pub fn inject(&self, faults: impl IntoIterator<Item = BlobFault>) {
        self.lock().faults.extend(faults);
    }

    /// Fills the disk, so that every blob is refused, or gives it space again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Flips one bit of a stored byte; whether there was such a byte.
    pub fn flip(&self, hash: &Hash, offset: usize) -> bool {
        self.change(hash, |bytes| bytes.get_mut(offset).map(|byte| *byte ^= 1).is_some())
    }

    /// Cuts a stored blob short; whether it was longer.
    pub fn shorten(&self, hash: &Hash, bytes_kept: usize) -> bool {
        self.change(hash, |bytes| {
            let longer = bytes.len() > bytes_kept;
            bytes.truncate(bytes_kept);
            longer
        })
    }

    /// Loses a blob, as a disk does; whether it was there.
    pub fn lose(&self, hash: &Hash) -> bool {
        self.lock().blobs.remove(hash).is_some()
    }

    fn change(&self, hash: &Hash, change: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let mut inner = self.lock();
        let Some(stored) = inner.blobs.get_mut(hash) else { return false };
        let mut bytes = stored.to_vec();
        let changed = change(&mut bytes);
        *stored = bytes.into();
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemBlobs {
    fn writer(&self) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(Writer { store: self.clone(), bytes: Vec::new() }))
    }

    fn open(&self, hash: &Hash) -> Result<Arc<dyn BlobFile>> {
        let bytes = self.lock().blobs.get(hash).cloned().ok_or_else(|| not_found(hash))?;
        Ok(Arc::new(File { bytes }))
    }

    fn delete(&self, hash: &Hash) -> Result<()> {
        self.lock().blobs.remove(hash);
        Ok(())
    }

    fn list(&self, visit: &mut dyn FnMut(Hash, u64) -> Result<()>) -> Result<()> {
        let all: Vec<_> = self.lock().blobs.iter().map(|(hash, bytes)| (*hash, bytes.len() as u64)).collect();
        all.into_iter().try_for_each(|(hash, bytes)| visit(hash, bytes))
    }
}

struct Writer {
    store: MemBlobs,
    bytes: Vec<u8>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Writer {
    fn close(self: Box<Self>) -> Result<Box<dyn ClosedBlob>> {
        Ok(self)
    }
}

impl ClosedBlob for Writer {
    fn info(&self) -> BlobInfo {
        BlobInfo { hash: Hash::of(&self.bytes), bytes: self.bytes.len() as u64 }
    }

    fn keep(self: Box<Self>) -> Result<BlobInfo> {
        let info = self.info();
        let mut inner = self.store.lock();
        let fault = inner.faults.pop_front().unwrap_or(BlobFault::None);
        let failure = match fault {
            BlobFault::Fails => Some(io::ErrorKind::Other),
            BlobFault::Full => Some(io::ErrorKind::StorageFull),
            BlobFault::None => inner.full.then_some(io::ErrorKind::StorageFull),
        };
        if let Some(kind) = failure {
            return Err(Error::io("store a blob in", "the blob store", kind.into()));
        }
        inner.blobs.insert(info.hash, self.bytes.into());
        Ok(info)
    }
}

struct File {
    bytes: Bytes,
}

impl BlobFile for File {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        check_read(self.len(), offset, length)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(self.bytes.slice(start..start + length))
    }
}
