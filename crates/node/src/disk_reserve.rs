//! The part of the disk that no new data may take: what was taken is finished with it (ADR 0009).
//!
//! Invariants:
//! - new data is granted its bytes before it is written, and a grant leaves the reserve and all other grants whole;
//! - a grant is held until its bytes are written, so that of many who ask at once each sees the others.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lineate_storage::blob::{BlobFile, BlobStore, BlobWriter, ClosedBlob, Lease};
use lineate_types::{ErrorKind, HasKind, Hash, limits};

use crate::{Error, Result};

/// Knows what can still be written to a file system.
pub trait DiskSpace: Send + Sync {
    /// Bytes that can still be written where a directory lies.
    ///
    /// # Errors
    /// The operating system refuses to say.
    fn available_bytes(&self, path: &Path) -> lineate_storage::Result<u64>;
}

/// The disk of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl DiskSpace for SystemDisk {
    fn available_bytes(&self, path: &Path) -> lineate_storage::Result<u64> {
        lineate_storage::available_bytes(path)
    }
}

/// Keeps [`limits::RESERVED_DISK_BYTES`] of a disk free of new data.
#[derive(Clone)]
pub(crate) struct DiskReserve {
    path: PathBuf,
    disk: Arc<dyn DiskSpace>,
    granted: Arc<AtomicU64>,
}

/// Bytes that may be written; given back when it is dropped, as then they were.
pub(crate) struct Grant {
    granted: Arc<AtomicU64>,
    bytes: u64,
}

impl DiskReserve {
    /// The reserve of the disk where a directory lies.
    pub(crate) fn new(path: PathBuf, disk: Arc<dyn DiskSpace>) -> Self {
        Self { path, disk, granted: Arc::default() }
    }

    /// Lets so many bytes be written.
    ///
    /// # Errors
    /// They would touch the reserve, or the operating system refuses to say how much is left.
    pub(crate) fn grant(&self, bytes: u64) -> Result<Grant> {
        let before = self.granted.fetch_add(bytes, Ordering::SeqCst);
        let grant = Grant { granted: self.granted.clone(), bytes };
        let available = self.disk.available_bytes(&self.path)?;
        let wanted = before.saturating_add(bytes);
        if available >= limits::RESERVED_DISK_BYTES.saturating_add(wanted) {
            return Ok(grant);
        }
        let besides = if wanted == 0 { String::new() } else { format!(" besides the {wanted} wanted") };
        Err(Error::ResourceExhausted(format!(
            "the disk of {} has {available} bytes left and {} are kept free{besides}; free space, no restart is needed",
            self.path.display(),
            limits::RESERVED_DISK_BYTES
        )))
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.granted.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// A lease through which blobs of new data are written: they leave the reserve whole. One that would not is refused
/// as on a full disk, and leaves nothing.
pub struct NewBlobs {
    blobs: Lease,
    reserve: DiskReserve,
}

impl NewBlobs {
    /// The same lease, under the reserve.
    pub(crate) fn new(blobs: Lease, reserve: DiskReserve) -> Self {
        Self { blobs, reserve }
    }
}

impl BlobStore for NewBlobs {
    fn writer(&self) -> lineate_storage::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(NewBlob {
            inner: self.blobs.writer()?,
            reserve: self.reserve.clone(),
            grant: None,
            room: 0,
        }))
    }

    fn open(&self, hash: &Hash) -> lineate_storage::Result<Arc<dyn BlobFile>> {
        self.blobs.open(hash)
    }

    fn delete(&self, hash: &Hash) -> lineate_storage::Result<()> {
        self.blobs.delete(hash)
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(Hash, u64) -> lineate_storage::Result<()>,
    ) -> lineate_storage::Result<()> {
        self.blobs.list(visit)
    }
}

struct NewBlob {
    inner: Box<dyn BlobWriter>,
    reserve: DiskReserve,
    grant: Option<Grant>,
    /// Bytes of the grant that are not written yet.
    room: u64,
}

/// Bytes that a blob is granted at once, at least: small writes do not look at the disk each.
const GRANT_BYTES: u64 = 256 * 1024;

impl Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = bytes.len() as u64;
        if self.room < wanted {
            self.grant = None;
            let granted = wanted.max(GRANT_BYTES);
            self.grant = Some(self.reserve.grant(granted).map_err(as_io)?);
            self.room = granted;
        }
        let written = self.inner.write(bytes)?;
        self.room = self.room.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A refusal as a full disk would give it.
fn as_io(refusal: Error) -> io::Error {
    match refusal.kind() {
        ErrorKind::ResourceExhausted => io::Error::new(io::ErrorKind::StorageFull, refusal),
        _ => io::Error::other(refusal),
    }
}

impl BlobWriter for NewBlob {
    fn close(self: Box<Self>) -> lineate_storage::Result<Box<dyn ClosedBlob>> {
        self.inner.close()
    }
}
