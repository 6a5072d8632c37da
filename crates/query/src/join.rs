//! The join: for every spine row and every view of a service, the winning row's features.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::interleave,
    datatypes::TimestampMicrosecondType,
};
use lineate_node::{HistoryRuns, ServicePlan, Snapshot, ViewPlan};
use lineate_segment::{
    matcher::{Cut, Outcome, Spine, SpineKeys, Winner, match_runs},
    row_bytes::{RowSizes, least_row_bytes},
    run::{RowSource, RunKeys, batch_bytes},
    schema::EntityKeys,
};
use lineate_types::{HistoryId, KeyType, Name, ShardId, TimestampUs, limits};

use crate::{Error, Result, create::Worker, threads};

/// What the join of one training set keeps from window to window.
pub(crate) struct Join<'a> {
    worker: &'a Worker,
    key_sets: Vec<KeySet<'a>>,
    /// For each view of the service, its place in `key_sets`.
    key_set_of: Vec<usize>,
    held: HeldRuns,
}

/// Key columns of a spine that views share: their rows are sorted once for all of them.
#[derive(PartialEq, Eq)]
struct KeySet<'a> {
    columns: Vec<(&'a Name, KeyType)>,
}

/// The features of these rows, not yet put into spine order.
pub(crate) struct Joined {
    views: Vec<JoinedView>,
}

/// The features of one view: the winning rows, run by run, and where each spine row finds its own.
struct JoinedView {
    columns: Vec<usize>,
    nulls: Vec<ArrayRef>,
    parts: Vec<Part>,
    /// For each spine row: which part, counted from 1, and which row of it; `(0, 0)` is no row.
    places: Vec<(u32, u32)>,
    found: Found,
}

/// Rows that won in one run.
struct Part {
    rows: RecordBatch,
    sizes: RowSizes,
}

/// Bytes of rows that are gathered at once, roughly.
const GATHER_BYTES: usize = limits::TRAINING_BATCH_BYTES;
/// Bytes of the features of several rows that are joined at once, at most.
const JOINED_BYTES: usize = 2 * limits::TRAINING_WINDOW_BYTES;

/// How many rows of a spine found a row of a view.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    /// They have its values.
    pub(crate) filled: u64,
    /// It was older than the time-to-live.
    pub(crate) expired: u64,
}

/// Bytes of the features of one row, roughly.
///
/// # Errors
/// A segment is missing or damaged.
pub(crate) fn feature_bytes(worker: &Worker) -> Result<u64> {
    let mut bytes = 0;
    for plan in &worker.plan.views {
        let mut of_view = least_row_bytes(&plan.features);
        for shard in (0..worker.node.shards()).map(ShardId) {
            for run in worker.snapshot.runs(plan.view.history, shard)? {
                of_view = of_view.max(run.row_bytes(&plan.features) as u64);
            }
        }
        bytes += of_view;
    }
    Ok(bytes)
}

impl<'a> Join<'a> {
    /// A join of a service with a spine, of more than one window or of one.
    pub(crate) fn new(worker: &'a Worker, is_one_window: bool) -> Self {
        let mut key_sets: Vec<KeySet<'a>> = Vec::new();
        let key_set_of = worker.plan.views.iter().map(|plan| {
            let types = plan.view.keys.iter().map(|key| key.key_type);
            let set = KeySet { columns: plan.key_columns.iter().zip(types).collect() };
            key_sets.iter().position(|known| *known == set).unwrap_or_else(|| {
                key_sets.push(set);
                key_sets.len() - 1
            })
        });
        let key_set_of = key_set_of.collect();
        let histories: Vec<HistoryId> = worker.plan.views.iter().map(|plan| plan.view.history).collect();
        let is_shared = |history: &HistoryId| histories.iter().filter(|other| *other == history).count() > 1;
        let kept = histories.iter().filter(|history| !is_one_window || is_shared(history)).copied();
        let held = HeldRuns { kept: kept.collect(), state: Mutex::default() };
        Self { worker, key_sets, key_set_of, held }
    }

