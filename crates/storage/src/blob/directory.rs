//! Blobs as files: `blobs/ab/<64 hex digits>`, where `ab` are the first two digits.
//!
//! A blob is written under a temporary name, synced, renamed into place, and its directory synced. Files are
//! never changed after that.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use lineate_types::{Hash, Hasher};

use super::{BlobFile, BlobInfo, BlobStore, BlobWriter, ClosedBlob, check_read, not_found};
use crate::{
    Error, Result,
    disk::{Disk, DiskFile, OsDisk},
};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;
/// Temporary names end so.
const UNFINISHED: &str = ".blob.tmp";

/// Blobs in a directory. Clones share it.
#[derive(Debug, Clone)]
pub struct DirBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    tmp_directory: PathBuf,
    next_tmp: AtomicU64,
    /// Subdirectories known to be there durably.
    made: Mutex<BTreeSet<String>>,
}

impl DirBlobs {
    /// Opens the blobs in `directory`; `tmp_directory` is on the same file system, and blobs left unfinished in
    /// it are removed.
    ///
    /// # Errors
    /// Fails where the operating system refuses.
    pub fn open(directory: &Path, tmp_directory: &Path) -> Result<Self> {
        Self::open_on(Arc::new(OsDisk), directory, tmp_directory)
    }

    /// As [`DirBlobs::open`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`DirBlobs::open`].
    pub fn open_on(disk: Arc<dyn Disk>, directory: &Path, tmp_directory: &Path) -> Result<Self> {
        for made in [directory, tmp_directory] {
            disk.create_directory(made).map_err(|source| Error::io("make", made, source))?;
        }
        let names = disk.list(tmp_directory).map_err(|source| Error::io("list", tmp_directory, source))?;
        for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            let path = tmp_directory.join(name);
            disk.remove(&path).map_err(|source| Error::io("remove", path, source))?;
        }
        let inner = Inner {
            disk,
            directory: directory.to_owned(),
            tmp_directory: tmp_directory.to_owned(),
            next_tmp: AtomicU64::new(0),
            made: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The file of a blob, whether it is there or not.
    pub fn path(&self, hash: &Hash) -> PathBuf {
        let hex = hash.to_hex();
        self.inner.directory.join(fan(&hex)).join(hex)
    }
}

impl Inner {
    /// Makes the subdirectory of a blob, durably, unless it is there.
    fn make_directory(&self, fan: &str) -> Result<PathBuf> {
        let path = self.directory.join(fan);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.contains(fan) {
            self.disk.create_directory(&path).map_err(|source| Error::io("make", &path, source))?;
            let synced = self.disk.sync_directory(&self.directory);
            synced.map_err(|source| Error::io("sync", &self.directory, source))?;
            made.insert(fan.to_owned());
        }
        Ok(path)
    }
}

impl BlobStore for DirBlobs {
    fn writer(&self) -> Result<Box<dyn BlobWriter>> {
        let number = self.inner.next_tmp.fetch_add(1, Ordering::Relaxed);
        let path = self.inner.tmp_directory.join(format!("{number:016x}{UNFINISHED}"));
        let file = self.inner.disk.create(&path).map_err(|source| Error::io("create", &path, source))?;
        let hasher = Hasher::new();
        Ok(Box::new(Writer {
            store: Arc::clone(&self.inner),
            path,
            file,
            hasher,
            buffer: Vec::new(),
            bytes: 0,
        }))
    }

    fn open(&self, hash: &Hash) -> Result<Arc<dyn BlobFile>> {
        let path = self.path(hash);
        let file = self.inner.disk.open_to_read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => not_found(hash),
            _ => Error::io("open", &path, source),
        })?;
        let length = file.length().map_err(|source| Error::io("measure", &path, source))?;
        Ok(Arc::new(OpenBlob { hash: *hash, path, length, file }))
    }

    fn delete(&self, hash: &Hash) -> Result<()> {
        let path = self.path(hash);
        match self.inner.disk.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, source)),
            _ => Ok(()),
        }
    }

    fn list(&self, visit: &mut dyn FnMut(Hash, u64) -> Result<()>) -> Result<()> {
        for fan in 0..=u8::MAX {
            let directory = self.inner.directory.join(format!("{fan:02x}"));
            let names = match self.inner.disk.list(&directory) {
                Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|source| Error::io("list", &directory, source))?,
            };
            for name in names {
                let Ok(hash) = format!("b3:{name}").parse::<Hash>() else { continue };
                match self.open(&hash) {
                    Ok(blob) => visit(hash, blob.len())?,
                    // Deleted since the directory was read.
                    Err(Error::NotFound { .. }) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }
}

/// The subdirectory of a blob.
fn fan(hex: &str) -> &str {
    hex.get(..2).unwrap_or(hex)
}

#[derive(Debug)]
struct Writer {
    store: Arc<Inner>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    hasher: Hasher,
    /// Hashed and not yet written.
    buffer: Vec<u8>,
    /// Written so far.
    bytes: u64,
}

impl Writer {
    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_at(self.bytes, &self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer()?;
        }
        let room = BUFFER_BYTES - self.buffer.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.hasher.update(taken);
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.write_buffer() }
    }
}

impl BlobWriter for Writer {
    fn close(mut self: Box<Self>) -> Result<Box<dyn ClosedBlob>> {
        self.flush().map_err(|source| Error::io("write", &self.path, source))?;
        self.file.sync().map_err(|source| Error::io("sync", &self.path, source))?;
        let info = BlobInfo { hash: Hash::finish(&self.hasher), bytes: self.bytes };
        Ok(Box::new(Closed { writer: *self, info }))
    }
}

/// A whole file under its temporary name.
#[derive(Debug)]
struct Closed {
    writer: Writer,
    info: BlobInfo,
}

impl ClosedBlob for Closed {
    fn info(&self) -> BlobInfo {
        self.info
    }

    fn keep(self: Box<Self>) -> Result<BlobInfo> {
        let Writer { store, path, .. } = &self.writer;
        let hex = self.info.hash.to_hex();
        let directory = store.make_directory(fan(&hex))?;
        let renamed = store.disk.rename(path, &directory.join(hex));
        renamed.map_err(|source| Error::io("rename", path, source))?;
        // Where this fails the name stays: it may be that of a blob that somebody needs.
        let synced = store.disk.sync_directory(&directory);
        synced.map_err(|source| Error::io("sync", &directory, source))?;
        Ok(self.info)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After a finish the name is gone already; what stays behind is removed by the next open.
        let _ = self.store.disk.remove(&self.path);
    }
}

#[derive(Debug)]
struct OpenBlob {
    hash: Hash,
    path: PathBuf,
    length: u64,
    file: Arc<dyn DiskFile>,
}

impl BlobFile for OpenBlob {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        check_read(self.length, offset, length)?;
        let mut bytes = vec![0; length];
        match self.file.read_at(offset, &mut bytes) {
            Ok(()) => Ok(bytes.into()),
            Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                let found = format!("its file ends before byte {}", offset + length as u64);
                Err(Error::corrupt(format!("blob {}", self.hash), found))
            }
            Err(source) => Err(Error::io("read", &self.path, source)),
        }
    }
}
