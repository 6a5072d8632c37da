//! The one file of redb on a disk of ours, so that the same engine runs on a real and on a faulty disk.

use std::{fs::File, io, path::Path, sync::Arc};

use crate::disk::DiskFile;

/// A file as redb uses it.
#[derive(Debug)]
pub(super) struct Backend {
    file: Arc<dyn DiskFile>,
    /// Held as long as redb uses the file; none on a disk in memory.
    _lock: Option<File>,
}

impl Backend {
    pub(super) fn new(file: Arc<dyn DiskFile>, lock: Option<File>) -> Self {
        Self { file, _lock: lock }
    }
}

/// Takes the lock of a file of the operating system; none where another instance holds it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

impl ::redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_length(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }
}
