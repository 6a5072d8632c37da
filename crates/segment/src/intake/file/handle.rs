//! A foreign file that can be read at any place.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use lineate_storage::blob::BlobFile;

use super::{FileFormat, detect};
use crate::{Error, Result};

/// A file somebody else wrote: on a disk, in memory or in the blob store.
#[derive(Clone)]
pub struct ForeignFile {
    name: Arc<str>,
    content: Arc<Content>,
    /// Where reading in order has come to.
    read: Arc<AtomicU64>,
}

enum Content {
    Disk { file: File, length: u64 },
    Memory(Bytes),
    Blob(Arc<dyn BlobFile>),
}

impl ForeignFile {
    /// Opens a file on a disk. Its name in messages is its path.
    ///
    /// # Errors
    /// The operating system refuses, or it is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, &path.display().to_string())
    }

    /// Opens a file on a disk under another name for messages: the one its sender knows it by.
    ///
    /// # Errors
    /// The operating system refuses, or it is no regular file.
    pub fn open_as(path: &Path, name: &str) -> Result<Self> {
        let name: Arc<str> = name.into();
        let refused = |cause: &dyn fmt::Display| Error::InFile {
            file: name.to_string(),
            cause: Box::new(Error::Format(format!("cannot be opened: {cause}"))),
        };
        let file = File::open(path).map_err(|cause| refused(&cause))?;
        let metadata = file.metadata().map_err(|cause| refused(&cause))?;
        if !metadata.is_file() {
            return Err(refused(&"it is not a regular file"));
        }
        Ok(Self::new(name, Content::Disk { file, length: metadata.len() }))
    }

    /// A file in memory, under a name for messages.
    pub fn from_bytes(name: &str, bytes: Bytes) -> Self {
        Self::new(name.into(), Content::Memory(bytes))
    }

    /// A file in the blob store, under a name for messages.
    pub fn from_blob(name: &str, blob: Arc<dyn BlobFile>) -> Self {
        Self::new(name.into(), Content::Blob(blob))
    }

    fn new(name: Arc<str>, content: Content) -> Self {
        Self { name, content: Arc::new(content), read: Arc::default() }
    }

    /// The name it has in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        match self.content.as_ref() {
            Content::Disk { length, .. } => *length,
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Blob(blob) => blob.len(),
        }
    }

    /// The format, by content.
    ///
    /// # Errors
    /// The file is empty, or of no known format.
    pub fn format(&self) -> Result<FileFormat> {
        self.naming(|| detect::format(self))
    }

    /// Exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    /// The file ends before, or cannot be read.
    pub(in crate::intake) fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.bytes()) {
            return Err(Error::Format("the file is cut short".into()));
        }
        match self.content.as_ref() {
            Content::Disk { file, .. } => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, offset)
                    .map_err(|cause| Error::Format(format!("the file cannot be read: {cause}")))?;
                Ok(bytes.into())
            }
            Content::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(bytes.slice(start..start + length))
            }
            Content::Blob(blob) => Ok(blob.read_at(offset, length)?),
        }
    }

    /// The bytes from `offset` on, to be read in order.
    pub(in crate::intake) fn reader(&self, offset: u64) -> FileReader {
        FileReader { file: self.clone(), offset }
    }

    /// Where the last reading in order has come to, in bytes from the start.
    pub(in crate::intake) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Notes how far reading in order has come.
    pub(in crate::intake) fn set_bytes_read(&self, offset: u64) {
        self.read.store(offset, Ordering::Relaxed);
    }

    /// Runs something that reads this file; its error names the file.
    pub(in crate::intake) fn naming<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        read().map_err(|cause| self.error(cause))
    }

    /// An error that names the file.
    pub(in crate::intake) fn error(&self, cause: Error) -> Error {
        match cause {
            named @ Error::InFile { .. } => named,
            cause => Error::InFile { file: self.name.to_string(), cause: Box::new(cause) },
        }
    }
}

impl fmt::Debug for ForeignFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignFile").field("name", &self.name).field("bytes", &self.bytes()).finish()
    }
}

/// A foreign file, read from some place on.
#[derive(Debug)]
pub(in crate::intake) struct FileReader {
    file: ForeignFile,
    offset: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.file.bytes().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(rest);
        let bytes = self.file.read_at(self.offset, length).map_err(io::Error::other)?;
        if let Some(start) = buffer.get_mut(..length) {
            start.copy_from_slice(&bytes);
        }
        self.offset += length as u64;
        self.file.set_bytes_read(self.offset);
        Ok(length)
    }
}
