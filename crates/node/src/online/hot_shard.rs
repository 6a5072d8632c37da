//! The hot view of one shard: entries, and what they cover.
//!
//! Locks: whoever holds the shard's machine may take this one, never the other way round; nothing is decoded,
//! read or awaited under it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lineate_segment::segment::SegmentInfo;
use lineate_state::shard::{ShardMachine, StreamRun};
use lineate_types::{EntityKey, HistoryId, TimestampUs, ViewId};
use tokio::sync::Notify;

use super::{
    coverage::{Coverage, Ticket},
    entries::{Entries, ViewOfHistory},
    entry::SharedEntry,
};
use crate::api::CacheStats;

/// The hot view of one shard.
pub(crate) struct HotShard {
    state: Mutex<State>,
    /// Notified when runs are to be folded.
    folds: Arc<Notify>,
}

struct State {
    coverage: BTreeMap<HistoryId, Coverage>,
    entries: Entries,
}

/// What is cached for some keys of one view, and the runs to read beside it.
pub(super) struct Cached {
    /// For each key asked for.
    pub(super) entries: Vec<Option<SharedEntry>>,
    pub(super) settling: Vec<Arc<StreamRun>>,
}

/// Keys of entries that ended, by view version.
pub(super) type StaleKeys = BTreeMap<ViewId, Vec<Arc<EntityKey>>>;

impl HotShard {
    /// An empty hot view beside a machine that nobody applies to yet.
    pub(crate) fn new(machine: &ShardMachine, capacity: usize, folds: Arc<Notify>) -> Self {
        let coverage = machine.histories().map(|(id, history)| (id, Coverage::of(history))).collect();
        let state = State { coverage, entries: Entries::new(capacity) };
        Self { state: Mutex::new(state), folds }
    }

    /// Follows the machine after a drain, before anybody reads it.
    pub(crate) fn follow(&self, machine: &ShardMachine) {
        let mut state = self.lock();
        let State { coverage, entries } = &mut *state;
        let mut to_fold = false;
        for (id, history) in machine.histories() {
            // A history seen first now has no entries, and no run of it was sealed unseen.
            let coverage = coverage.entry(id).or_default();
            to_fold |= coverage.follow(history, entries.views(id).next().is_some());
        }
        drop(state);
        if to_fold {
            self.folds.notify_one();
        }
    }

