//! Work beside the log: sealing full runs, recording them, ending loads that were cut off, cutting logs, and removing
//! blobs that nothing names. Compaction is another task ([`crate::compacting`]), which this one wakes.
//!
//! Everything here can be cut off anywhere and done again: commands are conditional on what they found.

use std::{sync::Arc, time::Duration};

use lineate_segment::segment::{CommitSource, write_run};
use lineate_state::{
    RunNumber,
    meta::{LoadOutcome, MetaCommand},
    shard::{Resolve, RunKey, Seal, SealNote, ShardCommand, StreamRun},
};
use lineate_types::{ErrorKind, HasKind, HistoryId, Principal, ShardId, TimestampUs, limits};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;

use crate::{Error, Node, Result};

/// Who the background work is done for.
pub(crate) fn system() -> Principal {
    Principal("system".into())
}

/// How long to wait after a failure, such as a full disk.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
/// How often texts that were given up are forgotten, at most: one of the files is written anew for them.
const FORGET_PAUSE: Duration = Duration::from_secs(60);
/// How often to look at the size of the log although nothing changes.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// How often to look at what changed, however often it changes: every applied command is a change.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Works until the node stops.
pub(crate) async fn run(node: Node, stop: CancellationToken) {
    let mut forgotten = Instant::now();
    let mut manifests = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.changed().notified() => {}
            () = tokio::time::sleep(PAUSE), if node.keeper().is_waiting() => {}
            // Reads and closes make the log grow, and nobody is told.
            () = tokio::time::sleep(LOG_PAUSE) => {}
        }
        let looked = Instant::now();
        while let Err(error) = node.work_once(&mut manifests, &stop).await {
            tracing::warn!(%error, "background work failed and is tried again");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        if forgotten.elapsed() >= FORGET_PAUSE {
            forgotten = Instant::now();
            if let Err(error) = node.sealed_texts().forget_given_up().await {
                tracing::warn!(%error, "texts that nothing names are forgotten later");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(looked + LOOK_PAUSE) => {}
        }
    }
}

/// What there is to do, found by looking at every shard once.
#[derive(Debug, Default)]
struct Survey {
    /// Bytes of memory of each open run.
    open: Vec<(usize, ShardId, HistoryId)>,
    /// Bytes of memory of all runs that are open or frozen.
    bytes: usize,
    frozen: Vec<(ShardId, RunKey)>,
    /// Shards that sealed runs which are not recorded.
    unrecorded: Vec<ShardId>,
    /// Grows whenever a manifest changes: the sum of their last numbers.
    manifests: u64,
}

impl Node {
    /// Does what there is to do. What fails keeps nothing else from being done; the first error is given. Wakes
    /// the task that compacts where the manifests are not those of last time.
    async fn work_once(&self, manifests: &mut Option<u64>, stop: &CancellationToken) -> Result<()> {
        let survey = self.survey();
        if manifests.replace(survey.manifests) != Some(survey.manifests) {
            self.manifests_changed().notify_one();
        }
        let mut outcome = self.freeze_down_to(limits::OPEN_RUNS_BYTES, survey.open, survey.bytes).await;
        for shard in survey.unrecorded {
            outcome = outcome.and(self.record_seals(shard).await);
        }
        for (shard, run) in survey.frozen {
            if stop.is_cancelled() {
                return Ok(());
            }
            outcome = outcome.and(self.seal_if_frozen(shard, run).await);
            outcome = outcome.and(self.record_seals(shard).await);
            // Sealing takes a while, in which more rows came.
            outcome = outcome.and(self.bound_open_runs(limits::OPEN_RUNS_BYTES).await);
        }
        outcome = outcome.and(self.retry_erasures().await);
        // First what gives space: cutting needs some.
        outcome = outcome.and(self.remove_blobs().await);
        if self.log().bytes_on_disk() >= self.log_bytes_limit() {
            outcome = outcome.and(self.cut_logs(stop).await);
            outcome = outcome.and(self.remove_blobs().await);
        }
        outcome
    }

    fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        for shard in self.shard_ids() {
            let machine = self.shard(shard).read();
            for (id, history) in machine.histories() {
                if let Some(open) = &history.open {
                    survey.open.push((open.rows.bytes(), shard, id));
                    survey.bytes += open.rows.bytes();
                }
                for (run, rows) in &history.frozen {
                    survey.frozen.push((shard, RunKey { history: id, run: *run }));
                    survey.bytes += rows.rows.bytes();
                }
                survey.manifests += history.sealed.keys().next_back().map_or(0, |last| last + 1);
            }
            if machine.notes().next().is_some() {
                survey.unrecorded.push(shard);
            }
        }
        survey
    }

    /// Freezes open runs, the largest first, until the rest and what waits to be sealed take at most so many bytes
    /// of memory. What is frozen is sealed next.
    ///
    /// # Errors
    /// The log of a shard takes no command.
    pub async fn bound_open_runs(&self, most_bytes: usize) -> Result<()> {
        let Survey { open, bytes, .. } = self.survey();
        self.freeze_down_to(most_bytes, open, bytes).await
    }

    async fn freeze_down_to(
        &self,
        most_bytes: usize,
        mut open: Vec<(usize, ShardId, HistoryId)>,
        mut bytes: usize,
    ) -> Result<()> {
        if bytes <= most_bytes {
            return Ok(());
        }
        open.sort_unstable();
        while bytes > most_bytes
            && let Some((largest, shard, history)) = open.pop()
        {
            self.propose_shard(&system(), shard, ShardCommand::Freeze(history)).await?;
            bytes -= largest;
        }
        Ok(())
    }

    /// Seals and records the streamed rows of some histories that were committed at or below a time.
    pub(crate) async fn seal(
        &self,
        principal: &Principal,
        histories: &[HistoryId],
        at: TimestampUs,
    ) -> Result<()> {
        for shard in self.shard_ids() {
            let open: Vec<HistoryId> = {
                let machine = self.shard(shard).read();
                let is_open = |history: &&HistoryId| {
                    let open = machine.history(**history).and_then(|history| history.open.as_ref());
                    open.is_some_and(|run| run.first_commit <= at)
                };
                histories.iter().filter(is_open).copied().collect()
            };
            for history in open {
                self.propose_shard(principal, shard, ShardCommand::Freeze(history)).await?;
            }
            self.seal_frozen(shard, |history| histories.contains(&history)).await?;
            self.record_seals(shard).await?;
        }
        Ok(())
    }

    /// Seals the runs of some histories that are frozen now. One that fails keeps none of the others from it.
    async fn seal_frozen(&self, shard: ShardId, wanted: impl Fn(HistoryId) -> bool) -> Result<()> {
        let frozen: Vec<RunKey> = {
            let machine = self.shard(shard).read();
            let histories = machine.histories().filter(|(id, _)| wanted(*id));
            let keys =
                histories.flat_map(|(history, rows)| rows.frozen.keys().map(move |run| (history, *run)));
            keys.map(|(history, run)| RunKey { history, run }).collect()
        };
        let mut outcome = Ok(());
        for run in frozen {
            outcome = outcome.and(self.seal_if_frozen(shard, run).await);
        }
        outcome
    }

    /// Seals a run, unless somebody else did.
    async fn seal_if_frozen(&self, shard: ShardId, key: RunKey) -> Result<()> {
        let _one_at_a_time = self.sealing().lock().await;
        let frozen = {
            let machine = self.shard(shard).read();
            machine.history(key.history).and_then(|history| history.frozen.get(&key.run)).cloned()
        };
        match frozen {
            Some(run) => self.seal_run(shard, key, run).await,
            None => Ok(()),
        }
    }

    #[tracing::instrument(name = "seal", skip_all, fields(%shard, history = %key.history, rows = Empty, bytes = Empty))]
    async fn seal_run(&self, shard: ShardId, key: RunKey, run: Arc<StreamRun>) -> Result<()> {
        let RunKey { history, run: RunNumber(number) } = key;
        let schema = {
            let machine = self.shard(shard).read();
            let view = machine.view(run.view).map(|(_, schema)| schema.as_ref().clone());
            view.ok_or_else(|| {
                Error::Corrupt(format!("view {} of a run is not defined in shard {shard}", run.view))
            })?
        };
        let lease = self.lease_blobs();
        let blobs = lease.clone();
        let segment = tokio::task::spawn_blocking(move || {
            write_run(&blobs, history, schema, &run.rows.freeze()?, CommitSource::Column)
        })
        .await??;
        let span = tracing::Span::current();
        span.record("rows", segment.rows.cast_signed()).record("bytes", segment.segment_bytes.cast_signed());
        tracing::debug!(%shard, %history, number, rows = segment.rows, "run sealed");
        let seal = ShardCommand::Seal(Seal { run: key, segment });
        match self.name_blobs(&lease, self.propose_shard(&system(), shard, seal)).await {
            Err(error) if error.kind() == ErrorKind::Conflict && !self.is_frozen(shard, key) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Whether a run still waits to be sealed: a seal of it that was refused was refused for another reason than that
    /// somebody else sealed it meanwhile.
    fn is_frozen(&self, shard: ShardId, key: RunKey) -> bool {
        let machine = self.shard(shard).read();
        machine.history(key.history).is_some_and(|history| history.frozen.contains_key(&key.run))
    }

    async fn record_seals(&self, shard: ShardId) -> Result<()> {
        let notes: Vec<SealNote> = self.shard(shard).read().notes().cloned().collect();
        for note in notes {
            let run = note.run;
            self.propose_meta(&system(), MetaCommand::RecordSeal { shard, note }).await?;
            self.propose_shard(&system(), shard, ShardCommand::Recorded(run)).await?;
        }
        Ok(())
    }

    /// After a restart: ends the loads that were cut off, and removes blobs that nothing names.
    pub(crate) async fn resume_loads(&self) -> Result<()> {
        let pending: Vec<_> = {
            let meta = self.meta().read();
            let is_pending = |outcome| matches!(outcome, LoadOutcome::Pending);
            meta.loads().filter(|(_, state)| is_pending(state.outcome)).map(|(load, _)| load).collect()
        };
        for load in pending {
            self.propose_meta(&system(), MetaCommand::AbortLoad { load }).await?;
            tracing::info!(%load, "a load that was cut off is aborted");
        }
        for shard in self.shard_ids() {
            let staged: Vec<_> = self.shard(shard).read().staged().map(|(load, _)| load).collect();
            for load in staged {
                let outcome = self.meta().read().load(load).map(|state| state.outcome);
                let commit_time = match outcome {
                    Some(LoadOutcome::Committed { commit_time, .. }) => Some(commit_time),
                    _ => None,
                };
                self.propose_shard(&system(), shard, ShardCommand::Resolve(Resolve { load, commit_time }))
                    .await?;
            }
        }
        self.remove_all_unnamed_blobs().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_store::{SHARD, open, push};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_seal_that_is_refused_while_its_run_waits_is_an_error_and_one_of_a_sealed_run_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path().to_owned()).await;
        let id = push(&node).await;
        let open = |node: &Node| {
            let machine = node.shard(SHARD).read();
            let rows = machine.history(id).expect("has rows");
            (RunKey { history: id, run: rows.open_number }, rows.open.clone().expect("open"))
        };
        let (key, earlier) = open(&node);
        push(&node).await;
        let (_, whole) = open(&node);
        // Nobody else seals meanwhile.
        let alone = node.sealing().lock().await;
        node.propose_shard(&system(), SHARD, ShardCommand::Freeze(id)).await.expect("freezes");
        let refused =
            node.seal_run(SHARD, key, Arc::new(earlier.clone())).await.expect_err("a row is missing");
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        assert!(node.is_frozen(SHARD, key), "nothing was lost");
        node.seal_run(SHARD, key, Arc::new(whole)).await.expect("seals");
        node.seal_run(SHARD, key, Arc::new(earlier)).await.expect("it was sealed by somebody else");
        drop(alone);
        node.shutdown().await.expect("stops");
    }
}
