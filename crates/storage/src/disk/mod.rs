//! The few file operations the engines need, so that the same engine runs on a real and on a faulty disk.
//!
//! Invariants: bytes written are durable only after the file is synced; a name created, renamed or removed is
//! durable only after its directory is synced; a read or write is whole or an error.
//!
//! Deliberately absent: memory maps, asynchronous calls, append mode.

mod memory;
mod os;

use std::{fmt, io, path::Path, sync::Arc};

pub use memory::{DiskFault, MemDisk};
pub use os::OsDisk;

/// A file system, as far as the engines use one.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a file that is not there yet, for reading and writing.
    ///
    /// # Errors
    /// As the operating system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading only.
    ///
    /// # Errors
    /// As the operating system says.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of the files in a directory, ascending.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Gives a file another name, replacing what has it.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Who has it open keeps reading it.
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory and those above it, unless they are there.
    ///
    /// # Errors
    /// As the operating system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Opens a directory, to sync it later without needing a descriptor then.
    ///
    /// # Errors
    /// As the operating system says.
    fn open_directory(&self, path: &Path) -> io::Result<Arc<dyn DiskDirectory>>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the operating system says. What is durable is unknown then.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.open_directory(path)?.sync()
    }
}

/// An open directory.
pub trait DiskDirectory: Send + Sync + fmt::Debug {
    /// Makes the names in it durable.
    ///
    /// # Errors
    /// As the operating system says. What is durable is unknown then.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// The length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// As the operating system says. A part may be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file `length` bytes long, its new part reading as zeros, with space reserved where the file
    /// system can.
    ///
    /// # Errors
    /// As the operating system says.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Makes the file `length` bytes long: cuts it, or extends it by zeros without reserving space.
    ///
    /// # Errors
    /// As the operating system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes durable, and as much of the file's metadata as is needed to read them.
    ///
    /// # Errors
    /// As the operating system says. What is durable is unknown then, and stays unknown however often the call
    /// is repeated.
    fn sync(&self) -> io::Result<()>;
}
