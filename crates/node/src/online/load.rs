//! The slow part of a lookup: the sealed rows of all missing keys of one view in one shard, read together.

use std::{collections::BTreeMap, sync::Arc};

use lineate_segment::{
    matcher::Cut,
    run::{KeyRef, RowSource, RunKeys},
    segment::{Segment, SegmentInfo},
};
use lineate_state::{meta::LoadOutcome, shard::ShardMachine};
use lineate_types::{EntityKey, HistoryId, ShardId, limits};

use super::{
    coverage::Ticket,
    entry::{Entry, SharedEntry},
    plan::ViewShape,
    request::Moment,
    skyline::{Contender, Skyline},
};
use crate::{Error, Node, Result};

/// Where the values of a sealed row are: which segment, which row.
type SealedPlace = (usize, u32);

impl Node {
    /// Entries of some keys of a view, read from segments and, if they are of now, kept. `cut` says which rows
    /// count: for now that of the view's entries, else that of the moment, as for runs in memory.
    ///
    /// # Errors
    /// A segment is missing or damaged.
    pub(super) fn load_entries(
        &self,
        shape: &ViewShape,
        shard: ShardId,
        keys: &[&EntityKey],
        cut: &Cut,
        moment: &Moment,
    ) -> Result<Vec<SharedEntry>> {
        let (ticket, loaded) = self.read_entries(shape, shard, keys, cut, moment)?;
        if moment.is_now {
            self.online().hot(shard).keep(shape.id, ticket, keys.iter().copied().zip(&loaded));
        }
        Ok(loaded)
    }

    /// The same, and the ticket under which they may be kept.
    ///
    /// # Errors
    /// A segment is missing or damaged.
    pub(super) fn read_entries(
        &self,
        shape: &ViewShape,
        shard: ShardId,
        keys: &[&EntityKey],
        cut: &Cut,
        moment: &Moment,
    ) -> Result<(Ticket, Vec<SharedEntry>)> {
        let opening = self.keeper().pin();
        let (infos, ticket) = {
            let machine = self.shard(shard).read();
            (self.sealed(&machine, shape.id.0), self.online().hot(shard).ticket(shape.id.0))
        };
        let segments = infos.iter().map(|info| self.segments().open(info)).collect::<Result<Vec<_>>>()?;
        drop(opening);
        let mut loaded = Vec::with_capacity(keys.len());
        for keys in keys.chunks(limits::LOAD_KEYS) {
            loaded.extend(read(&segments, shape, keys, cut, ticket, moment)?);
        }
        Ok((ticket, loaded))
    }

    /// The segments of a history, those of committed loads that are not resolved yet included.
    fn sealed(&self, machine: &ShardMachine, history: HistoryId) -> Vec<SegmentInfo> {
        let sealed = machine.history(history).into_iter().flat_map(|history| history.sealed.values());
        let mut infos: Vec<SegmentInfo> = sealed.map(|sealed| sealed.segment.clone()).collect();
        for (load, staged) in machine.staged() {
            let of_history = machine.view(staged.view).is_some_and(|(view, _)| view.history == history);
            let outcome = self.meta().read().load(load).map(|state| state.outcome);
            if let (true, Some(LoadOutcome::Committed { commit_time, .. })) = (of_history, outcome) {
                infos.extend(staged.segments.iter().map(|segment| segment.clone().committed_at(commit_time)));
            }
        }
        infos
    }
}

/// The entries of some keys, in their order. All of them answer at the moment asked for.
fn read(
    segments: &[Arc<Segment>],
    shape: &ViewShape,
    keys: &[&EntityKey],
    cut: &Cut,
    ticket: Ticket,
    moment: &Moment,
) -> Result<Vec<SharedEntry>> {
    let mut distinct: Vec<KeyRef<'_>> = keys.iter().map(|key| KeyRef::of(key)).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut runs: Vec<Arc<RunKeys>> = Vec::with_capacity(segments.len());
    for segment in segments {
        let buckets = segment.info().first_bucket..=segment.info().last_bucket;
        runs.push(segment.keys_of(distinct.iter().filter(|key| buckets.contains(&key.bucket)).copied())?);
    }
    let skylines: Vec<Skyline<SealedPlace>> =
        distinct.iter().map(|key| skyline(&runs, *key, cut, moment)).collect();
    let sources: Vec<&dyn RowSource> = segments.iter().map(|segment| segment.as_ref() as _).collect();
    let packed = with_values(shape, &skylines, &sources)?;
    let entries: Vec<SharedEntry> =
        packed.iter().map(|skyline| Arc::new(Entry::new(ticket.epoch, skyline))).collect();
    let entry_of = |key: &&EntityKey| {
        let position = distinct.binary_search(&KeyRef::of(key)).ok();
        let entry = position.and_then(|position| entries.get(position)).cloned();
        entry.ok_or_else(|| Error::Internal("a key that was read has no entry".into()))
    };
    keys.iter().map(entry_of).collect()
}

/// The contenders of a key over all runs; one row where one time is asked for.
fn skyline(runs: &[Arc<RunKeys>], key: KeyRef<'_>, cut: &Cut, moment: &Moment) -> Skyline<SealedPlace> {
    let of_runs = |from, most| {
        let parts = runs.iter().enumerate().filter_map(|(number, run)| {
            let position = run.keys().find(key)?;
            Some(Skyline::of_run(run, position, cut, from, most).map(|row| (number, row)))
        });
        Skyline::merge(parts.collect(), from, most)
    };
    match moment.is_now {
        true => Skyline::around(moment.at, |from| of_runs(from, limits::CACHED_ROWS_PER_KEY)),
        false => of_runs(moment.at, 1),
    }
}

/// The skylines with packed values in place of where they are: one gather per source, tombstones have none.
///
/// # Errors
/// A source is damaged.
pub(super) fn with_values(
    shape: &ViewShape,
    skylines: &[Skyline<SealedPlace>],
    sources: &[&dyn RowSource],
) -> Result<Vec<Skyline<Vec<u8>>>> {
    // By source and row: the values, once they are gathered.
    let mut values: BTreeMap<SealedPlace, Vec<u8>> = BTreeMap::new();
    let rows = skylines.iter().flat_map(|skyline| &skyline.rows).filter(|row| !row.deleted);
    values.extend(rows.map(|row| (row.place, Vec::new())));
    for (number, source) in sources.iter().enumerate() {
        let here = (number, 0)..=(number, u32::MAX);
        let rows: Vec<u32> = values.range(here.clone()).map(|((_, row), _)| *row).collect();
        if rows.is_empty() {
            continue;
        }
        let packed = shape.packer.pack(&source.gather(&rows, shape.packer.schema())?)?;
        for ((_, slot), bytes) in values.range_mut(here).zip(packed.iter()) {
            *slot = bytes.to_vec();
        }
    }
    let of_row = |row: &Contender<SealedPlace>| Contender {
        visible_at: row.visible_at,
        rank: row.rank,
        deleted: row.deleted,
        place: values.get(&row.place).cloned().unwrap_or_default(),
    };
    let of_skyline = |skyline: &Skyline<SealedPlace>| Skyline {
        from: skyline.from,
        until: skyline.until,
        rows: skyline.rows.iter().map(of_row).collect(),
    };
    Ok(skylines.iter().map(of_skyline).collect())
}
