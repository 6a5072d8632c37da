//! A lookup on its way: the plan, the keys of every view by shard, and the time asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::array::RecordBatch;
use lineate_segment::matcher::Cut;
use lineate_types::{EntityKey, ShardId, TimestampUs};

use super::plan::OnlinePlan;
use crate::{Result, ViewPlan};

/// What is looked up.
pub(super) struct Request {
    pub(super) plan: Arc<OnlinePlan>,
    pub(super) entities: usize,
    /// For each key maker of the plan.
    pub(super) keys: Vec<Keys>,
}

/// The keys of each entity, made in one way.
pub(super) struct Keys {
    /// None where a part of the key is null.
    pub(super) keys: Vec<Option<EntityKey>>,
    /// The entities with a key in each shard, ascending.
    pub(super) by_shard: BTreeMap<ShardId, Vec<usize>>,
}

/// When it is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The time asked for.
    pub(super) at: TimestampUs,
    /// What is committed by then counts.
    pub(super) as_of: TimestampUs,
    /// Whether now is asked for, which is all that the cache knows of.
    pub(super) is_now: bool,
    /// Whether the meta group is known up to `as_of` too.
    pub(super) knows_loads: bool,
}

impl Request {
    /// Makes the keys of a table of entities.
    ///
    /// # Errors
    /// A key column is missing, of another type, or holds a key that is too long.
    pub(super) fn of(plan: Arc<OnlinePlan>, entities: &RecordBatch, shards: u16) -> Result<Self> {
        let converted =
            lineate_segment::intake::convert_keys(entities, &plan.key_columns()?, plan.naive_times_are_utc)?;
        let mut keys = Vec::with_capacity(plan.key_makers.len());
        for maker in &plan.key_makers {
            keys.push(Keys::of(plan.key_maker(*maker)?, &converted, shards)?);
        }
        Ok(Self { plan, entities: entities.num_rows(), keys })
    }

    /// The shards that hold a key.
    pub(super) fn shards(&self) -> BTreeSet<ShardId> {
        self.keys.iter().flat_map(|keys| keys.by_shard.keys().copied()).collect()
    }

    /// How many values are looked up, one per entity and view.
    pub(super) fn rows(&self) -> usize {
        self.entities * self.plan.views.len()
    }
}

impl Keys {
    fn of(maker: &ViewPlan, entities: &RecordBatch, shards: u16) -> Result<Self> {
        let keys = maker.keys(entities)?;
        let mut by_shard: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
        for (entity, key) in keys.iter().enumerate() {
            if let Some(key) = key {
                by_shard.entry(key.bucket().shard(shards)).or_default().push(entity);
            }
        }
        Ok(Self { keys, by_shard })
    }

    /// The key of an entity.
    pub(super) fn get(&self, entity: usize) -> Option<&EntityKey> {
        self.keys.get(entity).and_then(Option::as_ref)
    }
}

impl Moment {
    /// The rows of a view that count: the view's default mode at the snapshot `as_of`. Where the time asked for is
    /// `as_of` itself, that is mode `served`: a row committed later is in neither.
    pub(super) fn cut(&self, view: &ViewPlan) -> Cut {
        Cut {
            mode: view.view.default_mode(),
            default_mode: view.view.default_mode(),
            snapshot: self.as_of,
            ttl: view.view.ttl,
        }
    }
}
