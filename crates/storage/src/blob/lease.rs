//! Blobs written for a command that is to name them.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lineate_types::Hash;

use super::{BlobFile, BlobInfo, BlobStore, BlobWriter, ClosedBlob, keeper::Keeper};
use crate::Result;

/// A store of blobs through which what is written is not removed, also where the same bytes were there before and
/// were about to go. Clones are one lease.
///
/// Dropped while nothing that names the blobs was sent, it gives them up. Dropped after [`Lease::begin_naming`] and
/// before [`Lease::named`] or [`Lease::give_up`], nobody knows whether they will be named: they stay until the store
/// is opened again.
#[derive(Clone)]
pub struct Lease {
    inner: Arc<Inner>,
}

struct Inner {
    keeper: Keeper,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    blobs: BTreeSet<Hash>,
    is_naming: bool,
}

impl Lease {
    pub(super) fn new(keeper: Keeper) -> Self {
        Self { inner: Arc::new(Inner { keeper, written: Mutex::default() }) }
    }

    /// To be called before the command that names the blobs is sent.
    pub fn begin_naming(&self) {
        self.written().is_naming = true;
    }

    /// The blobs are named.
    pub fn named(&self) {
        self.end(false);
    }

    /// Nothing that is under way will name the blobs; what something else names stays.
    pub fn give_up(&self) {
        self.end(true);
    }

    fn end(&self, may_be_unnamed: bool) {
        let written = std::mem::take(&mut *self.written());
        self.inner.keeper.end_leases(&written.blobs, may_be_unnamed);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.inner.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let written = self.written.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !written.is_naming {
            self.keeper.end_leases(&written.blobs, true);
        }
    }
}

impl BlobStore for Lease {
    fn writer(&self) -> Result<Box<dyn BlobWriter>> {
        let writer = self.inner.keeper.blobs().writer()?;
        Ok(Box::new(Writer { lease: self.clone(), writer }))
    }

    fn open(&self, hash: &Hash) -> Result<Arc<dyn BlobFile>> {
        self.inner.keeper.blobs().open(hash)
    }

    fn delete(&self, hash: &Hash) -> Result<()> {
        self.inner.keeper.blobs().delete(hash)
    }

    fn list(&self, visit: &mut dyn FnMut(Hash, u64) -> Result<()>) -> Result<()> {
        self.inner.keeper.blobs().list(visit)
    }
}

struct Writer {
    lease: Lease,
    writer: Box<dyn BlobWriter>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl BlobWriter for Writer {
    fn close(self: Box<Self>) -> Result<Box<dyn ClosedBlob>> {
        let Self { lease, writer } = *self;
        Ok(Box::new(Closed { lease, blob: writer.close()? }))
    }
}

struct Closed {
    lease: Lease,
    blob: Box<dyn ClosedBlob>,
}

impl ClosedBlob for Closed {
    fn info(&self) -> BlobInfo {
        self.blob.info()
    }

    fn keep(self: Box<Self>) -> Result<BlobInfo> {
        let hash = self.blob.info().hash;
        let mut written = self.lease.written();
        if !written.blobs.contains(&hash) {
            self.lease.inner.keeper.begin_lease(hash);
            written.blobs.insert(hash);
        }
        drop(written);
        self.blob.keep()
    }
}
