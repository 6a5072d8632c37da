//! The quick part of a lookup: the cache and the runs in memory, of one view in one shard, under the shard's lock.
//!
//! Every row committed at or below `as_of` is in a run that is read here, or was sealed before. So whatever is
//! sealed when the segments are read later covers the rest, and rows met twice are the same rows.

use arrow::array::RecordBatch;
use lineate_segment::{
    Rank,
    matcher::{Candidate, Cut, Outcome},
};
use lineate_state::shard::{ShardMachine, StreamRun};
use lineate_types::{EntityKey, TimestampUs};

use super::{
    entry::SharedEntry,
    hot_shard::{Cached, HotShard},
    plan::OnlineView,
    request::{Keys, Moment},
};
use crate::{Result, ViewPlan};

/// What is known of one view so far.
pub(super) struct ViewRows {
    /// The best row of each entity.
    pub(super) best: Vec<Option<Best>>,
    /// Values of rows of runs in memory.
    pub(super) parts: Vec<RecordBatch>,
}

/// The best row of a key so far.
#[derive(Debug, Clone)]
pub(super) struct Best {
    pub(super) rank: Rank,
    pub(super) deleted: bool,
    pub(super) place: Place,
}

/// Where the values of a row are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// They are not needed: the row gives none.
    Nowhere,
    /// In a part of [`ViewRows`], at a row.
    Part(usize, usize),
    /// In an entry, at a row.
    Entry(SharedEntry, usize),
}

/// One view in one shard.
pub(super) struct Target<'a> {
    pub(super) plan: &'a ViewPlan,
    pub(super) view: &'a OnlineView,
    pub(super) keys: &'a Keys,
    /// The entities to look up: those with a key in the shard.
    pub(super) entities: &'a [usize],
}

impl ViewRows {
    /// Nothing is known of any entity.
    pub(super) fn new(entities: usize) -> Self {
        Self { best: vec![None; entities], parts: Vec::new() }
    }

    /// Takes what an entry says of an entity.
    pub(super) fn take_entry(&mut self, entity: usize, entry: &SharedEntry, at: TimestampUs) {
        let Some((number, row)) = entry.winner(at) else { return };
        let Some(best) = self.best.get_mut(entity) else { return };
        if best.as_ref().is_none_or(|best| best.rank < row.rank) {
            let place = Place::Entry(entry.clone(), number);
            *best = Some(Best { rank: row.rank, deleted: row.deleted, place });
        }
    }

    /// Reads the cache and the runs in memory; gives the entities whose sealed rows must still be read.
    ///
    /// # Errors
    /// Rows cannot be gathered.
    pub(super) fn probe(
        &mut self,
        target: &Target<'_>,
        machine: &ShardMachine,
        hot: &HotShard,
        moment: &Moment,
    ) -> Result<Vec<usize>> {
        let keyed = || target.entities.iter().filter_map(|entity| Some((*entity, target.keys.get(*entity)?)));
        let Cached { entries, settling } = match moment.is_now {
            true => hot.get(target.view.shape.id, keyed().map(|(_, key)| key), moment.at),
            false => Cached { entries: vec![None; target.entities.len()], settling: Vec::new() },
        };
        let history = machine.history(target.plan.view.history);
        let open = history.and_then(|history| history.open.as_ref());
        let frozen = history.into_iter().flat_map(|history| history.frozen.values());
        let runs =
            open.into_iter().chain(frozen.map(AsRef::as_ref)).chain(settling.iter().map(AsRef::as_ref));
        let runs: Vec<&StreamRun> = runs.collect();
        let cut = moment.cut(target.plan);

        let mut missing = Vec::new();
        // For each run: its winning rows, and whose they are.
        let mut wanted: Vec<(Vec<u32>, Vec<usize>)> = vec![Default::default(); runs.len()];
        for ((entity, key), entry) in keyed().zip(entries) {
            match entry {
                Some(entry) => self.take_entry(entity, &entry, moment.at),
                None => missing.push(entity),
            }
            let Some(slot) = self.best.get_mut(entity) else { continue };
            let Some((run, candidate)) = find(&runs, key, moment.at, &cut) else { continue };
            if slot.as_ref().is_some_and(|best| best.rank >= candidate.rank) {
                continue;
            }
            let Candidate { rank, row, deleted } = candidate;
            *slot = Some(Best { rank, deleted, place: Place::Nowhere });
            if cut.outcome(rank.event_time, deleted, moment.at) == Outcome::Live
                && let Some((rows, entities)) = wanted.get_mut(run)
            {
                rows.push(row);
                entities.push(entity);
            }
        }
        for (run, (rows, entities)) in runs.iter().zip(wanted) {
            if rows.is_empty() {
                continue;
            }
            let part = self.parts.len();
            self.parts.push(run.rows.gather(&rows, &target.plan.features)?);
            for (row, entity) in entities.into_iter().enumerate() {
                if let Some(Some(best)) = self.best.get_mut(entity) {
                    best.place = Place::Part(part, row);
                }
            }
        }
        Ok(missing)
    }
}

/// The best row of a key in runs in memory, and which of them has it.
fn find(runs: &[&StreamRun], key: &EntityKey, at: TimestampUs, cut: &Cut) -> Option<(usize, Candidate)> {
    let found =
        runs.iter().enumerate().filter_map(|(number, run)| Some((number, run.rows.find(key, at, cut)?)));
    found.max_by_key(|(_, candidate)| candidate.rank)
}
