//! Reads the keys of a fresh bulk load into the cache, in the background, so that its first lookups need not.
//!
//! First the keys that were cached before the load, which ended their entries; then the keys of the load itself, in
//! key order, while there is room. An entry is made as a lookup makes it and kept under the same ticket: what is read
//! here ahead of a lookup is exactly what the lookup would have read. Nothing is ever pushed out to make room.
//!
//! A chunk of keys at a time, among the lookups that read segments, and resting as long as it worked.

use std::collections::BTreeSet;

use lineate_segment::segment::SegmentInfo;
use lineate_state::meta::MetaMachine;
use lineate_types::{EntityKey, HistoryId, ShardId, ViewId, limits};
use tokio::time::{Instant, sleep};

use super::{plan::ViewShape, request::Moment};
use crate::{Error, Node, Result};

/// Slots of the cache looked at in one step.
const SLOTS: usize = 8 * limits::LOAD_KEYS;

/// Entries kept under one hold of the lock that lookups need.
const KEPT_AT_ONCE: usize = 128;

/// One segment of a load on its way into the cache of its shard.
pub(super) struct Warming {
    shard: ShardId,
    history: HistoryId,
    segment: SegmentInfo,
    /// The view versions that are looked up.
    views: Vec<ViewId>,
    at: Place,
}

/// Where it has come to.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Entries of before the load, from this slot on.
    Cached { slot: usize },
    /// Keys of the load, from this block of its key index on.
    Loaded { block: usize },
}

impl Node {
    /// The next segment of a load to read into the cache.
    pub(super) fn next_warming(&self) -> Option<Warming> {
        let next = |shard| {
            let (history, segment) = self.online().hot(shard).next_load()?;
            let views = self.views_looked_up(shard, history);
            Some(Warming { shard, history, segment, views, at: Place::Cached { slot: 0 } })
        };
        self.shard_ids().find_map(next)
    }

    /// Reads the next keys; gives what is left to do, if anything.
    pub(super) async fn warm(&self, mut warming: Warming) -> Option<Warming> {
        let begun = Instant::now();
        match self.warm_some(&mut warming).await {
            Ok(true) => {
                sleep(begun.elapsed()).await;
                return Some(warming);
            }
            Ok(false) => {}
            // Lookups read what they need.
            Err(error) => {
                tracing::debug!(shard = %warming.shard, %error, "a load was not read into the cache")
            }
        }
        self.online().hot(warming.shard).end_load(warming.history, &warming.segment);
        None
    }

    /// Whether there may be more.
    async fn warm_some(&self, warming: &mut Warming) -> Result<bool> {
        let permit = self.online().loads.clone().acquire_owned().await.map_err(|_| super::closed())?;
        let (node, shard, history) = (self.clone(), warming.shard, warming.history);
        let (segment, views, at) = (warming.segment.clone(), warming.views.clone(), warming.at);
        let read = tokio::task::spawn_blocking(move || {
            let next = match at {
                Place::Cached { slot } => node.warm_cached(shard, history, slot),
                Place::Loaded { block } => node.warm_loaded(shard, history, &segment, &views, block),
            };
            drop(permit);
            next
        });
        let Some(next) = read.await?? else { return Ok(false) };
        warming.at = next;
        Ok(true)
    }

    fn warm_cached(&self, shard: ShardId, history: HistoryId, slot: usize) -> Result<Option<Place>> {
        let (stale, end) = self.online().hot(shard).stale(history, slot..slot.saturating_add(SLOTS));
        for (view, keys) in stale {
            self.read_ahead(shard, view, &keys.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        }
        Ok(Some(match end {
            true => Place::Loaded { block: 0 },
            false => Place::Cached { slot: slot.saturating_add(SLOTS) },
        }))
    }

    fn warm_loaded(
        &self,
        shard: ShardId,
        history: HistoryId,
        segment: &SegmentInfo,
        views: &[ViewId],
        block: usize,
    ) -> Result<Option<Place>> {
        let hot = self.online().hot(shard);
        if views.is_empty() || !hot.has_room() {
            return Ok(None);
        }
        // What is found in the manifest can be opened while this is held.
        let pin = self.keeper().pin();
        let present = self
            .shard(shard)
            .read()
            .history(history)
            .is_some_and(|rows| rows.sealed.values().any(|run| run.segment.segment == segment.segment));
        if !present {
            return Ok(None);
        }
        let opened = self.segments().open(segment)?;
        drop(pin);
        let (keys, next) = opened.keys_from(block, limits::LOAD_KEYS)?;
        for view in views {
            let present = hot.peek((history, *view), keys.iter());
            let absent: Vec<&EntityKey> =
                keys.iter().zip(present).filter(|(_, entry)| entry.is_none()).map(|(key, _)| key).collect();
            if !self.read_ahead(shard, *view, &absent)? {
                return Ok(None);
            }
        }
        Ok(next.map(|block| Place::Loaded { block }))
    }

    /// Reads keys as a lookup of now would; whether all of them were kept.
    fn read_ahead(&self, shard: ShardId, view: ViewId, keys: &[&EntityKey]) -> Result<bool> {
        let shape = {
            let meta = self.meta().read();
            let view = meta.catalog().view_by_id(view);
            ViewShape::of(view.ok_or_else(|| Error::Internal(format!("view {view:?} is not defined")))?)?
        };
        let now = self.now();
        let moment = Moment { at: now, as_of: now, is_now: true, knows_loads: true };
        let hot = self.online().hot(shard);
        for keys in keys.chunks(limits::LOAD_KEYS) {
            let (ticket, entries) = self.read_entries(&shape, shard, keys, &shape.cut(), &moment)?;
            for (keys, entries) in keys.chunks(KEPT_AT_ONCE).zip(entries.chunks(KEPT_AT_ONCE)) {
                if !hot.keep_if_room(shape.id, ticket, keys.iter().copied().zip(entries)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The versions of a view that services name, or that are cached.
    fn views_looked_up(&self, shard: ShardId, history: HistoryId) -> Vec<ViewId> {
        let mut views: BTreeSet<ViewId> = self.online().hot(shard).views(history).into_iter().collect();
        let meta = self.meta().read();
        views.extend(views_of_services(&meta, history));
        views.into_iter().collect()
    }
}

fn views_of_services(meta: &MetaMachine, history: HistoryId) -> impl Iterator<Item = ViewId> {
    let features = meta.catalog().services().flat_map(|service| service.features.iter());
    let views = features.filter_map(|feature| meta.catalog().view_by_id(feature.view));
    views.filter(move |view| view.history == history).map(|view| view.id)
}
