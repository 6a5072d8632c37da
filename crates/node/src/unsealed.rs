//! Streamed rows that no record of the ledger stands for yet: acknowledged, readable, and recorded when their run is
//! sealed. What a trace says of them beside the records.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{
    Record,
    graph::{Direction, Walk},
    render::Unsealed,
};
use lineate_state::shard::{History, RunKey, StreamRun};
use lineate_types::{Hash, HistoryId, ShardId, TimestampUs, ViewId};

use crate::Node;

/// Runs of streamed rows as the shards hold them: open, frozen, or sealed and about to be recorded.
#[derive(Debug, Clone)]
pub struct UnsealedRuns(Vec<(RunKey, Vec<ViewId>, Rows)>);

/// Some rows of one shard.
#[derive(Debug, Clone, Copy)]
struct Rows {
    shard: ShardId,
    rows: u64,
    first_commit: TimestampUs,
    last_commit: TimestampUs,
    /// Whether only some of them came in under the view they are counted for.
    is_share: bool,
}

impl Node {
    /// The runs that may not be recorded yet. To be asked for *before* the ledger is read: a run that is sealed and
    /// recorded in between is then found there, and none is missed.
    pub fn unsealed_runs(&self) -> UnsealedRuns {
        let mut runs = Vec::new();
        for shard in self.shard_ids() {
            let machine = self.shard(shard).read();
            for (id, history) in machine.histories() {
                runs.extend(streamed(shard, id, history));
            }
            for note in machine.notes() {
                let rows = Rows {
                    shard,
                    rows: note.segment.rows,
                    first_commit: note.first_commit,
                    last_commit: note.last_commit,
                    is_share: false,
                };
                runs.push((note.run, newest_first(note.view, &note.earlier_views), rows));
            }
        }
        UnsealedRuns(runs)
    }
}

fn streamed(
    shard: ShardId,
    id: HistoryId,
    history: &History,
) -> impl Iterator<Item = (RunKey, Vec<ViewId>, Rows)> {
    let frozen = history.frozen.iter().map(|(number, run)| (*number, run.as_ref()));
    let open = history.open.iter().map(|run| (history.open_number, run));
    frozen.chain(open).map(move |(run, rows): (_, &StreamRun)| {
        let counted = Rows {
            shard,
            rows: rows.rows.rows() as u64,
            first_commit: rows.first_commit,
            last_commit: rows.last_commit,
            is_share: false,
        };
        (RunKey { history: id, run }, newest_first(rows.view, &rows.earlier_views), counted)
    })
}

/// The view versions that rows of a run came in under. The newest reads all of them.
fn newest_first<'a>(newest: ViewId, earlier: impl IntoIterator<Item = &'a ViewId>) -> Vec<ViewId> {
    let mut views: Vec<ViewId> = earlier.into_iter().copied().chain([newest]).collect();
    views.sort_unstable_by_key(|view| std::cmp::Reverse(*view));
    views
}

impl UnsealedRuns {
    /// For the view versions of a walk whose rows are the question, the rows that the records of its prefix of the
    /// ledger do not stand for, as far as they were committed by the time asked for.
    ///
    /// These are the views that a walk down passes, and the one that a walk up begins at. A walk up from anything
    /// else, such as a training set, tells what that was made from, and later rows had no part in it.
    pub fn beside(&self, node: &Node, walk: &Walk) -> BTreeMap<Hash, Unsealed> {
        let asked: BTreeSet<Hash> = match walk.direction {
            Direction::Down => walk.nodes.iter().map(|found| found.node.id).collect(),
            Direction::Up => {
                walk.nodes.iter().map(|found| found.node.id).filter(|id| *id == walk.start).collect()
            }
        };
        if asked.is_empty() {
            return BTreeMap::new();
        }
        // Whatever is recorded from here on counts as not recorded.
        let end = node.meta().read().ledger().size();
        let unrecorded = self.0.iter().filter_map(|(run, views, rows)| {
            let meta = node.meta().read();
            let seal = meta.seal_record(rows.shard.0, run.history, run.run.0);
            let entry = seal.and_then(|seal| meta.ledger().entry(&seal));
            let views = || views.iter().filter_map(|view| meta.view_record(*view)).collect();
            entry.is_none_or(|entry| entry.seq >= end).then(|| (views(), *rows))
        });
        let recorded_later = node.ledger_entries(walk.size..end).filter_map(|found| match found.record {
            Record::Seal(seal) => {
                let rows = Rows {
                    shard: seal.shard,
                    rows: seal.rows,
                    first_commit: seal.first_commit,
                    last_commit: seal.last_commit,
                    is_share: false,
                };
                let earlier = seal.earlier_views.into_iter().flatten();
                Some(([seal.view].into_iter().chain(earlier).collect(), rows))
            }
            _ => None,
        });
        let until = walk.at.unwrap_or(TimestampUs::MAX);
        let mut of_view: BTreeMap<Hash, Vec<Rows>> = BTreeMap::new();
        for (views, rows) in unrecorded.chain(recorded_later) {
            let views: Vec<Hash> = views;
            // Once, though rows of a run may have come in under several of the versions asked for.
            if let Some(place) = views.iter().position(|view| asked.contains(view))
                && let Some(view) = views.get(place)
                && rows.first_commit <= until
            {
                let is_share = place > 0;
                of_view.entry(*view).or_default().push(Rows { is_share, ..rows });
            }
        }
        of_view.into_iter().map(|(view, rows)| (view, sum(&rows, until))).collect()
    }
}

fn sum(rows: &[Rows], until: TimestampUs) -> Unsealed {
    let shards: BTreeSet<ShardId> = rows.iter().map(|rows| rows.shard).collect();
    Unsealed {
        rows: rows.iter().map(|rows| rows.rows).sum(),
        at_most: rows.iter().any(|rows| rows.is_share || rows.last_commit > until),
        // A store has at most 1,024 shards.
        shards: shards.len() as u16,
        since: rows.iter().map(|rows| rows.first_commit).min().unwrap_or(until),
    }
}
