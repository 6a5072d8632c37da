//! Removes blobs that nothing names, while others read and write them ([`Uses`] says why that is safe).

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use lineate_types::Hash;

use super::{BlobStore, lease::Lease, uses::Uses};
use crate::Result;

/// Knows who uses the blobs of a store. Clones share it. Whoever writes blobs to be named writes them through a
/// [`Lease`]; whoever opens what is named now, and may not be in a moment, holds a [`Pin`] meanwhile.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: Arc<dyn BlobStore>,
    uses: Mutex<Uses>,
    /// Blobs that were leaving are gone.
    gone: Condvar,
    one_removal: Mutex<()>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// A reader: what it finds named can be opened until it is dropped. Short: what is open stays readable.
#[derive(Debug)]
pub struct Pin {
    keeper: Keeper,
    epoch: u64,
}

impl Keeper {
    /// Nobody uses the blobs yet. `wake` is called when blobs may be removed; it must be quick.
    pub fn new(blobs: Arc<dyn BlobStore>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let inner = Inner {
            blobs,
            uses: Mutex::default(),
            gone: Condvar::new(),
            one_removal: Mutex::default(),
            wake: Box::new(wake),
        };
        Self { inner: Arc::new(inner) }
    }

    /// To be taken before looking up what is named.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin { epoch: self.uses().pin(), keeper: self.clone() }
    }

    /// To write blobs that a command will name.
    pub fn lease(&self) -> Lease {
        Lease::new(self.clone())
    }

    /// Lets blobs be removed, unless something names them.
    pub fn suspect(&self, blobs: impl IntoIterator<Item = Hash>) {
        let mut is_any = false;
        {
            let mut uses = self.uses();
            for blob in blobs {
                uses.suspect(blob);
                is_any = true;
            }
        }
        if is_any {
            (self.inner.wake)();
        }
    }

    /// Whether blobs wait to be removed. They may still be named, or in somebody's reach.
    pub fn is_waiting(&self) -> bool {
        self.uses().is_waiting()
    }

    /// Removes what may be removed and is not named; `gone` is told of each blob. Blobs in a reader's reach stay for
    /// the next time.
    ///
    /// # Errors
    /// A blob cannot be deleted; it and those after it are tried again next time.
    pub fn remove(&self, named: impl FnOnce() -> BTreeSet<Hash>, mut gone: impl FnMut(&Hash)) -> Result<()> {
        let _one = self.inner.one_removal.lock().unwrap_or_else(PoisonError::into_inner);
        if self.uses().begin_check() {
            let named = named();
            self.uses().end_check(&named);
        }
        let leaving = self.uses().begin_removal();
        let mut outcome = Ok(());
        for blob in &leaving {
            if outcome.is_ok() {
                outcome = self.inner.blobs.delete(blob);
            }
            if outcome.is_ok() {
                gone(blob);
            }
            self.uses().end_removal(blob, outcome.is_ok());
            self.inner.gone.notify_all();
        }
        outcome
    }

    pub(super) fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.inner.blobs
    }

    /// Leases a blob. Waits while it is being deleted, which is short.
    pub(super) fn begin_lease(&self, blob: Hash) {
        let mut uses = self.uses();
        while !uses.lease(blob) {
            uses = self.inner.gone.wait(uses).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn end_leases(&self, blobs: &BTreeSet<Hash>, may_be_unnamed: bool) {
        {
            let mut uses = self.uses();
            blobs.iter().for_each(|blob| uses.release(blob));
        }
        if may_be_unnamed {
            self.suspect(blobs.iter().copied());
        }
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.inner.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.keeper.uses().unpin(self.epoch);
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Keeper").field(&*self.uses()).finish()
    }
}
