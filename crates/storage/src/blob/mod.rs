//! Blobs: immutable files named by the BLAKE3 of their bytes.
//!
//! Invariants, the same for every implementation:
//! - a blob is there wholly or not at all, and durably once [`BlobWriter::finish`] returns;
//! - writing the same bytes twice gives the same blob;
//! - a blob that is shorter than it was, or gone while it is read, is [`Error::Corrupt`].
//!
//! [`Keeper`] removes blobs while others use them; what still names a blob is for callers to say.
//!
//! Deliberately absent: checking the hash on every partial read
//! (readers check what they read by the checksums of its format; [`BlobStore::verify`] re-hashes all of it).

mod directory;
mod keeper;
mod lease;
mod memory;
mod uses;

use std::{io::Write, sync::Arc};

use bytes::Bytes;
use lineate_types::{Hash, Hasher};

use crate::{Error, Result};

pub use directory::DirBlobs;
pub use keeper::{Keeper, Pin};
pub use lease::Lease;
pub use memory::{BlobFault, MemBlobs};

/// The name and the size of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// BLAKE3 of its bytes.
    pub hash: Hash,
    /// Its size.
    pub bytes: u64,
}

/// A blob being written. Dropped without [`BlobWriter::finish`], it leaves nothing.
pub trait BlobWriter: Write + Send {
    /// Ends the writing: the name of the blob is known, and it is not there yet.
    ///
    /// # Errors
    /// [`Error::Full`] where the disk is full; nothing is left of the blob then.
    fn close(self: Box<Self>) -> Result<Box<dyn ClosedBlob>>;

    /// Names the blob and makes it durable.
    ///
    /// # Errors
    /// [`Error::Full`] where the disk is full; nothing is left of the blob then.
    fn finish(self: Box<Self>) -> Result<BlobInfo> {
        self.close()?.keep()
    }
}

/// A blob whose bytes are all written, and that is not in its place. Dropped without [`ClosedBlob::keep`], it leaves
/// nothing.
pub trait ClosedBlob: Send {
    /// Its name and size.
    fn info(&self) -> BlobInfo;

    /// Puts it in its place, durably. A blob of this name that was there stays, whatever fails.
    ///
    /// # Errors
    /// Where the disk fails; the blob may be there then, and may be gone after a crash.
    fn keep(self: Box<Self>) -> Result<BlobInfo>;
}

/// An open blob. Stays readable while it is open, also after it is deleted.
pub trait BlobFile: Send + Sync {
    /// The size in bytes.
    fn len(&self) -> u64;

    /// Exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the range ends beyond the blob,
    /// [`Error::Corrupt`] where the file is shorter than it was when it was opened.
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes>;

    /// Whether the blob has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A store of blobs.
pub trait BlobStore: Send + Sync {
    /// Begins a blob.
    ///
    /// # Errors
    /// [`Error::Full`] where the disk is full.
    fn writer(&self) -> Result<Box<dyn BlobWriter>>;

    /// Stores bytes that are in memory.
    ///
    /// # Errors
    /// As [`BlobStore::writer`] and [`BlobWriter::finish`].
    fn put(&self, bytes: &[u8]) -> Result<BlobInfo> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|source| Error::io("write a blob in", "the blob store", source))?;
        writer.finish()
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is not here.
    fn open(&self, hash: &Hash) -> Result<Arc<dyn BlobFile>>;

    /// All bytes of a blob, for small ones. They are verified against the hash.
    ///
    /// # Errors
    /// As [`BlobStore::open`], and [`Error::Corrupt`] where they do not verify.
    fn read(&self, hash: &Hash) -> Result<Bytes> {
        let file = self.open(hash)?;
        let length = usize::try_from(file.len()).map_err(|_| {
            Error::invalid(format!("blob {hash} of {} bytes does not fit into memory", file.len()))
        })?;
        let bytes = file.read_at(0, length)?;
        check_hash(hash, Hash::of(&bytes))?;
        Ok(bytes)
    }

    /// Reads a whole blob again, piece by piece, and compares its hash with its name.
    ///
    /// # Errors
    /// As [`BlobStore::open`], and [`Error::Corrupt`] where they differ.
    fn verify(&self, hash: &Hash) -> Result<BlobInfo> {
        let file = self.open(hash)?;
        let (mut hasher, mut offset) = (Hasher::new(), 0_u64);
        while offset < file.len() {
            let length = VERIFY_BYTES.min(usize::try_from(file.len() - offset).unwrap_or(VERIFY_BYTES));
            hasher.update(&file.read_at(offset, length)?);
            offset += length as u64;
        }
        check_hash(hash, Hash::finish(&hasher))?;
        Ok(BlobInfo { hash: *hash, bytes: file.len() })
    }

    /// Removes a blob; nothing happens where it is not here.
    ///
    /// # Errors
    /// Fails where the operating system refuses.
    fn delete(&self, hash: &Hash) -> Result<()>;

    /// Visits every blob with its size, ascending by hash.
    ///
    /// # Errors
    /// Whatever `visit` returns, and where the operating system refuses.
    fn list(&self, visit: &mut dyn FnMut(Hash, u64) -> Result<()>) -> Result<()>;
}

/// Bytes read at a time while verifying.
const VERIFY_BYTES: usize = 1024 * 1024;

fn check_hash(named: &Hash, found: Hash) -> Result<()> {
    if *named != found {
        return Err(Error::corrupt(format!("blob {named}"), format!("its bytes hash to {found}")));
    }
    Ok(())
}

/// The error of a blob that is not here.
fn not_found(hash: &Hash) -> Error {
    Error::NotFound { what: format!("blob {hash}") }
}

/// Checks that a read stays inside a blob of `len` bytes.
fn check_read(len: u64, offset: u64, length: usize) -> Result<()> {
    match offset.checked_add(length as u64) {
        Some(end) if end <= len => Ok(()),
        _ => Err(Error::invalid(format!("{length} bytes at {offset} end beyond a blob of {len} bytes"))),
    }
}
