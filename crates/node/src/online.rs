//! Online lookups: the point-in-time contract at T = S = `as_of`, for a few keys, in memory where it can be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::interleave,
};
use futures::future::try_join_all;
use lineate_segment::{
    Rank,
    matcher::{Candidate, Cut, Outcome},
    run::RowSource,
    segment::SegmentInfo,
};
use lineate_state::{meta::LoadOutcome, shard::StreamRun};
use lineate_types::{EntityKey, GroupId, HistoryId, MatchMode, ShardId, TimestampUs, limits};

use crate::{
    Error, Node, Result,
    api::{LookupReply, LookupRequest, Status, ViewAnswer},
    service_plan::{ServicePlan, ViewPlan},
};

/// How often groups are asked again until they agree on a time. Clocks of one process differ by microseconds.
const AGREE_ATTEMPTS: usize = 1_000;

/// One entity's row in one view.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Which of the gathered parts holds the row, and where in it.
    place: Option<(usize, usize)>,
    outcome: Option<Outcome>,
    event_time: Option<TimestampUs>,
}

/// The best row of a key so far.
struct Best<'a> {
    candidate: Candidate,
    place: Place<'a>,
}

enum Place<'a> {
    Stream(&'a StreamRun),
    Segment(Arc<lineate_segment::segment::Segment>),
}

impl Node {
    /// The features of a service for some entities, now or at another time.
    ///
    /// # Errors
    /// The service or a key column does not exist, a key has another type, or a segment is damaged.
    pub async fn lookup(&self, request: &LookupRequest) -> Result<LookupReply> {
        let entities = request.entities.num_rows();
        if entities > limits::LOOKUP_ENTITIES {
            return Err(Error::ResourceExhausted(format!(
                "{entities} entities were asked for; at most {} are allowed, ask several times",
                limits::LOOKUP_ENTITIES
            )));
        }
        let plan = self.service_plan(request.project.as_ref(), &request.service)?;
        let keys = entity_keys(&plan, &request.entities)?;
        let mut shards = BTreeSet::new();
        for keys in &keys {
            shards.extend(keys.iter().flatten().map(|key| key.bucket().shard(self.shards())));
        }
        let as_of = self.agree(&shards, &plan).await?;
        let at = request.at.unwrap_or(as_of);
        if at > as_of {
            return Err(Error::Invalid(format!("time {at} lies in the future; it is {as_of} now")));
        }
        let node = self.clone();
        tokio::task::block_in_place(|| node.answer(&plan, &keys, at, as_of))
    }

    /// A time at which every group asked has everything applied, and after which none commits at or below it.
    async fn agree(&self, shards: &BTreeSet<ShardId>, plan: &ServicePlan) -> Result<TimestampUs> {
        let is_loading = |shard: &ShardId| {
            let machine = self.shard(*shard).read();
            machine.staged().any(|(_, staged)| {
                let history = machine.view(staged.view).map(|(view, _)| view.history);
                plan.views.iter().any(|view| Some(view.view.history) == history)
            })
        };
        let mut groups: Vec<GroupId> = shards.iter().map(|shard| shard.group()).collect();
        if groups.is_empty() || shards.iter().any(is_loading) {
            groups.push(GroupId::META);
        }
        let mut target = TimestampUs::MIN;
        for _ in 0..AGREE_ATTEMPTS {
            let points = try_join_all(groups.iter().map(|group| self.consensus().read(*group))).await?;
            target = points.iter().map(|point| point.as_of).max().unwrap_or(target).max(target);
            // A group whose time is below the greatest is asked again; the others stay where they are.
            let behind = groups.iter().zip(&points).filter(|(_, point)| point.as_of < target);
            groups = behind.map(|(group, _)| *group).collect();
            if groups.is_empty() {
                return Ok(target);
            }
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        Err(Error::ResourceExhausted("the groups' clocks do not agree; repeat after a pause".into()))
    }

    fn answer(
        &self,
        plan: &ServicePlan,
        keys: &[Vec<Option<EntityKey>>],
        at: TimestampUs,
        as_of: TimestampUs,
    ) -> Result<LookupReply> {
        let entities = keys.first().map_or(0, Vec::len);
        let mut columns: Vec<Option<ArrayRef>> = vec![None; plan.output.fields().len()];
        let mut statuses: Vec<Vec<Status>> = vec![Vec::new(); plan.output.fields().len()];
        let mut views = Vec::with_capacity(plan.views.len());
        for (view, keys) in plan.views.iter().zip(keys) {
            let (found, values) = self.answer_view(view, keys, at, as_of)?;
            for (position, values) in view.columns.iter().zip(values) {
                if let Some(of_column) = statuses.get_mut(*position) {
                    *of_column =
                        found.iter().enumerate().map(|(row, found)| found.status(&values, row)).collect();
                }
                if let Some(column) = columns.get_mut(*position) {
                    *column = Some(values);
                }
            }
            views.push(ViewAnswer {
                alias: view.alias.clone(),
                view: view.view.to_string(),
                columns: view.columns.clone(),
                event_times: found.iter().map(|found| found.event_time).collect(),
            });
        }
        let columns = columns.into_iter().flatten().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(entities));
        let features = RecordBatch::try_new_with_options(plan.output.clone(), columns, &options)?;
        Ok(LookupReply { service: plan.service.to_string(), as_of, features, statuses, views })
    }