    /// What is cached for keys of a view at a time. To be called while the machine is held, with the other runs
    /// read under the same guard.
    pub(super) fn get<'k>(
        &self,
        view: ViewOfHistory,
        keys: impl Iterator<Item = &'k EntityKey>,
        at: TimestampUs,
    ) -> Cached {
        let mut state = self.lock();
        let State { coverage, entries } = &mut *state;
        let coverage = coverage.get(&view.0);
        let epoch = coverage.map_or(0, Coverage::epoch);
        let found =
            keys.map(|key| entries.get(view, key, |entry| entry.answers(epoch, at)).cloned()).collect();
        let settling = coverage.map_or_else(Vec::new, |coverage| coverage.settling().to_vec());
        Cached { entries: found, settling }
    }

    /// To be called while the machine is held, together with reading its manifest.
    pub(super) fn ticket(&self, history: HistoryId) -> Ticket {
        self.lock().coverage.entry(history).or_default().ticket()
    }

    /// Keeps entries that were read under a ticket, unless that was overtaken.
    pub(super) fn keep<'k>(
        &self,
        view: ViewOfHistory,
        ticket: Ticket,
        loaded: impl IntoIterator<Item = (&'k EntityKey, &'k SharedEntry)>,
    ) {
        let mut state = self.lock();
        if !state.coverage.entry(view.0).or_default().admits(ticket) {
            return;
        }
        for (key, entry) in loaded {
            state.entries.insert(view, key, entry.clone());
        }
    }

    /// Keeps entries as [`Self::keep`] does, but pushes nothing out for them; whether there was room for all. What
    /// finds no room takes the entry of its key with it, which is of no use any more.
    pub(super) fn keep_if_room<'k>(
        &self,
        view: ViewOfHistory,
        ticket: Ticket,
        read: impl IntoIterator<Item = (&'k EntityKey, &'k SharedEntry)>,
    ) -> bool {
        let mut state = self.lock();
        if !state.coverage.entry(view.0).or_default().admits(ticket) {
            return true;
        }
        let mut had_room = true;
        for (key, entry) in read {
            had_room &= state.entries.insert_if_room(view, key, entry);
        }
        had_room
    }

    /// Whether another entry of usual size may be kept without pushing one out.
    pub(super) fn has_room(&self) -> bool {
        self.lock().entries.has_room()
    }

    /// The keys of entries of a history that ended, in a range of slots, by view; and whether it reaches the end.
    pub(super) fn stale(&self, history: HistoryId, slots: Range<usize>) -> (StaleKeys, bool) {
        let state = self.lock();
        let epoch = state.coverage.get(&history).map_or(0, Coverage::epoch);
        let reaches_end = slots.end >= state.entries.slots();
        let mut stale = StaleKeys::new();
        for (view, key, entry) in state.entries.in_slots(slots) {
            if view.0 == history && entry.epoch != epoch {
                stale.entry(view.1).or_default().push(key.clone());
            }
        }
        (stale, reaches_end)
    }

    /// The oldest segment of a bulk load that is not read into the cache, of any history.
    pub(super) fn next_load(&self) -> Option<(HistoryId, SegmentInfo)> {
        let state = self.lock();
        state.coverage.iter().find_map(|(id, coverage)| Some((*id, coverage.loaded().first()?.clone())))
    }

    /// A segment of a bulk load is read into the cache as far as there is room.
    pub(super) fn end_load(&self, history: HistoryId, segment: &SegmentInfo) {
        if let Some(coverage) = self.lock().coverage.get_mut(&history) {
            coverage.end_load(segment);
        }
    }

    /// The oldest run to fold, of any history.
    pub(super) fn begin_fold(&self) -> Option<(HistoryId, Arc<StreamRun>)> {
        let mut state = self.lock();
        state.coverage.iter_mut().find_map(|(id, coverage)| Some((*id, coverage.begin_fold()?)))
    }

    /// A run is folded.
    pub(super) fn end_fold(&self, history: HistoryId, run: &Arc<StreamRun>) {
        if let Some(coverage) = self.lock().coverage.get_mut(&history) {
            coverage.end_fold(run);
        }
    }

    /// A run cannot be folded: all entries of the history end.
    pub(super) fn abandon(&self, history: HistoryId) {
        if let Some(coverage) = self.lock().coverage.get_mut(&history) {
            coverage.end_epoch();
        }
    }

    /// The view versions of a history that have entries.
    pub(super) fn views(&self, history: HistoryId) -> Vec<ViewId> {
        self.lock().entries.views(history).collect()
    }

    /// The present entries of some keys, for folding into.
    pub(super) fn peek<'k>(
        &self,
        view: ViewOfHistory,
        keys: impl Iterator<Item = &'k EntityKey>,
    ) -> Vec<Option<SharedEntry>> {
        let state = self.lock();
        let epoch = state.coverage.get(&view.0).map_or(0, Coverage::epoch);
        let peek = |key| state.entries.peek(view, key).filter(|entry| entry.epoch == epoch).cloned();
        keys.map(peek).collect()
    }

    /// Replaces an entry, unless the key has another by now: that was read after the run was sealed.
    pub(super) fn replace(&self, view: ViewOfHistory, key: &EntityKey, old: &SharedEntry, new: SharedEntry) {
        let mut state = self.lock();
        if state.entries.peek(view, key).is_some_and(|present| Arc::ptr_eq(present, old)) {
            state.entries.insert(view, key, new);
        }
    }

    /// Adds what is counted here.
    pub(super) fn count(&self, stats: &mut CacheStats) {
        let state = self.lock();
        stats.evictions += state.entries.evictions();
        stats.entries += state.entries.len() as u64;
        stats.bytes += state.entries.bytes() as u64;
        stats.capacity_bytes += state.entries.capacity() as u64;
        let waiting = |coverage: &Coverage| (coverage.settling().len() + coverage.loaded().len()) as u64;
        stats.folding += state.coverage.values().map(waiting).sum::<u64>();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
