//! Folds sealed runs into the entries of their keys, in the background, so that sealing costs no misses.
//!
//! A run stays readable in memory until it is folded. An entry is replaced only if it is still the one that was
//! read; one that was loaded meanwhile holds the run's rows already.

use std::sync::Arc;

use lineate_segment::run::{RowSource, SortedRun};
use lineate_state::shard::StreamRun;
use lineate_types::{EntityKey, HistoryId, ShardId, ViewId, limits};
use tokio_util::sync::CancellationToken;

use super::{
    entry::{Entry, SharedEntry},
    load::with_values,
    plan::ViewShape,
    skyline::{Contender, Skyline},
};
use crate::{Error, Node, Result};

/// Folds until the node stops.
pub(crate) async fn run(node: Node, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.online().folds().notified() => {}
        }
        let (folding, stopping) = (node.clone(), stop.clone());
        let folded = tokio::task::spawn_blocking(move || folding.fold_all(&stopping)).await;
        if let Err(error) = folded {
            tracing::warn!(%error, "folding sealed runs into the cache broke off");
        }
    }
}

impl Node {
    fn fold_all(&self, stop: &CancellationToken) {
        for shard in self.shard_ids() {
            let hot = self.online().hot(shard);
            while let Some((history, run)) = hot.begin_fold() {
                if stop.is_cancelled() {
                    return;
                }
                match self.fold(shard, history, &run, stop) {
                    // Cut off: the run stays one that lookups read.
                    Ok(()) if stop.is_cancelled() => return,
                    Ok(()) => hot.end_fold(history, &run),
                    Err(error) => {
                        tracing::warn!(%shard, %history, %error, "a sealed run was not folded into the cache");
                        hot.abandon(history);
                    }
                }
            }
        }
    }

    fn fold(
        &self,
        shard: ShardId,
        history: HistoryId,
        run: &Arc<StreamRun>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let sorted = run.rows.freeze()?;
        for view in self.online().hot(shard).views(history) {
            self.fold_view(shard, view, &sorted, stop)?;
        }
        Ok(())
    }

    fn fold_view(
        &self,
        shard: ShardId,
        view: ViewId,
        run: &SortedRun,
        stop: &CancellationToken,
    ) -> Result<()> {
        let shape = {
            let meta = self.meta().read();
            let view = meta.catalog().view_by_id(view);
            ViewShape::of(view.ok_or_else(|| Error::Internal(format!("view {view:?} is not defined")))?)?
        };
        let hot = self.online().hot(shard);
        let keys = run.run_keys().keys();
        let mut position = 0;
        while position < keys.len() && !stop.is_cancelled() {
            let end = keys.len().min(position + limits::LOAD_KEYS);
            let chunk = (position..end).filter_map(|position| {
                let key = keys.get(position)?;
                Some(EntityKey::from_bytes(key.bytes.to_vec()).map(|key| (position, key)))
            });
            let chunk: Vec<(usize, EntityKey)> =
                chunk.collect::<std::result::Result<_, _>>().map_err(damaged)?;
            let present = hot.peek(shape.id, chunk.iter().map(|(_, key)| key));
            let cached = chunk
                .iter()
                .zip(present)
                .filter_map(|((position, key), entry)| Some((*position, key, entry?)));
            let cached: Vec<(usize, &EntityKey, SharedEntry)> = cached.collect();
            let entries: Vec<(usize, &SharedEntry)> =
                cached.iter().map(|(position, _, entry)| (*position, entry)).collect();
            let folded = fold_into(&shape, run, &entries)?;
            for ((_, key, old), new) in cached.iter().zip(folded) {
                hot.replace(shape.id, key, old, Arc::new(new));
            }
            position = end;
        }
        Ok(())
    }
}

fn damaged(error: lineate_types::KeyError) -> Error {
    Error::Internal(format!("a key of a run in memory is damaged: {error}"))
}

/// Entries with the rows of a run added, each for the key at its position of the run.
fn fold_into(shape: &ViewShape, run: &SortedRun, entries: &[(usize, &SharedEntry)]) -> Result<Vec<Entry>> {
    let cut = shape.cut();
    let skylines: Vec<Skyline<(usize, u32)>> = entries
        .iter()
        .map(|(position, entry)| {
            let most = limits::CACHED_ROWS_PER_KEY;
            Skyline::of_run(run.run_keys(), *position, &cut, entry.from, most).map(|row| (0, row))
        })
        .collect();
    let added = with_values(shape, &skylines, &[run as &dyn RowSource])?;
    let folded = entries.iter().zip(added).map(|((_, entry), added)| {
        let held = entry.rows().map(|(number, row)| Contender {
            visible_at: row.visible_at,
            rank: row.rank,
            deleted: row.deleted,
            place: entry.values(number).to_vec(),
        });
        let held = Skyline { until: entry.until, rows: held.collect() };
        let merged = Skyline::merge(vec![held, added], entry.from, limits::CACHED_ROWS_PER_KEY);
        Entry::new(entry.epoch, entry.from, &merged)
    });
    Ok(folded.collect())
}
