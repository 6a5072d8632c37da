//! What the entries of one history cover in one shard, kept in step with the shard's manifest.
//!
//! Invariant: an entry of the present epoch holds every sealed row of its key that can count, except rows of the
//! runs in `settling`. Lookups read these, and every run that is not sealed yet, directly. Hence:
//! - a write changes nothing here: its rows are in a run that every lookup reads;
//! - compaction changes nothing: the sealed rows stay the same;
//! - sealing moves a run into `settling`, from where it is folded into the entries in the background;
//! - a bulk load that is resolved adds sealed rows nobody read: a new epoch, which ends all entries; its
//!   keys, and those that had entries, are read again in the background (see [`super::warm`]).
//!
//! The manifest's numbers ascend and are never used again, so that its last number names its state.

use std::{collections::BTreeMap, sync::Arc};

use lineate_segment::segment::SegmentInfo;
use lineate_state::{
    RunNumber,
    shard::{History, StreamRun},
};
use lineate_types::limits;

/// What the entries of one history cover.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    last_sealed: Option<u64>,
    sealed_rows: u64,
    frozen: BTreeMap<RunNumber, Arc<StreamRun>>,
    /// Sealed runs whose rows may be missing in entries, oldest first.
    settling: Vec<Arc<StreamRun>>,
    /// Segments of bulk loads whose keys are to be read into entries, oldest first.
    loaded: Vec<SegmentInfo>,
    /// Raised when sealed rows appear from elsewhere than a run; entries of other epochs say nothing.
    epoch: u64,
    /// Raised when an entry that is being loaded may miss rows by the time it is kept.
    version: u64,
}

/// The state of a history whose segments somebody is about to read: what they read may be kept if nothing
/// happened meanwhile that it would miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) epoch: u64,
    version: u64,
}

impl Coverage {
    /// A history as it is when nothing is cached of it.
    pub(super) fn of(history: &History) -> Self {
        let mut coverage = Self::default();
        coverage.note(history);
        coverage
    }

    /// Follows the history after a drain. Runs that were sealed settle if there are entries to fold them into.
    /// Says whether there is something to fold, or to read from a load.
    ///
    /// A frozen run is seen here before it can be sealed, since its sealing is proposed by whoever saw it
    /// frozen. If that were not so, the rows would not add up, and the epoch would end.
    pub(super) fn follow(&mut self, history: &History, has_entries: bool) -> bool {
        let last_sealed = history.sealed.keys().next_back().copied();
        let sealed_before = self.last_sealed;
        if last_sealed == sealed_before {
            // Runs leave `frozen` by being sealed only.
            if history.frozen.len() != self.frozen.len() {
                self.frozen.clone_from(&history.frozen);
            }
            return false;
        }
        let is_gone = |(number, _): &(&RunNumber, &Arc<StreamRun>)| !history.frozen.contains_key(number);
        let gone: Vec<Arc<StreamRun>> =
            self.frozen.iter().filter(is_gone).map(|(_, run)| run.clone()).collect();
        let gone_rows: u64 = gone.iter().map(|run| run.rows.rows() as u64).sum();
        let rows_before = self.sealed_rows;
        self.note(history);
        let new = history.sealed.iter().filter(|(number, _)| Some(**number) > sealed_before);
        let loaded = new.filter(|(_, sealed)| sealed.load.is_some()).map(|(_, sealed)| &sealed.segment);
        let loads_before = self.loaded.len();
        self.loaded.extend(loaded.cloned());
        let has_load = self.loaded.len() > loads_before;
        // The newest are the likeliest to be asked for.
        self.loaded.drain(..self.loaded.len().saturating_sub(limits::WARMING_SEGMENTS));
        if has_load || self.sealed_rows != rows_before.saturating_add(gone_rows) {
            self.end_epoch();
            return has_load;
        }
        if gone.is_empty() {
            return false;
        }
        if !has_entries || self.settling.len() + gone.len() > limits::SETTLING_RUNS {
            self.end_epoch();
            return false;
        }
        self.settling.extend(gone);
        true
    }

    fn note(&mut self, history: &History) {
        self.last_sealed = history.sealed.keys().next_back().copied();
        self.sealed_rows = history.sealed.values().map(|sealed| sealed.segment.rows).sum();
        self.frozen.clone_from(&history.frozen);
    }

    /// Ends all entries, and refuses those being loaded.
    pub(super) fn end_epoch(&mut self) {
        self.epoch += 1;
        self.version += 1;
        self.settling.clear();
    }

    /// Which entries count.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The runs to read beside entries.
    pub(super) fn settling(&self) -> &[Arc<StreamRun>] {
        &self.settling
    }

    /// To be drawn together with the manifest that is read then.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket { epoch: self.epoch, version: self.version }
    }

    /// Whether what was read under a ticket may be kept.
    pub(super) fn admits(&self, ticket: Ticket) -> bool {
        self.ticket() == ticket
    }

    /// The segments of bulk loads to read into entries.
    pub(super) fn loaded(&self) -> &[SegmentInfo] {
        &self.loaded
    }

    /// A segment of a bulk load is read, as far as it is worth while.
    pub(super) fn end_load(&mut self, segment: &SegmentInfo) {
        self.loaded.retain(|loaded| loaded != segment);
    }

    /// The run to fold next. From here on an entry may be kept only if it was read after the run was sealed:
    /// folding may have passed its key.
    pub(super) fn begin_fold(&mut self) -> Option<Arc<StreamRun>> {
        let run = self.settling.first()?.clone();
        self.version += 1;
        Some(run)
    }

    /// A run is in every entry of its keys.
    pub(super) fn end_fold(&mut self, run: &Arc<StreamRun>) {
        self.settling.retain(|settling| !Arc::ptr_eq(settling, run));
    }
}