    /// Joins a window of a spine, whose times are the column `time`; nothing if the features of several rows are
    /// more than memory is set aside for, so that fewer have to be joined at once.
    ///
    /// `on_done` is told how much of the work is done, in parts of [`Self::pieces`].
    ///
    /// # Errors
    /// A segment is missing or damaged; whatever `on_done` returns.
    pub(crate) fn window(
        &self,
        window: &[RecordBatch],
        time: usize,
        on_done: impl FnMut(usize) -> Result<()>,
    ) -> Result<Option<Joined>> {
        let (worker, threads, shards) =
            (self.worker, threads::available(), usize::from(self.worker.node.shards()));
        let mut times: Vec<TimestampUs> = Vec::new();
        for batch in window {
            let column = batch.column(time).as_primitive::<TimestampMicrosecondType>();
            times.extend(column.values().iter().map(|time| TimestampUs(*time)));
        }
        let spine = |set: usize| self.key_sets.get(set).map(|set| set.spine(window, &times)).transpose();
        let spines = threads::spread(threads, self.key_sets.len(), spine, |_| {
            worker.caller.check().map_err(Into::into)
        })?;
        let room = Room { bytes: AtomicUsize::new(0), is_bounded: times.len() > 1 };
        let piece = |piece: usize| {
            let (view, shard) = (piece / shards, ShardId((piece % shards) as u16));
            let spine = self.key_set_of.get(view).and_then(|set| spines.get(*set)?.as_ref());
            let plan = worker.plan.views.get(view);
            plan.zip(spine).map(|(plan, spine)| self.shard(plan, spine, shard, &room)).transpose()
        };
        let pieces = threads::spread(threads, self.pieces(), piece, on_done)?;
        if room.is_full() {
            return Ok(None);
        }
        let mut pieces = pieces.into_iter();
        let views = worker
            .plan
            .views
            .iter()
            .map(|plan| JoinedView::of(plan, times.len(), pieces.by_ref().take(shards).flatten()));
        Ok(Some(Joined { views: views.collect() }))
    }

    /// Parts of the work of one window.
    pub(crate) fn pieces(&self) -> usize {
        self.worker.plan.views.len() * usize::from(self.worker.node.shards())
    }

    /// Joins what one shard has of one view.
    fn shard(&self, plan: &ViewPlan, spine: &Spine, shard: ShardId, room: &Room) -> Result<JoinedShard> {
        let worker = self.worker;
        let mut joined = JoinedShard::default();
        let part = spine.buckets(shard.buckets(worker.node.shards()));
        if part.keys().is_empty() || room.is_full() {
            return Ok(joined);
        }
        worker.caller.check()?;
        let cut = Cut {
            mode: worker.mode.unwrap_or(plan.view.default_mode()),
            default_mode: plan.view.default_mode(),
            snapshot: worker.snapshot.at(),
            ttl: plan.view.ttl,
        };
        let held = self.held.runs(&worker.snapshot, plan.view.history, shard)?;
        let winners = match_runs(held.keys.iter().map(AsRef::as_ref), &part, &cut);
        joined.found.count(&winners);
        let rows = spine.rows().get(part.probes()).unwrap_or_default();
        for (number, run) in (0_u32..).zip(&held.runs) {
            joined.gather(run.as_ref(), number, &winners, rows, plan, room)?;
        }
        Ok(joined)
    }
}

impl KeySet<'_> {
    /// The rows of a window, by these keys.
    fn spine(&self, window: &[RecordBatch], times: &[TimestampUs]) -> Result<Spine> {
        let mut keys = SpineKeys::default();
        for batch in window {
            let columns = self.columns.iter().map(|(name, key_type)| {
                let column = batch.column_by_name(name.as_str());
                let lacks = || Error::Spine(format!("its column `{name}` is missing, which gives a key"));
                Ok((column.ok_or_else(lacks)?, *key_type))
            });
            keys.push(&EntityKeys::new(&columns.collect::<Result<Vec<_>>>()?)?)?;
        }
        Ok(Spine::of(&keys, times)?)
    }
}

