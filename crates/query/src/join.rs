//! The join: for every spine row and every view of a service, the winning row's features.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::interleave,
};
use lineate_node::{ServicePlan, ViewPlan};
use lineate_segment::{
    matcher::{Cut, Outcome, Spine, Winner, match_runs},
    row_bytes::{RowSizes, least_row_bytes},
    run::{RowSource, batch_bytes},
};
use lineate_types::{EntityKey, ShardId, TimestampUs, limits};

use crate::{Result, create::Worker};

/// What the join reads of rows of a spine: its times, and for each view the key of every row.
pub(crate) struct SpineKeys {
    /// The label time of each row.
    pub(crate) times: Vec<TimestampUs>,
    /// For each view of the service, the key of each row; none where it is null.
    pub(crate) keys: Vec<Vec<Option<EntityKey>>>,
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

/// Joins rows of a spine with a service; nothing if the features of several rows are more than memory is set aside
/// for, so that fewer have to be joined at once.
///
/// `on_view` is told how many views are joined.
///
/// # Errors
/// A segment is missing or damaged; whatever `on_view` returns.
pub(crate) fn join(
    worker: &Worker,
    spine: &SpineKeys,
    mut on_view: impl FnMut(usize) -> Result<()>,
) -> Result<Option<Joined>> {
    let mut views = Vec::with_capacity(worker.plan.views.len());
    let mut room = if spine.times.len() > 1 { JOINED_BYTES } else { usize::MAX };
    for (view, keys) in worker.plan.views.iter().zip(&spine.keys) {
        let Some(joined) = join_view(worker, view, keys, &spine.times, &mut room)? else { return Ok(None) };
        views.push(joined);
        on_view(views.len())?;
    }
    Ok(Some(Joined { views }))
}

fn join_view(
    worker: &Worker,
    plan: &ViewPlan,
    keys: &[Option<EntityKey>],
    times: &[TimestampUs],
    room: &mut usize,
) -> Result<Option<JoinedView>> {
    let (snapshot, shards) = (&worker.snapshot, worker.node.shards());
    let cut = Cut {
        mode: worker.mode.unwrap_or(plan.view.default_mode()),
        default_mode: plan.view.default_mode(),
        snapshot: snapshot.at(),
        ttl: plan.view.ttl,
    };
    let spine = Spine::new(keys, times)?;
    let mut joined = JoinedView {
        columns: plan.columns.clone(),
        nulls: plan.features.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect(),
        parts: Vec::new(),
        places: vec![(0, 0); times.len()],
        found: Found::default(),
    };
    for shard in (0..shards).map(ShardId) {
        let part = spine.buckets(shard.buckets(shards));
        if part.keys().is_empty() {
            continue;
        }
        worker.caller.check()?;
        let runs = snapshot.runs(plan.view.history, shard)?;
        let run_keys = runs.iter().map(|run| run.keys()).collect::<lineate_segment::Result<Vec<_>>>()?;
        let winners = match_runs(run_keys.iter().map(AsRef::as_ref), &part, &cut);
        joined.found.count(&winners);
        let rows = spine.rows().get(part.probes()).unwrap_or_default();
        for (number, run) in (0_u32..).zip(&runs) {
            if !joined.gather(run.as_ref(), number, &winners, rows, plan, room)? {
                return Ok(None);
            }
        }
    }
    Ok(Some(joined))
}

impl JoinedView {
    /// Gathers the rows that won in one run; false if they do not fit in the `room` there is.
    fn gather(
        &mut self,
        run: &dyn RowSource,
        number: u32,
        winners: &[Option<Winner>],
        spine_rows: &[u32],
        plan: &ViewPlan,
        room: &mut usize,
    ) -> Result<bool> {
        let won = |winner: &Option<Winner>| {
            winner.filter(|winner| winner.run == number && winner.outcome == Outcome::Live)
        };
        let mut wanted: Vec<(u32, u32)> = winners
            .iter()
            .zip(spine_rows)
            .filter_map(|(winner, row)| Some((won(winner)?.row, *row)))
            .collect();
        if wanted.is_empty() {
            return Ok(true);
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
            let Some(left) = room.checked_sub(batch_bytes(&gathered)) else { return Ok(false) };
            *room = left;
            self.parts.push(Part { sizes: RowSizes::of(&gathered), rows: gathered });
            let part = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
            for (index, row) in (0..).zip(rows) {
                while let Some((_, spine_row)) = wanted.next_if(|(wanted, _)| wanted == row) {
                    if let Some(place) = self.places.get_mut(spine_row as usize) {
                        *place = (part, index);
                    }
                }
            }
        }
        Ok(true)
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
            let places: Vec<(usize, usize)> = view
                .places
                .get(rows.clone())
                .unwrap_or_default()
                .iter()
                .map(|(part, row)| (*part as usize, *row as usize))
                .collect();
            for (index, (position, nulls)) in view.columns.iter().zip(&view.nulls).enumerate() {
                let mut arrays: Vec<&dyn Array> = vec![nulls.as_ref()];
                arrays.extend(
                    view.parts.iter().filter_map(|part| part.rows.columns().get(index)).map(AsRef::as_ref),
                );
                if let Some(column) = columns.get_mut(*position) {
                    *column = Some(interleave(&arrays, &places)?);
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = columns.into_iter().flatten().collect();
        Ok(RecordBatch::try_new_with_options(plan.output.clone(), columns, &options)?)
    }
}
