//! The stored form of the groups, written behind them: what several drains of a group changed becomes one batch of
//! the key-value store, on a thread of its own.
//!
//! The log is the authority, and what it holds is applied in memory: nobody who writes or reads waits for the stored
//! form. It is there so that a start need not read the whole log, and to make checkpoints of. Invariants:
//! - a batch holds the changes of a group from where its stored form stands up to the position it reaches, all of
//!   them, so that a crash leaves a prefix of the log;
//! - what waits is bounded: a group that changes faster than the store takes it waits for the store.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use lineate_consensus::{Applied, Checkpointing};
use lineate_storage::{
    Result as StorageResult,
    blob::BlobStore,
    kv::{KvBatch, KvOp},
};

use crate::{Error, Result, checkpoint::StoredTree};

/// How long changes are gathered before they are stored.
const GATHERING: Duration = Duration::from_millis(20);
/// Bytes of changes of one group that wait, above which they are stored by whoever applies.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// The thread that stores what waits, for all groups of a node. Dropping it stores the rest and waits for that.
pub(crate) struct Storing {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// The groups with changes that wait.
#[derive(Default)]
struct Queue {
    inside: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    trees: Vec<Arc<StoredLater>>,
    stopping: bool,
}

/// The stored form of one group, and the changes that wait to become part of it.
pub(crate) struct StoredLater {
    tree: Arc<StoredTree>,
    queue: Arc<Queue>,
    gathered: Mutex<Gathered>,
    /// Held from taking what was gathered until it is stored: so batches are stored in order.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Gathered {
    batch: KvBatch,
    bytes: usize,
    /// Where the changes lead to; none where there are none.
    position: Option<Applied>,
    /// Why changes could not be stored; told to the group with its next ones.
    failure: Option<lineate_storage::Error>,
}

impl Storing {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn start() -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let taken = queue.clone();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || taken.run())
            .map_err(|error| Error::Internal(format!("the thread that stores cannot start: {error}")))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// A tree whose changes this thread stores.
    pub(crate) fn tree(&self, tree: StoredTree) -> Arc<StoredLater> {
        Arc::new(StoredLater {
            tree: Arc::new(tree),
            queue: self.queue.clone(),
            gathered: Mutex::default(),
            turn: Mutex::default(),
        })
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        lock(&self.queue.inside).stopping = true;
        self.queue.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It catches what fails; a panic ended it, and what it left is made again from the log.
            drop(thread.join());
        }
    }
}

impl Queue {
    fn run(&self) {
        loop {
            let idle = |waiting: &mut Waiting| waiting.trees.is_empty() && !waiting.stopping;
            let waited = self.changed.wait_while(lock(&self.inside), idle);
            let waiting = waited.unwrap_or_else(PoisonError::into_inner);
            let goes_on = |waiting: &mut Waiting| !waiting.stopping;
            let gathered = self.changed.wait_timeout_while(waiting, GATHERING, goes_on);
            let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            let (trees, stopping) = (std::mem::take(&mut waiting.trees), waiting.stopping);
            drop(waiting);
            for tree in trees {
                tree.store_and_remember_failure();
            }
            if stopping {
                return;
            }
        }
    }
}

impl StoredLater {
    /// Where the stored form stands.
    pub(crate) fn position(&self) -> Applied {
        self.tree.position()
    }

    /// Takes the changes up to a position.
    ///
    /// # Errors
    /// The store failed, now or with earlier changes.
    pub(crate) fn change(self: &Arc<Self>, batch: KvBatch, position: Applied) -> StorageResult<()> {
        let (is_first, is_full) = {
            let mut gathered = lock(&self.gathered);
            if let Some(failure) = gathered.failure.take() {
                return Err(failure);
            }
            let is_first = gathered.position.replace(position).is_none();
            gathered.bytes += batch.ops().iter().map(bytes).sum::<usize>();
            gathered.batch.append(batch);
            (is_first, gathered.bytes > WAITING_BYTES)
        };
        if is_full {
            return self.store();
        }
        if is_first {
            lock(&self.queue.inside).trees.push(self.clone());
            self.queue.changed.notify_all();
        }
        Ok(())
    }

