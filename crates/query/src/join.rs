//! The join: for every spine row and every view of a service, the winning row's features.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::interleave,
};
use lineate_node::{ServicePlan, ViewPlan};
use lineate_segment::{
    matcher::{Cut, Outcome, Spine, Winner, match_runs},
    run::RowSource,
};
use lineate_types::{EntityKey, ShardId, TimestampUs};

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
    parts: Vec<RecordBatch>,
    /// For each spine row: which part, counted from 1, and which row of it; `(0, 0)` is no row.
    places: Vec<(u32, u32)>,
    found: Found,
}

/// How many rows of a spine found a row of a view.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    /// They have its values.
    pub(crate) filled: u64,
    /// It was older than the time-to-live.
    pub(crate) expired: u64,
}

/// Joins rows of a spine with a service.
///
/// `on_view` is told how many views are joined.
///
/// # Errors
/// A segment is missing or damaged; whatever `on_view` returns.
pub(crate) fn join(
    worker: &Worker,
    spine: &SpineKeys,
    on_view: impl Fn(usize) -> Result<()>,
) -> Result<Joined> {
    let mut views = Vec::with_capacity(worker.plan.views.len());
    for (view, keys) in worker.plan.views.iter().zip(&spine.keys) {
        views.push(join_view(worker, view, keys, &spine.times)?);
        on_view(views.len())?;
    }
    Ok(Joined { views })
}

fn join_view(
    worker: &Worker,
    plan: &ViewPlan,
    keys: &[Option<EntityKey>],
    times: &[TimestampUs],
) -> Result<JoinedView> {
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
            joined.gather(run.as_ref(), number, &winners, rows, plan)?;
        }
    }
    Ok(joined)
}

impl JoinedView {
    /// Gathers the rows that won in one run.
    fn gather(
        &mut self,
        run: &dyn RowSource,
        number: u32,
        winners: &[Option<Winner>],
        spine_rows: &[u32],
        plan: &ViewPlan,
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
        self.parts.push(run.gather(&rows, &plan.features)?);
        let part = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let mut index = 0;
        let mut at = rows.first().copied();
        for (row, spine_row) in wanted {
            if at != Some(row) {
                index += 1;
                at = Some(row);
            }
            if let Some(place) = self.places.get_mut(spine_row as usize) {
                *place = (part, index);
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
                    view.parts.iter().filter_map(|part| part.columns().get(index)).map(AsRef::as_ref),
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
