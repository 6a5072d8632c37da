//! A stream of bytes that is hashed in large pieces, since BLAKE3 is fast on those only.

use lineate_types::{Hash, Hasher};

/// Bytes gathered before they are hashed.
const STAGED: usize = 32 * 1024;
/// Pieces of this size are hashed as they stand.
const DIRECT: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct ByteStream {
    hasher: Hasher,
    staged: Vec<u8>,
}

impl ByteStream {
    pub(super) fn new() -> Self {
        Self { hasher: Hasher::new(), staged: Vec::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.len() >= DIRECT {
            self.flush();
            self.hasher.update(bytes);
            return;
        }
        self.staged.extend_from_slice(bytes);
        if self.staged.len() >= STAGED {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.staged);
        self.staged.clear();
    }

    pub(super) fn finish(mut self) -> Hash {
        self.flush();
        Hash::finish(&self.hasher)
    }
}
