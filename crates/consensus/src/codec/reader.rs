//! A cursor over bytes of unknown origin.

use bytes::Bytes;

use crate::{Error, Result};

/// Reads little-endian numbers and lengths; running out of bytes is an error that says where.
pub(super) struct Reader {
    what: &'static str,
    rest: Bytes,
    total: usize,
}

impl Reader {
    pub(super) fn new(what: &'static str, bytes: Bytes) -> Self {
        let total = bytes.len();
        Self { what, rest: bytes, total }
    }

    pub(super) fn malformed(&self, found: impl Into<String>) -> Error {
        Error::Malformed { what: self.what, found: found.into() }
    }

    /// The next `length` bytes, sharing the memory of the whole.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Bytes> {
        if length > self.rest.len() {
            let at = self.total - self.rest.len();
            return Err(self
                .malformed(format!("{length} bytes expected at offset {at}, {} are left", self.rest.len())));
        }
        Ok(self.rest.split_to(length))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.bytes(N)?;
        // The length was checked by `bytes`; a mismatch reads as zeros, which every caller validates.
        Ok(bytes.first_chunk::<N>().copied().unwrap_or([0; N]))
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length or count of four bytes, at most `limit`.
    pub(super) fn count(&mut self, of: &str, limit: usize) -> Result<usize> {
        let count = self.u32()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= limit)
            .ok_or_else(|| self.malformed(format!("{count} {of}, at most {limit} are allowed")))
    }

    pub(super) fn end(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.malformed(format!("{} bytes too many", self.rest.len())))
    }
}
