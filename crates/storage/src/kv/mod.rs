//! Ordered keys and values in trees: the rebuildable state of the Raft groups, never its authority.
//!
//! Invariants, the same for every implementation:
//! - a batch touches one tree and is atomic: visible at once and, after a crash, there wholly or not at all;
//! - what a crash leaves is a prefix of the batches applied, never with a hole, and holds every batch that was
//!   applied before the last [`OrderedKv::sync`] returned;
//! - a value is verified together with its key when it is read; a mismatch is [`Error::Corrupt`].
//!
//! Deliberately absent: transactions over trees, snapshots for reading (scan before applying, or keep a memory
//! view), ranges other than prefixes.

mod envelope;
mod guard;
mod memory;
mod quarantine;
mod redb;
mod sled;
mod watermark;

use lineate_types::limits;

use crate::{Error, Result};

pub use self::{
    memory::{KvFault, MemKv},
    quarantine::KvReport,
    redb::{RedbKv, RedbOptions},
    sled::{SledKv, SledOptions},
};

/// What a scan calls for each key and value; an error ends the scan and is returned.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Puts and deletes on one tree, applied in order and atomically.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KvBatch {
    ops: Vec<KvOp>,
}

/// One change of a [`KvBatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOp {
    /// Sets a key.
    Put {
        /// At most [`limits::KV_KEY_BYTES`].
        key: Vec<u8>,
        /// At most [`limits::KV_VALUE_BYTES`].
        value: Vec<u8>,
    },
    /// Removes a key, if it is there.
    Delete {
        /// At most [`limits::KV_KEY_BYTES`].
        key: Vec<u8>,
    },
}

/// Ordered keys and values in named trees. A tree comes into being with its first batch.
pub trait OrderedKv: Send + Sync {
    /// Applies a batch: atomic and visible when it returns, durable only after [`OrderedKv::sync`]. Of several
    /// changes to one key the last wins.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::TooLarge`]: a bound is passed, nothing happened. Anything else: reopen.
    fn apply(&self, tree: &str, batch: KvBatch) -> Result<()>;

    /// The value of a key; none where key or tree is not there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the stored value does not verify.
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Visits the keys that begin with `prefix`, ascending bytewise. Batches applied meanwhile may or may not
    /// be seen.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where a stored value does not verify; whatever `visit` returns.
    fn scan(&self, tree: &str, prefix: &[u8], visit: Visit<'_>) -> Result<()>;

    /// The pairs whose keys come after a key, or all from the first, ascending bytewise, until they have
    /// `max_bytes` together; at least one where there is any. To read a large tree piece by piece.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where a stored value does not verify.
    fn pairs_after(&self, tree: &str, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<Pair>>;

    /// Makes every batch applied before this call durable.
    ///
    /// # Errors
    /// Any failure poisons the store: what survives is known only after reopening.
    fn sync(&self) -> Result<()>;

    /// The names of the trees, ascending.
    ///
    /// # Errors
    /// Fails once the store is poisoned.
    fn trees(&self) -> Result<Vec<String>>;

    /// Removes a tree and all it holds; nothing happens where it is not there. A crash before the next sync may
    /// leave the tree or a part of it.
    ///
    /// # Errors
    /// Fails once the store is poisoned.
    fn drop_tree(&self, tree: &str) -> Result<()>;
}

impl KvBatch {
    /// A batch that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.ops.push(KvOp::Put { key: key.into(), value: value.into() });
        self
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.ops.push(KvOp::Delete { key: key.into() });
        self
    }

    /// Adds the changes of another batch after these.
    pub fn append(&mut self, mut later: Self) {
        self.ops.append(&mut later.ops);
    }

    /// The changes, in order.
    pub fn ops(&self) -> &[KvOp] {
        &self.ops
    }

    /// The changes, in order, by value.
    pub fn into_ops(self) -> Vec<KvOp> {
        self.ops
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Checks tree name, keys and values against the bounds of the system.
    fn check(&self, tree: &str) -> Result<()> {
        check_tree(tree)?;
        self.ops.iter().try_for_each(|op| match op {
            KvOp::Put { key, value } => {
                check_bytes("a key", key.len(), limits::KV_KEY_BYTES)?;
                check_bytes("a value", value.len(), limits::KV_VALUE_BYTES)
            }
            KvOp::Delete { key } => check_bytes("a key", key.len(), limits::KV_KEY_BYTES),
        })
    }
}

impl KvOp {
    /// The key that changes.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Tree names are 1 to [`limits::KV_TREE_BYTES`] bytes and do not begin with two underscores.
fn check_tree(tree: &str) -> Result<()> {
    if tree.is_empty() || tree.len() > limits::KV_TREE_BYTES || tree.starts_with("__") {
        let bound = limits::KV_TREE_BYTES;
        return Err(Error::invalid(format!(
            "`{tree}` cannot name a tree; a name has 1 to {bound} bytes and does not begin with `__`"
        )));
    }
    Ok(())
}

/// Adds a pair to a piece of a tree, and tells whether the piece has room for more.
fn add_pair(piece: &mut Vec<Pair>, room: &mut usize, key: &[u8], value: Vec<u8>) -> bool {
    *room = room.saturating_sub(key.len() + value.len());
    piece.push((key.to_vec(), value));
    *room > 0
}

fn check_bytes(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit {
        return Err(Error::TooLarge { what, actual: actual as u64, limit: limit as u64 });
    }
    Ok(())
}
