//! Ordered keys and values in memory, with a disk that fails when told to.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{KvBatch, KvOp, OrderedKv, Pair, Visit, add_pair, check_tree};
use crate::{Error, Result};

/// What happens to one [`OrderedKv::apply`] or [`OrderedKv::sync`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvFault {
    /// Nothing: the call succeeds. Useful to place a later fault.
    None,
    /// The disk is full: the call fails and the store is poisoned.
    Full,
    /// The disk fails: the call fails and the store is poisoned.
    Fails,
}

/// Ordered keys and values in memory.
#[derive(Debug, Default)]
pub struct MemKv {
    inner: Mutex<Inner>,
}

type Trees = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Debug, Default)]
struct Inner {
    /// What callers see.
    visible: Trees,
    /// What the last sync made durable.
    synced: Trees,
    /// What was applied since, in order.
    unsynced: Vec<Change>,
    faults: VecDeque<KvFault>,
    damaged: BTreeMap<String, Vec<Vec<u8>>>,
    poison: Option<String>,
    syncs: u64,
}

#[derive(Debug)]
enum Change {
    Apply { tree: String, batch: KvBatch },
    Drop { tree: String },
}

impl MemKv {
    /// An empty store on a healthy disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues faults; each following apply or sync takes one.
    pub fn inject(&self, faults: impl IntoIterator<Item = KvFault>) {
        self.lock().faults.extend(faults);
    }

    /// Damages the stored value of a key: reading it fails with [`Error::Corrupt`] until it is overwritten.
    pub fn damage(&self, tree: &str, key: &[u8]) {
        self.lock().damaged.entry(tree.to_owned()).or_default().push(key.to_vec());
    }

    /// Batches applied since the last sync: the most [`MemKv::crash`] can keep beyond it.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// Syncs that succeeded since this store was opened.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Cuts the power: this store refuses every later call, and the one returned is what a restart finds, the
    /// state of the last sync and the first `keep` batches applied after it.
    pub fn crash(&self, keep: usize) -> Self {
        let mut inner = self.lock();
        inner.poison = Some("the power is off".to_owned());
        let mut synced = inner.synced.clone();
        for change in inner.unsynced.iter().take(keep) {
            change.apply(&mut synced);
        }
        let found =
            Inner { visible: synced.clone(), synced, damaged: inner.damaged.clone(), ..Inner::default() };
        Self { inner: Mutex::new(found) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check_alive(&self) -> Result<()> {
        match &self.poison {
            Some(reason) => Err(Error::Poisoned { store: "the key-value store", reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn take_fault(&mut self, doing: &'static str) -> Result<()> {
        let kind = match self.faults.pop_front() {
            None | Some(KvFault::None) => return Ok(()),
            Some(KvFault::Full) => std::io::ErrorKind::StorageFull,
            Some(KvFault::Fails) => std::io::ErrorKind::Other,
        };
        let error = Error::io(doing, "the key-value store", kind.into());
        self.poison = Some(error.to_string());
        Err(error)
    }

    fn check_value(&self, tree: &str, key: &[u8]) -> Result<()> {
        let damaged = self.damaged.get(tree).is_some_and(|keys| keys.iter().any(|damaged| damaged == key));
        if damaged {
            return Err(Error::corrupt(format!("a value in tree `{tree}`"), "its checksum does not match"));
        }
        Ok(())
    }
}

impl OrderedKv for MemKv {
    fn apply(&self, tree: &str, batch: KvBatch) -> Result<()> {
        let mut inner = self.lock();
        inner.check_alive()?;
        batch.check(tree)?;
        inner.take_fault("apply a batch to")?;
        if let Some(damaged) = inner.damaged.get_mut(tree) {
            damaged.retain(|key| batch.ops().iter().all(|op| op.key() != key));
        }
        let change = Change::Apply { tree: tree.to_owned(), batch };
        change.apply(&mut inner.visible);
        inner.unsynced.push(change);
        Ok(())
    }

    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let inner = self.lock();
        inner.check_alive()?;
        check_tree(tree)?;
        let value = inner.visible.get(tree).and_then(|values| values.get(key));
        value.map(|value| inner.check_value(tree, key).map(|()| value.clone())).transpose()
    }

    fn scan(&self, tree: &str, prefix: &[u8], visit: Visit<'_>) -> Result<()> {
        let inner = self.lock();
        inner.check_alive()?;
        check_tree(tree)?;
        let Some(values) = inner.visible.get(tree) else { return Ok(()) };
        let found: Vec<_> = values
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| inner.check_value(tree, key).map(|()| (key.clone(), value.clone())))
            .collect();
        drop(inner);
        for pair in found {
            let (key, value) = pair?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn pairs_after(&self, tree: &str, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<Pair>> {
        let inner = self.lock();
        inner.check_alive()?;
        check_tree(tree)?;
        let Some(values) = inner.visible.get(tree) else { return Ok(Vec::new()) };
        let (mut piece, mut room) = (Vec::new(), max_bytes);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in values.range::<[u8], _>((from, Bound::Unbounded)) {
            inner.check_value(tree, key)?;
            if !add_pair(&mut piece, &mut room, key, value.clone()) {
                break;
            }
        }
        Ok(piece)
    }

    fn sync(&self) -> Result<()> {
        let mut inner = self.lock();
        inner.check_alive()?;
        inner.take_fault("sync")?;
        let changes = std::mem::take(&mut inner.unsynced);
        for change in &changes {
            change.apply(&mut inner.synced);
        }
        inner.syncs += 1;
        Ok(())
    }

    fn trees(&self) -> Result<Vec<String>> {
        let inner = self.lock();
        inner.check_alive()?;
        Ok(inner.visible.keys().cloned().collect())
    }

    fn drop_tree(&self, tree: &str) -> Result<()> {
        let mut inner = self.lock();
        inner.check_alive()?;
        check_tree(tree)?;
        inner.damaged.remove(tree);
        let change = Change::Drop { tree: tree.to_owned() };
        change.apply(&mut inner.visible);
        inner.unsynced.push(change);
        Ok(())
    }
}

impl Change {
    fn apply(&self, trees: &mut Trees) {
        match self {
            Self::Drop { tree } => {
                trees.remove(tree);
            }
            Self::Apply { tree, batch } => {
                let values = trees.entry(tree.clone()).or_default();
                for op in batch.ops() {
                    match op {
                        KvOp::Put { key, value } => values.insert(key.clone(), value.clone()),
                        KvOp::Delete { key } => values.remove(key),
                    };
                }
            }
        }
    }
}