    fn answer_view(
        &self,
        plan: &ViewPlan,
        keys: &[Option<EntityKey>],
        at: TimestampUs,
        as_of: TimestampUs,
    ) -> Result<(Vec<Found>, Vec<ArrayRef>)> {
        let cut = Cut {
            mode: MatchMode::Served,
            default_mode: plan.view.default_mode(),
            snapshot: as_of,
            ttl: plan.view.ttl,
        };
        let mut by_shard: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
        for (entity, key) in keys.iter().enumerate() {
            if let Some(key) = key {
                by_shard.entry(key.bucket().shard(self.shards())).or_default().push(entity);
            }
        }
        let mut found = vec![Found { place: None, outcome: None, event_time: None }; keys.len()];
        let mut parts: Vec<RecordBatch> = Vec::new();
        for (shard, entities) in by_shard {
            let segments = self.open_segments(plan.view.history, shard, as_of)?;
            for entity in entities {
                let Some(Some(key)) = keys.get(entity) else { continue };
                let mut best: Option<Best<'_>> = None;
                for segment in &segments {
                    if let Some(candidate) = segment.find(key, at, &cut)? {
                        best = Best::of(best, candidate, || Place::Segment(segment.clone()));
                    }
                }
                let machine = self.shard(shard).read();
                let history = machine.history(plan.view.history);
                let open = history.and_then(|history| history.open.as_ref());
                let frozen =
                    history.into_iter().flat_map(|history| history.frozen.values().map(AsRef::as_ref));
                for run in open.into_iter().chain(frozen) {
                    if let Some(candidate) = run.rows.find(key, at, &cut) {
                        best = Best::of(best, candidate, || Place::Stream(run));
                    }
                }
                let Some(best) = best else { continue };
                let Rank { event_time, .. } = best.candidate.rank;
                let outcome = cut.outcome(event_time, best.candidate.deleted, at);
                let place = match outcome {
                    Outcome::Live => {
                        parts.push(best.gather(plan)?);
                        Some((parts.len() - 1, 0))
                    }
                    Outcome::Deleted | Outcome::Expired => None,
                };
                let event_time = (outcome != Outcome::Deleted).then_some(event_time);
                if let Some(slot) = found.get_mut(entity) {
                    *slot = Found { place, outcome: Some(outcome), event_time };
                }
            }
        }
        let values = assemble(plan, &parts, &found)?;
        Ok((found, values))
    }

    /// The segments of a history that may hold rows committed by a time, staged ones of committed loads included.
    fn open_segments(
        &self,
        history: HistoryId,
        shard: ShardId,
        as_of: TimestampUs,
    ) -> Result<Vec<Arc<lineate_segment::segment::Segment>>> {
        let infos: Vec<SegmentInfo> = {
            let machine = self.shard(shard).read();
            let sealed = machine.history(history).into_iter().flat_map(|history| history.sealed.values());
            let mut infos: Vec<SegmentInfo> = sealed.map(|sealed| sealed.segment.clone()).collect();
            for (load, staged) in machine.staged() {
                let of_history = machine.view(staged.view).is_some_and(|(view, _)| view.history == history);
                let outcome = self.meta().read().load(load).map(|state| state.outcome);
                if let (true, Some(LoadOutcome::Committed { commit_time, .. })) = (of_history, outcome) {
                    infos.extend(
                        staged.segments.iter().map(|segment| segment.clone().committed_at(commit_time)),
                    );
                }
            }
            infos
        };
        let visible = infos.iter().filter(|info| info.commit_times().is_some_and(|range| range.min <= as_of));
        visible.map(|info| self.segments().open(info)).collect()
    }
}

impl<'a> Best<'a> {
    fn of(best: Option<Self>, candidate: Candidate, place: impl FnOnce() -> Place<'a>) -> Option<Self> {
        match best {
            Some(best) if best.candidate.rank >= candidate.rank => Some(best),
            _ => Some(Self { candidate, place: place() }),
        }
    }

    fn gather(&self, plan: &ViewPlan) -> Result<RecordBatch> {
        let rows = [self.candidate.row];
        Ok(match &self.place {
            Place::Stream(run) => run.rows.gather(&rows, &plan.features)?,
            Place::Segment(segment) => segment.gather(&rows, &plan.features)?,
        })
    }
}

impl Found {
    fn status(&self, values: &ArrayRef, row: usize) -> Status {
        match self.outcome {
            None | Some(Outcome::Deleted) => Status::Absent,
            Some(Outcome::Expired) => Status::Expired,
            Some(Outcome::Live) if values.is_null(row) => Status::Null,
            Some(Outcome::Live) => Status::Present,
        }
    }
}

/// One column per feature, one row per entity; null where there is no live row.
fn assemble(plan: &ViewPlan, parts: &[RecordBatch], found: &[Found]) -> Result<Vec<ArrayRef>> {
    let mut columns = Vec::with_capacity(plan.features.fields().len());
    for (position, field) in plan.features.fields().iter().enumerate() {
        let nulls = new_null_array(field.data_type(), 1);
        let mut arrays: Vec<&dyn Array> = vec![nulls.as_ref()];
        arrays.extend(parts.iter().filter_map(|part| part.columns().get(position)).map(AsRef::as_ref));
        let places: Vec<(usize, usize)> =
            found.iter().map(|found| found.place.map_or((0, 0), |(part, row)| (part + 1, row))).collect();
        columns.push(interleave(&arrays, &places)?);
    }
    Ok(columns)
}

/// The keys of each view for each entity; none where a key is null.
fn entity_keys(plan: &ServicePlan, entities: &RecordBatch) -> Result<Vec<Vec<Option<EntityKey>>>> {
    let columns = plan.key_columns()?;
    let converted = lineate_segment::intake::convert_keys(entities, &columns)?;
    plan.views.iter().map(|view| view.keys(&converted)).collect()
}
