//! The whole history as of a commit time: the same answer now and later, wherever rows lie by then.

use std::sync::Arc;

use futures::future::try_join_all;
use lineate_segment::run::RowSource;
use lineate_state::meta::LoadOutcome;
use lineate_types::{GroupId, HistoryId, Principal, ShardId, TimestampUs};

use crate::{Error, Node, Result};

/// Everything committed at or below a time, and nothing else. Every group is closed past it.
pub struct Snapshot {
    node: Node,
    at: TimestampUs,
}

/// The runs of one history in one shard, in no order that matters.
pub type HistoryRuns = Vec<Arc<dyn RowSource>>;

impl Node {
    /// A snapshot at a commit time, now if none is given, for reading some histories. Streamed rows of these
    /// that are not sealed yet are sealed first, so that what was read stays traceable.
    ///
    /// # Errors
    /// The time lies in the future, or a group cannot be closed past it.
    pub async fn snapshot(
        &self,
        principal: &Principal,
        at: Option<TimestampUs>,
        histories: &[HistoryId],
    ) -> Result<Snapshot> {
        let now = self.now();
        let at = at.unwrap_or(now);
        if at > now {
            return Err(Error::Invalid(format!("snapshot {at} lies in the future; it is {now} now")));
        }
        let groups = [GroupId::META].into_iter().chain(self.shard_ids().map(ShardId::group));
        try_join_all(groups.map(|group| self.consensus().close(group, at))).await?;
        self.seal(principal, histories, at).await?;
        Ok(Snapshot { node: self.clone(), at })
    }
}

impl Snapshot {
    /// The commit time it was taken at, inclusive.
    pub fn at(&self) -> TimestampUs {
        self.at
    }

    /// The runs of a history in a shard that may hold rows of the snapshot. They may hold later rows too: the
    /// matcher cuts at the commit time.
    ///
    /// # Errors
    /// A segment is missing or damaged.
    pub fn runs(&self, history: HistoryId, shard: ShardId) -> Result<HistoryRuns> {
        // What is open stays readable, however long a training set takes.
        let _opening = self.node.keeper().pin();
        let mut infos = Vec::new();
        let mut frozen = Vec::new();
        {
            let machine = self.node.shard(shard).read();
            if let Some(history) = machine.history(history) {
                infos.extend(history.sealed.values().map(|sealed| sealed.segment.clone()));
                frozen.extend(history.frozen.values().cloned());
            }
            let meta = self.node.meta().read();
            for (load, staged) in machine.staged() {
                let of_history = machine.view(staged.view).is_some_and(|(view, _)| view.history == history);
                let outcome = meta.load(load).map(|state| state.outcome);
                if let (true, Some(LoadOutcome::Committed { commit_time, .. })) = (of_history, outcome) {
                    infos.extend(
                        staged.segments.iter().map(|segment| segment.clone().committed_at(commit_time)),
                    );
                }
            }
        }
        let mut runs: HistoryRuns = Vec::new();
        for info in infos {
            if info.commit_times().is_some_and(|range| range.min <= self.at) {
                runs.push(self.node.segments().open(&info)?);
            }
        }
        for run in frozen.into_iter().filter(|run| run.first_commit <= self.at) {
            runs.push(Arc::new(run.rows.freeze()?));
        }
        Ok(runs)
    }
}