    /// Begins a checkpoint of a state that stands at `seen`; see [`lineate_consensus::StateMachine::checkpoint`].
    ///
    /// # Errors
    /// The store failed, now or with earlier changes.
    pub(crate) fn checkpoint(
        &self,
        seen: Applied,
        blobs: &Arc<dyn BlobStore>,
    ) -> StorageResult<Checkpointing> {
        self.store()?;
        self.tree.checkpoint(seen, blobs)
    }

    /// Stores what waits.
    fn store(&self) -> StorageResult<()> {
        let _turn = lock(&self.turn);
        let Gathered { batch, position, failure, .. } = std::mem::take(&mut *lock(&self.gathered));
        match (failure, position) {
            (Some(failure), _) => Err(failure),
            (None, Some(position)) => self.tree.apply(batch, position),
            (None, None) => Ok(()),
        }
    }

    fn store_and_remember_failure(&self) {
        if let Err(error) = self.store() {
            tracing::error!(%error, "the state of a group cannot be stored");
            lock(&self.gathered).failure = Some(error);
        }
    }
}

fn bytes(op: &KvOp) -> usize {
    match op {
        KvOp::Put { key, value } => key.len() + value.len(),
        KvOp::Delete { key } => key.len(),
    }
}

/// What these locks guard is changed as a whole, and a panic under one of them ends what it guards.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use lineate_storage::{
        blob::MemBlobs,
        kv::{KvFault, MemKv, OrderedKv},
    };
    use lineate_types::GroupId;

    use super::*;
    use crate::checkpoint::tree_of;

    const GROUP: GroupId = GroupId(3);

    fn position(index: u64) -> Applied {
        Applied { index, term: 1, ..Applied::NOTHING }
    }

    fn put(key: &str, value: Vec<u8>) -> KvBatch {
        let mut batch = KvBatch::new();
        batch.put(key, value);
        batch
    }

    fn open(kv: &Arc<MemKv>, storing: &Storing) -> Arc<StoredLater> {
        storing.tree(StoredTree::open(kv.clone(), GROUP).expect("opens"))
    }

    #[test]
    fn what_several_drains_changed_is_one_batch_and_the_last_change_of_a_key_counts() {
        let kv = Arc::new(MemKv::new());
        let storing = Storing::start().expect("starts");
        let tree = open(&kv, &storing);
        // Held, so that all of it is gathered before any is stored.
        let turn = lock(&tree.turn);
        for index in 2..=100 {
            tree.change(put("k", index.to_string().into()), position(index)).expect("is taken");
        }
        drop(turn);
        drop(storing);
        assert_eq!(tree.position(), position(100));
        assert_eq!(kv.get(&tree_of(GROUP), b"k").expect("reads"), Some(b"100".to_vec()));
        assert!(kv.unsynced() <= 2, "{} batches for 99 drains", kv.unsynced());
    }

    #[test]
    fn a_checkpoint_holds_what_was_applied_before_it() {
        let kv = Arc::new(MemKv::new());
        let storing = Storing::start().expect("starts");
        let tree = open(&kv, &storing);
        tree.change(put("k", b"v".to_vec()), position(2)).expect("is taken");
        let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
        let rest = tree.checkpoint(position(2), &blobs).expect("begins");
        assert_eq!(tree.position(), position(2));
        rest().expect("is written");
    }

    #[test]
    fn a_group_that_changes_faster_than_it_is_stored_waits_for_the_store() {
        let kv = Arc::new(MemKv::new());
        let storing = Storing::start().expect("starts");
        let tree = open(&kv, &storing);
        for index in 2..=20 {
            tree.change(put(&index.to_string(), vec![0; WAITING_BYTES / 4]), position(index))
                .expect("is taken");
            assert!(lock(&tree.gathered).bytes <= WAITING_BYTES);
        }
        assert!(tree.position().index >= 16, "most of it was stored at once");
    }

    #[test]
    fn a_group_is_told_that_its_earlier_changes_could_not_be_stored() {
        let kv = Arc::new(MemKv::new());
        let storing = Storing::start().expect("starts");
        let tree = open(&kv, &storing);
        kv.inject([KvFault::Fails]);
        tree.change(put("k", b"v".to_vec()), position(2)).expect("is taken");
        drop(storing);
        assert!(tree.change(put("k", b"w".to_vec()), position(3)).is_err());
        assert_eq!(tree.position(), Applied::NOTHING);
    }
}
