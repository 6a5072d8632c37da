//! The stored state of a group: changed by its apply thread, copied into a checkpoint meanwhile.
//!
//! How a copy of a tree that changes holds exactly one state of it. Batches and pieces of the copy exclude each
//! other. A piece holds the pairs after the last key that was copied; a batch that is applied while a copy is made
//! adds its changes of keys that were copied already. So a key that was copied last changed where the copy says so
//! last, and a key that was not copied yet will be, as it is then. When no key is left, the copy holds the state of
//! that moment, which is the position of the last batch.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lineate_consensus::{Applied, Checkpointing};
use lineate_storage::{
    Error as StorageError,
    blob::{BlobInfo, BlobStore, BlobWriter},
    kv::{KvBatch, KvOp, OrderedKv},
};
use lineate_types::{GroupId, limits};

use super::{
    APPLIED, encode_position,
    format::{self, Changes},
    stored_position, tree_of,
};
use crate::Result;

/// The stored state of a group.
pub(crate) struct StoredTree {
    kv: Arc<dyn OrderedKv>,
    group: GroupId,
    name: String,
    inside: Mutex<Inside>,
    /// Notified when what was gathered for a copy is taken, and when the copy ends.
    taken: Condvar,
}

struct Inside {
    position: Applied,
    copy: Option<Copying>,
}

/// A copy that is being made.
#[derive(Default)]
struct Copying {
    /// The greatest key that was copied.
    copied_to: Option<Vec<u8>>,
    /// Gathered, and not yet taken.
    gathered: Changes,
}

/// A part of a copy, and the position it stands at if it is the last one.
struct Part {
    changes: Changes,
    end: Option<Applied>,
}

impl StoredTree {
    /// The tree of a group, which need not be there yet.
    ///
    /// # Errors
    /// Its position is damaged or was written by a newer release.
    pub(crate) fn open(kv: Arc<dyn OrderedKv>, group: GroupId) -> Result<Self> {
        let name = tree_of(group);
        let position = stored_position(kv.as_ref(), &name)?;
        let inside = Mutex::new(Inside { position, copy: None });
        Ok(Self { kv, group, name, inside, taken: Condvar::new() })
    }

    /// Where the stored state stands.
    pub(crate) fn position(&self) -> Applied {
        self.lock().position
    }

    /// The changes up to a position, and the position, in one batch. Waits where a copy cannot be written as fast as
    /// the tree changes.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn apply(&self, mut batch: KvBatch, position: Applied) -> lineate_storage::Result<()> {
        batch.put(APPLIED, encode_position(position));
        let is_full = |inside: &mut Inside| inside.copy.as_ref().is_some_and(Copying::is_full);
        let waited = self.taken.wait_while(self.lock(), is_full);
        let mut inside = waited.unwrap_or_else(PoisonError::into_inner);
        let again = inside.copy.as_ref().map(|copy| copy.to_copy_again(&batch));
        self.kv.apply(&self.name, batch)?;
        inside.position = position;
        if let (Some(copy), Some(again)) = (&mut inside.copy, again) {
            copy.gathered.extend(again);
        }
        Ok(())
    }

    /// Begins a checkpoint of a state that stands at `seen`; see [`lineate_consensus::StateMachine::checkpoint`].
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn checkpoint(
        self: &Arc<Self>,
        seen: Applied,
        blobs: &Arc<dyn BlobStore>,
    ) -> lineate_storage::Result<Checkpointing> {
        // Entries that change nothing were not stored so far. The log is to be cut behind them too.
        if self.position().index < seen.index {
            self.apply(KvBatch::new(), seen)?;
        }
        let (tree, blobs) = (Arc::clone(self), Arc::clone(blobs));
        Ok(Box::new(move || tree.write_checkpoint(blobs.as_ref())))
    }

    fn write_checkpoint(&self, blobs: &dyn BlobStore) -> lineate_storage::Result<BlobInfo> {
        let mut blob = blobs.writer()?;
        write(blob.as_mut(), &format::header(self.group))?;
        let copying = self.begin_copy();
        let mut count = 0;
        let position = loop {
            let Part { changes, end } = self.next_part()?;
            write(blob.as_mut(), &changes.bytes)?;
            count += changes.count;
            if let Some(position) = end {
                break position;
            }
            // Whoever waits to change the tree comes first.
            std::thread::yield_now();
        };
        drop(copying);
        write(blob.as_mut(), &format::end(position, count))?;
        // So that a power loss does not leave the stored state behind the cut, to be rebuilt without need.
        self.kv.sync()?;
        blob.finish()
    }

    fn begin_copy(&self) -> CopyGuard<'_> {
        self.lock().copy = Some(Copying::default());
        CopyGuard(self)
    }

    fn next_part(&self) -> lineate_storage::Result<Part> {
        let mut inside = self.lock();
        let Inside { position, copy } = &mut *inside;
        let Some(copy) = copy else { return Ok(Part { changes: Changes::default(), end: Some(*position) }) };
        let pairs =
            self.kv.pairs_after(&self.name, copy.copied_to.as_deref(), limits::CHECKPOINT_PIECE_BYTES)?;
        for (key, value) in pairs.iter().filter(|(key, _)| key != APPLIED) {
            copy.gathered.put(key, value);
        }
        let changes = std::mem::take(&mut copy.gathered);
        let end = pairs.is_empty().then_some(*position);
        match pairs.into_iter().next_back() {
            Some((key, _)) => copy.copied_to = Some(key),
            None => inside.copy = None,
        }
        self.taken.notify_all();
        Ok(Part { changes, end })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // A thread that panicked ended the process's usefulness; what it left is not relied on.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Copying {
    fn is_full(&self) -> bool {
        self.gathered.bytes.len() >= limits::CHECKPOINT_BUFFER_BYTES
    }

    /// The changes of a batch to keys that were copied already.
    fn to_copy_again(&self, batch: &KvBatch) -> Changes {
        let mut changes = Changes::default();
        let copied = |op: &&KvOp| self.copied_to.as_deref().is_some_and(|last| op.key() <= last);
        for op in batch.ops().iter().filter(copied).filter(|op| op.key() != APPLIED) {
            match op {
                KvOp::Put { key, value } => changes.put(key, value),
                KvOp::Delete { key } => changes.delete(key),
            }
        }
        changes
    }
}

/// Ends a copy that fails half-way, so that nobody waits for it.
struct CopyGuard<'a>(&'a StoredTree);

impl Drop for CopyGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().copy = None;
        self.0.taken.notify_all();
    }
}

fn write(blob: &mut dyn BlobWriter, bytes: &[u8]) -> lineate_storage::Result<()> {
    blob.write_all(bytes)
        .map_err(|source| StorageError::io("write a checkpoint in", "the blob store", source))
}
