//! Work beside the log: sealing full runs, recording them, compacting, ending loads that were cut off, cutting logs,
//! and removing blobs that nothing names.
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

use crate::{CompactionBounds, Error, Node, Result};

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

/// Works until the node stops.
pub(crate) async fn run(node: Node, stop: CancellationToken) {
    let mut forgotten = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.changed().notified() => {}
            () = tokio::time::sleep(PAUSE), if node.keeper().is_waiting() => {}
            // Reads and closes make the log grow, and nobody is told.
            () = tokio::time::sleep(LOG_PAUSE) => {}
        }
        while let Err(error) = node.work_once(&stop).await {
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
    }
}

impl Node {
    /// Does what there is to do. What fails keeps nothing else from being done; the first error is given.
    async fn work_once(&self, stop: &CancellationToken) -> Result<()> {
        let mut outcome = self.bound_open_runs(limits::OPEN_RUNS_BYTES).await;
        for shard in self.shard_ids() {
            if stop.is_cancelled() {
                return Ok(());
            }
            outcome = outcome.and(self.seal_frozen(shard, |_| true).await);
            outcome = outcome.and(self.record_seals(shard).await);
            outcome = outcome.and(self.compact_shard(shard).await);
        }
        outcome = outcome.and(self.retry_erasures().await);
        // First what gives space: cutting needs some.
        outcome = outcome.and(self.remove_blobs().await);
        outcome = outcome.and(self.cut_logs(stop).await);
        outcome.and(self.remove_blobs().await)
    }

    /// Freezes open runs, the largest first, until the rest take at most so many bytes of memory. What is frozen is
    /// sealed next.
    ///
    /// # Errors
    /// The log of a shard takes no command.
    pub async fn bound_open_runs(&self, most_bytes: usize) -> Result<()> {
        let mut open: Vec<(usize, ShardId, HistoryId)> = Vec::new();
        for shard in self.shard_ids() {
            let machine = self.shard(shard).read();
            let runs = machine.histories().filter_map(|(id, history)| Some((id, history.open.as_ref()?)));
            open.extend(runs.map(|(id, run)| (run.rows.bytes(), shard, id)));
        }
        let mut bytes: usize = open.iter().map(|(bytes, ..)| bytes).sum();
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

    async fn seal_frozen(&self, shard: ShardId, wanted: impl Fn(HistoryId) -> bool) -> Result<()> {
        let _one_at_a_time = self.sealing().lock().await;
        loop {
            let next = {
                let machine = self.shard(shard).read();
                let mut histories = machine.histories().filter(|(id, _)| wanted(*id));
                histories.find_map(|(id, history)| {
                    let (run, rows) = history.frozen.first_key_value()?;
                    Some((RunKey { history: id, run: *run }, rows.clone()))
                })
            };
            let Some((key, run)) = next else { return Ok(()) };
            self.seal_run(shard, key, run).await?;
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

    /// Merges segments of every history that has too many. What fails in one keeps none of the others from it.
    async fn compact_shard(&self, shard: ShardId) -> Result<()> {
        let histories: Vec<HistoryId> = self.shard(shard).read().histories().map(|(id, _)| id).collect();
        let mut outcome = Ok(());
        for history in histories {
            outcome = outcome.and(self.compact_fully(shard, history).await);
        }
        outcome
    }

    async fn compact_fully(&self, shard: ShardId, history: HistoryId) -> Result<()> {
        while self.compact(shard, history, &CompactionBounds::default()).await? {}
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
    use lineate_segment::intake::{ForeignFile, Intake};

    use super::*;
    use crate::{SystemClock, SystemDisk, api::Options};

    const SHARD: ShardId = ShardId(0);

    async fn open(data_dir: std::path::PathBuf) -> Node {
        let options = Options {
            data_dir,
            shards: Some(1),
            cache_bytes: limits::CACHE_BYTES,
            log_bytes: limits::LOG_BYTES,
            clock: Arc::new(SystemClock),
            disk: Arc::new(SystemDisk),
        };
        let node = Node::open(options).await.expect("the store opens");
        let definitions = serde_json::from_value(serde_json::json!({
            "project": "p",
            "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
            "views": [{
                "name": "counters", "entity": "thing", "event_time": "happened",
                "features": [{"name": "value", "type": "int64"}]
            }]
        }));
        node.apply(&system(), &definitions.expect("valid"), false).await.expect("applies");
        node
    }

    async fn push(node: &Node) -> HistoryId {
        let (project, view) = ("p".parse().expect("a name"), "counters".parse().expect("a name"));
        let view = node.catalog().view(&project, &view).expect("defined").clone();
        let line = "{\"id\": \"a\", \"happened\": \"2024-01-01T00:00:00Z\", \"value\": 1}\n";
        let file = ForeignFile::from_bytes("rows", line.to_owned().into());
        let rows = Intake::new(&view).open(&file).expect("opens").next().expect("rows").expect("reads");
        for write in node.push(&system(), &view, &rows, 0, None).await.expect("pushes") {
            write.result.expect("is written");
        }
        view.history
    }

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
