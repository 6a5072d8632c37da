//! Who uses which blobs, and which may go: the state behind [`Keeper`](super::Keeper), step by step.
//!
//! A blob is *named* while a manifest, a record or a log says that it is needed. Only the callers know what is named.
//! A blob that may not be named any more goes through four stages: *suspected*, *checked* while the caller looks up
//! what is named, *condemned* if it was not, *leaving* while it is deleted.
//!
//! Invariants:
//! - a writer leases a blob before it puts it in its place, and holds the lease until the command that names it is
//!   answered. Leasing takes the blob out of its stage; one that is leaving is waited for and then written anew;
//! - so between its check and its deletion nobody can have begun to name a condemned blob: it stays unnamed;
//! - a reader pins before it looks up what is named, until it has opened what it found. A blob is condemned in the
//!   epoch of its check, which ends with it, and leaves when no pin of that epoch or an earlier one is left. A reader
//!   that pins later looks after the check, and does not find it;
//! - so a pin delays what is condemned while it is held, and nothing condemned before: removal goes on however many
//!   readers there are, if each ends.
//!
//! Deliberately absent: anything on disk. After a restart nobody reads or writes, and whatever is not named goes.

use std::collections::{BTreeMap, BTreeSet};

use lineate_types::Hash;

/// Pins, leases, and blobs on their way out.
#[derive(Debug, Default)]
pub(super) struct Uses {
    epoch: u64,
    /// How many readers are under way, by the epoch they began in.
    pins: BTreeMap<u64, usize>,
    /// How many leases each blob is under.
    leased: BTreeMap<Hash, usize>,
    stages: BTreeMap<Hash, Stage>,
}

/// How far a blob is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Suspected,
    Checked,
    /// In this epoch.
    Condemned(u64),
    Leaving,
}

impl Uses {
    /// Begins to read; gives the epoch to end it with.
    pub(super) fn pin(&mut self) -> u64 {
        *self.pins.entry(self.epoch).or_default() += 1;
        self.epoch
    }

    /// Ends what [`Self::pin`] began.
    pub(super) fn unpin(&mut self, epoch: u64) {
        decrement(&mut self.pins, &epoch);
    }

    /// Keeps a blob; false if it is leaving, and must be waited for.
    pub(super) fn lease(&mut self, blob: Hash) -> bool {
        if self.stages.get(&blob) == Some(&Stage::Leaving) {
            return false;
        }
        self.stages.remove(&blob);
        *self.leased.entry(blob).or_default() += 1;
        true
    }

    /// Ends one lease of a blob.
    pub(super) fn release(&mut self, blob: &Hash) {
        decrement(&mut self.leased, blob);
    }

    /// A blob may not be named any more. What is condemned or leaving stays so: it cannot have been named since.
    pub(super) fn suspect(&mut self, blob: Hash) {
        let stage = self.stages.entry(blob).or_insert(Stage::Suspected);
        if *stage == Stage::Checked {
            // It may have been named when the check looked, and not be named now.
            *stage = Stage::Suspected;
        }
    }

    /// Whether the next removal has something to look at.
    pub(super) fn is_waiting(&self) -> bool {
        self.stages.iter().any(|(blob, stage)| match stage {
            Stage::Suspected => !self.leased.contains_key(blob),
            Stage::Condemned(_) => true,
            Stage::Checked | Stage::Leaving => false,
        })
    }

    /// Begins a check; false if there is nothing to check. What is named is to be looked up after this.
    pub(super) fn begin_check(&mut self) -> bool {
        let mut is_any = false;
        for (blob, stage) in &mut self.stages {
            if *stage == Stage::Suspected && !self.leased.contains_key(blob) {
                *stage = Stage::Checked;
                is_any = true;
            }
        }
        is_any
    }

    /// Ends a check: what was named may stay, the rest is condemned.
    pub(super) fn end_check(&mut self, named: &BTreeSet<Hash>) {
        self.stages.retain(|blob, stage| *stage != Stage::Checked || !named.contains(blob));
        for stage in self.stages.values_mut().filter(|stage| **stage == Stage::Checked) {
            *stage = Stage::Condemned(self.epoch);
        }
        self.epoch += 1;
    }

    /// What leaves now: condemned, and out of every reader's reach.
    pub(super) fn begin_removal(&mut self) -> Vec<Hash> {
        let oldest = self.pins.first_key_value().map_or(u64::MAX, |(epoch, _)| *epoch);
        let mut leaving = Vec::new();
        for (blob, stage) in &mut self.stages {
            if matches!(*stage, Stage::Condemned(epoch) if epoch < oldest) {
                *stage = Stage::Leaving;
                leaving.push(*blob);
            }
        }
        leaving
    }

    /// A blob that was leaving is gone, or could not be removed and is tried again.
    pub(super) fn end_removal(&mut self, blob: &Hash, is_gone: bool) {
        self.stages.remove(blob);
        if !is_gone {
            self.suspect(*blob);
        }
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