/// Runs whose keys are in memory, for the next window or the next view of the same history.
struct HeldRuns {
    /// The histories that are read more than once.
    kept: BTreeSet<HistoryId>,
    state: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    runs: BTreeMap<(HistoryId, ShardId), Arc<KeyedRuns>>,
    bytes: usize,
    count: usize,
}

/// The runs of a history in a shard, and the key part of each.
struct KeyedRuns {
    runs: HistoryRuns,
    keys: Vec<Arc<RunKeys>>,
}

impl HeldRuns {
    fn runs(&self, snapshot: &Snapshot, history: HistoryId, shard: ShardId) -> Result<Arc<KeyedRuns>> {
        let held = self.lock().runs.get(&(history, shard)).cloned();
        if let Some(held) = held {
            return Ok(held);
        }
        let runs = snapshot.runs(history, shard)?;
        let keys = runs.iter().map(|run| run.keys()).collect::<lineate_segment::Result<Vec<_>>>()?;
        let keyed = Arc::new(KeyedRuns { runs, keys });
        let (bytes, count) =
            (keyed.keys.iter().map(|keys| keys.memory_bytes()).sum::<usize>(), keyed.runs.len());
        let mut state = self.lock();
        let has_room =
            state.bytes + bytes <= limits::TRAINING_KEY_BYTES && state.count + count <= limits::TRAINING_RUNS;
        if has_room && self.kept.contains(&history) && !state.runs.contains_key(&(history, shard)) {
            state.runs.insert((history, shard), keyed.clone());
            state.bytes += bytes;
            state.count += count;
        }
        Ok(keyed)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of the features that were gathered.
struct Room {
    bytes: AtomicUsize,
    is_bounded: bool,
}

impl Room {
    fn take(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.is_bounded && self.bytes.load(Ordering::Relaxed) > JOINED_BYTES
    }
}

/// What one shard gave to one view.
#[derive(Default)]
struct JoinedShard {
    parts: Vec<Part>,
    /// A row of the spine, the number of the part that has its features, and the row of it.
    places: Vec<(u32, u32, u32)>,
    found: Found,
}

impl JoinedView {
    fn of(plan: &ViewPlan, rows: usize, shards: impl Iterator<Item = JoinedShard>) -> Self {
        let nulls = plan.features.fields().iter().map(|field| new_null_array(field.data_type(), 1));
        let mut joined = Self {
            columns: plan.columns.clone(),
            nulls: nulls.collect(),
            parts: Vec::new(),
            places: vec![(0, 0); rows],
            found: Found::default(),
        };
        for JoinedShard { parts, places, found } in shards {
            let before = u32::try_from(joined.parts.len()).unwrap_or(u32::MAX);
            for (row, part, place) in places {
                if let Some(slot) = joined.places.get_mut(row as usize) {
                    *slot = (before.saturating_add(part).saturating_add(1), place);
                }
            }
            joined.parts.extend(parts);
            joined.found += found;
        }
        joined
    }

    /// Bytes of the features of some spine rows.
    fn bytes(&self, rows: Range<usize>) -> u64 {
        let places = self.places.get(rows).unwrap_or_default().iter();
        let sizes = places.filter_map(|(part, row)| {
            let part = self.parts.get((*part as usize).checked_sub(1)?)?;
            Some(part.sizes.get(*row as usize))
        });
        sizes.sum()
    }

    /// The features of some spine rows, each column with its position in the output.
    fn columns(&self, rows: Range<usize>) -> Result<Vec<(usize, ArrayRef)>> {
        let places = self.places.get(rows).unwrap_or_default();
        // Only the parts that hold one of these rows, behind the nulls.
        let mut used: Vec<u32> = places.iter().map(|(part, _)| *part).filter(|part| *part > 0).collect();
        used.sort_unstable();
        used.dedup();
        let mut place_of = vec![0; self.parts.len() + 1];
        for (place, part) in (1_usize..).zip(&used) {
            if let Some(slot) = place_of.get_mut(*part as usize) {
                *slot = place;
            }
        }
        let place =
            |(part, row): &(u32, u32)| (place_of.get(*part as usize).copied().unwrap_or(0), *row as usize);
        let places: Vec<(usize, usize)> = places.iter().map(place).collect();
        let parts: Vec<&Part> = used.iter().filter_map(|part| self.parts.get(*part as usize - 1)).collect();
        let columns = self.columns.iter().zip(&self.nulls).enumerate().map(|(index, (position, nulls))| {
            let mut arrays: Vec<&dyn Array> = vec![nulls.as_ref()];
            arrays.extend(parts.iter().filter_map(|part| part.rows.columns().get(index)).map(AsRef::as_ref));
            Ok((*position, interleave(&arrays, &places)?))
        });
        columns.collect()
    }
}

impl JoinedShard {
    /// Gathers the rows that won in one run, as long as there is room for them.
    fn gather(
        &mut self,
        run: &dyn RowSource,
        number: u32,
        winners: &[Option<Winner>],
        spine_rows: &[u32],
        plan: &ViewPlan,
        room: &Room,
    ) -> Result<()> {
        let won = |winner: &Option<Winner>| {
            winner.filter(|winner| winner.run == number && winner.outcome == Outcome::Live)
        };
        let mut wanted: Vec<(u32, u32)> = winners
            .iter()
            .zip(spine_rows)
            .filter_map(|(winner, row)| Some((won(winner)?.row, *row)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_unstable();
        let mut rows: Vec<u32> = wanted.iter().map(|(row, _)| *row).collect();
        rows.dedup();
        let rows_at_once = (GATHER_BYTES / run.row_bytes(&plan.features).max(1)).max(1);
        let mut waiting: Vec<&[u32]> = rows.rchunks(rows_at_once).collect();
        let mut wanted = wanted.into_iter().peekable();
        while let Some(rows) = waiting.pop() {
            let gathered = match run.gather(rows, &plan.features) {
                Err(lineate_segment::Error::TooMuch { .. }) if rows.len() > 1 => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    waiting.extend([second, first]);
                    continue;
                }
                gathered => gathered?,
            };
            room.take(batch_bytes(&gathered));
            if room.is_full() {
                return Ok(());
            }
            let part = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
            self.parts.push(Part { sizes: RowSizes::of(&gathered), rows: gathered });
            for (index, row) in (0..).zip(rows) {
                while let Some((_, spine_row)) = wanted.next_if(|(wanted, _)| wanted == row) {
                    self.places.push((spine_row, part, index));
                }
            }
        }
        Ok(())
    }
}

impl Found {
    fn count(&mut self, winners: &[Option<Winner>]) {
        for winner in winners.iter().flatten() {
            match winner.outcome {
                Outcome::Live => self.filled += 1,
                Outcome::Expired => self.expired += 1,
                Outcome::Deleted => {}
            }
        }
    }
}

impl std::ops::AddAssign for Found {
    fn add_assign(&mut self, more: Self) {
        self.filled += more.filled;
        self.expired += more.expired;
    }
}

impl Joined {
    /// What was found in each view of the service.
    pub(crate) fn found(&self) -> impl Iterator<Item = Found> {
        self.views.iter().map(|view| view.found)
    }

    /// Bytes of the features of some spine rows.
    pub(crate) fn bytes(&self, rows: &Range<usize>) -> u64 {
        self.views.iter().map(|view| view.bytes(rows.clone())).sum()
    }

    /// The feature columns of some spine rows, in spine order.
    ///
    /// # Errors
    /// The parts do not fit together, which gathering should have made impossible.
    pub(crate) fn rows(&self, plan: &ServicePlan, rows: Range<usize>) -> Result<RecordBatch> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; plan.output.fields().len()];
        for view in &self.views {
            for (position, column) in view.columns(rows.clone())? {
                if let Some(slot) = columns.get_mut(position) {
                    *slot = Some(column);
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = columns.into_iter().flatten().collect();
        Ok(RecordBatch::try_new_with_options(plan.output.clone(), columns, &options)?)
    }
}
