//! Point-in-time matching: for each key and time, the winning row over any number of runs.
//!
//! The rows of a key in a run ascend by rank, so the winner at a time T is the last row that is visible at T.
//! Probes of a key are taken from the latest time to the earliest. A row passed over at T, because its event,
//! created or commit time is beyond T or the snapshot, is beyond every earlier T too and never looked at again.
//! Hence one cursor per key and run, moving down only: rows plus probes, whatever the history looks like. The
//! event time, by which rows are sorted first, lets the cursor gallop; the rest it walks.
//!
//! A maximum decomposes: runs are probed one by one and the greatest rank wins. The time-to-live is a filter on
//! the winner (see [`Cut::outcome`]).

mod cut;
mod spine;

use std::ops::Range;

use lineate_types::{EntityKey, TimestampUs};

pub use cut::{Candidate, Cut, Outcome};
pub use spine::{Spine, SpineKeys, SpinePart};

use crate::run::{CommitTimes, KeyRef, RunKeys};

/// The winning row of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Winner {
    /// Which of the runs holds it.
    pub run: u32,
    /// Its row number in that run.
    pub row: u32,
    /// What it says.
    pub outcome: Outcome,
    /// Its event time.
    pub event_time: TimestampUs,
}

/// The winner of every probe of a part of a spine, in the order of [`SpinePart::probes`]. For each run, its
/// winning rows never descend.
pub fn match_runs<'a>(
    runs: impl IntoIterator<Item = &'a RunKeys>,
    part: &SpinePart<'_>,
    cut: &Cut,
) -> Vec<Option<Winner>> {
    let runs: Vec<&RunKeys> = runs.into_iter().collect();
    let probes = part.probes();
    let mut best: Vec<Option<Best>> = vec![None; probes.len()];
    for (number, run) in (0_u32..).zip(&runs) {
        match_run(run, part, cut, |probe, found| {
            let Some(place) = best.get_mut(probe - probes.start) else { return };
            let rank = || run.rank(found.index);
            let better = place.is_none_or(|held| {
                let held_rank = runs.get(held.run as usize).map(|held_run| held_run.rank(held.found.index));
                held_rank < Some(rank())
            });
            if better {
                *place = Some(Best { run: number, found });
            }
        });
    }
    let times = part.spine().times().get(probes).unwrap_or_default();
    let winner = |(best, time): (Option<Best>, &i64)| {
        let Best { run, found } = best?;
        let keys = runs.get(run as usize)?;
        let event_time = keys.rank(found.index).event_time;
        let outcome = cut.outcome(event_time, keys.is_deleted(found.index), TimestampUs(*time));
        Some(Winner { run, row: keys.row_number(found.key, found.index), outcome, event_time })
    };
    best.into_iter().zip(times).map(winner).collect()
}

/// The latest row of one key that is visible at a time in one run.
pub fn find(run: &RunKeys, key: &EntityKey, at: TimestampUs, cut: &Cut) -> Option<Candidate> {
    let position = run.keys().find(KeyRef::of(key))?;
    let mut cursor = Cursor::new(run, run.rows_of(position), cut)?;
    let index = cursor.seek(at)?;
    let row = run.row_number(position, index);
    Some(Candidate { rank: run.rank(index), row, deleted: run.is_deleted(index) })
}

#[derive(Debug, Clone, Copy)]
struct Best {
    run: u32,
    found: Found,
}

/// An entry of a run: the position of its key and its index.
#[derive(Debug, Clone, Copy)]
struct Found {
    key: usize,
    index: usize,
}

/// Calls back with each probe that has a winner in this run.
fn match_run(run: &RunKeys, part: &SpinePart<'_>, cut: &Cut, mut found: impl FnMut(usize, Found)) {
    let spine = part.spine();
    let (mut asked, mut held) = (part.keys().start, 0);
    while asked < part.keys().end {
        let (Some(asked_key), Some(held_key)) = (spine.keys().get(asked), run.keys().get(held)) else {
            return;
        };
        if held_key < asked_key {
            held = run.keys().lower_bound(held, asked_key);
        } else if asked_key < held_key {
            asked = spine.keys().lower_bound(asked, held_key);
        } else {
            let probes = spine.probes_of(asked);
            let times = spine.times().get(probes.clone()).unwrap_or_default();
            let Some(mut cursor) = Cursor::new(run, run.rows_of(held), cut) else { return };
            for (probe, time) in probes.zip(times).rev() {
                let Some(index) = cursor.seek(TimestampUs(*time)) else { break };
                found(probe, Found { key: held, index });
            }
            asked += 1;
            held += 1;
        }
    }
}

/// Walks the rows of one key from the highest rank down, for times that descend.
struct Cursor<'a> {
    run: &'a RunKeys,
    cut: &'a Cut,
    /// Event times of the rows not yet passed over.
    event_times: &'a [i64],
    /// The index of the first of them.
    first: usize,
    /// Whether a row may be invisible though its event time has come.
    may_be_late: bool,
}

impl<'a> Cursor<'a> {
    /// None if no row of the run is in the snapshot.
    fn new(run: &'a RunKeys, rows: Range<usize>, cut: &'a Cut) -> Option<Self> {
        let all_committed = run.latest_commit() <= cut.snapshot;
        if !all_committed && matches!(run.times().commit, CommitTimes::Constant(_)) {
            return None;
        }
        Some(Self {
            run,
            cut,
            first: rows.start,
            event_times: run.times().event.get(rows).unwrap_or_default(),
            may_be_late: !all_committed || cut.heeds_created() || cut.heeds_commit(),
        })
    }

    /// The last row visible at a time, which is at or before the time of the call before.
    fn seek(&mut self, at: TimestampUs) -> Option<usize> {
        self.drop_later_events(at);
        if self.may_be_late {
            while let Some(last) = self.event_times.len().checked_sub(1) {
                if self.cut.admits(&self.run.rank(self.first + last), at) {
                    break;
                }
                self.event_times = self.event_times.get(..last).unwrap_or_default();
            }
        }
        self.event_times.len().checked_sub(1).map(|last| self.first + last)
    }

    /// Passes over the rows whose event time is after `at`: gallops from the end, then halves.
    fn drop_later_events(&mut self, at: TimestampUs) {
        let times = self.event_times;
        let mut low = times.len();
        let mut step = 1;
        let mut high = times.len();
        while low > 0 {
            let probe = low.saturating_sub(step);
            if times.get(probe).is_some_and(|time| *time <= at.0) {
                low = probe;
                break;
            }
            high = probe;
            low = probe;
            step *= 2;
        }
        let between = times.get(low..high).unwrap_or_default();
        let keep = low + between.partition_point(|time| *time <= at.0);
        self.event_times = times.get(..keep).unwrap_or_default();
    }
}
