//! Folds sealed runs into the entries of their keys, in the background, so that sealing costs no misses.
//!
//! A run stays readable in memory until it is folded. An entry is replaced only if it is still the one that was
//! read; one that was loaded meanwhile holds the run's rows already.

use std::sync::Arc;

use lineate_segment::run::{RowSource, SortedRun};
use lineate_state::shard::StreamRun;
use lineate_types::{EntityKey, HistoryId, ShardId, TimestampUs, ViewId, limits};
use tokio_util::sync::CancellationToken;

use super::{
    entry::{Entry, SharedEntry},
    load::with_values,
    plan::ViewShape,
    skyline::{Contender, Skyline},
    warm::Warming,
};
use crate::{Error, Node, Result};

/// The rows that are folded in are the only source `with_values` gathers from; those of the entry have theirs.
const RUN: usize = 0;
const ENTRY: usize = 1;

/// Folds, and reads loads into the cache, until the node stops. Runs come first: few of them may wait.
pub(crate) async fn run(node: Node, stop: CancellationToken) {
    let mut warming: Option<Warming> = None;
    loop {
        if warming.is_none() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = node.online().folds().notified() => {}
            }
        }
        let (folding, stopping) = (node.clone(), stop.clone());
        let folded = tokio::task::spawn_blocking(move || folding.fold_all(&stopping)).await;
        if let Err(error) = folded {
            tracing::warn!(%error, "folding sealed runs into the cache broke off");
        }
        if stop.is_cancelled() {
            return;
        }
        let next = warming.take().or_else(|| node.next_warming());
        if let Some(next) = next {
            warming = node.warm(next).await.or_else(|| node.next_warming());
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
            let folded = fold_into(&shape, run, &entries, self.now())?;
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

/// Entries with the rows of a run added, each for the key at its position of the run. They answer from about now
/// on: a key that was written often since it was loaded keeps what counts, not what did.
fn fold_into(
    shape: &ViewShape,
    run: &SortedRun,
    entries: &[(usize, &SharedEntry)],
    now: TimestampUs,
) -> Result<Vec<Entry>> {
    let cut = shape.cut();
    let most = limits::CACHED_ROWS_PER_KEY;
    let merge = |(position, entry): &(usize, &SharedEntry)| {
        Skyline::around(now, |from| {
            let from = from.max(entry.from);
            let added = Skyline::of_run(run.run_keys(), *position, &cut, from, most);
            let held = entry.rows().map(|(number, row)| Contender {
                visible_at: row.visible_at,
                rank: row.rank,
                deleted: row.deleted,
                place: (ENTRY, number as u32),
            });
            let held = Skyline { from: entry.from, until: entry.until, rows: held.collect() };
            Skyline::merge(vec![held, added.map(|row| (RUN, row))], from, most)
        })
    };
    let merged: Vec<Skyline<(usize, u32)>> = entries.iter().map(merge).collect();
    let rows_of_run = |skyline: &Skyline<(usize, u32)>| Skyline {
        from: skyline.from,
        until: skyline.until,
        rows: skyline.rows.iter().filter(|row| row.place.0 == RUN).copied().collect(),
    };
    let of_run: Vec<_> = merged.iter().map(rows_of_run).collect();
    let gathered = with_values(shape, &of_run, &[run as &dyn RowSource])?;
    let folded = entries.iter().zip(merged).zip(gathered).map(|(((_, entry), merged), gathered)| {
        let mut gathered = gathered.rows.into_iter().map(|row| row.place);
        let (from, until) = (merged.from, merged.until);
        let rows = merged.rows.into_iter().map(|row| Contender {
            visible_at: row.visible_at,
            rank: row.rank,
            deleted: row.deleted,
            place: match row.place {
                (RUN, _) => gathered.next().unwrap_or_default(),
                (_, number) => entry.values(number as usize).to_vec(),
            },
        });
        Entry::new(entry.epoch, &Skyline { from, until, rows: rows.collect() })
    });
    Ok(folded.collect())
}
