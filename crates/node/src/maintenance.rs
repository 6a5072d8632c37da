//! Work beside the log: sealing full runs, recording them, compacting, ending loads that were cut off, cutting logs,
//! and removing blobs that nothing names.
//!
//! Everything here can be cut off anywhere and done again: commands are conditional on what they found.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lineate_segment::{
    merge::merge_runs,
    run::RowSource,
    segment::{CommitSource, SegmentInfo, write_run},
};
use lineate_state::{
    RunNumber,
    meta::{LoadOutcome, MetaCommand},
    shard::{Compact, Resolve, RunKey, Seal, SealNote, ShardCommand, StreamRun},
};
use lineate_types::{ErrorKind, HasKind, Hash, HistoryId, Principal, ShardId, TimestampUs, limits};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};

use crate::{Error, Node, Result};

/// Who the background work is done for.
fn system() -> Principal {
    Principal("system".into())
}

/// How long to wait after a failure, such as a full disk.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
/// How often to look at the size of the log although nothing changes.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Works until the node stops.
pub(crate) async fn run(node: Node, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.changed().notified() => {}
            () = tokio::time::sleep(PAUSE), if node.blob_use().has_unused() => {}
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
        // First what gives space: cutting needs some.
        outcome = outcome.and(self.remove_unused().await);
        outcome = outcome.and(self.cut_logs(stop).await);
        outcome.and(self.remove_unused().await)
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
        let _blobs = self.blob_use().hold().await;
        let blobs = self.blobs().clone();
        let segment = tokio::task::spawn_blocking(move || {
            write_run(blobs.as_ref(), history, schema, &run.rows.freeze()?, CommitSource::Column)
        })
        .await??;
        let span = tracing::Span::current();
        span.record("rows", segment.rows.cast_signed()).record("bytes", segment.segment_bytes.cast_signed());
        tracing::debug!(%shard, %history, number, rows = segment.rows, "run sealed");
        let written = [segment.segment, segment.key_index];
        match self.propose_shard(&system(), shard, ShardCommand::Seal(Seal { run: key, segment })).await {
            // Sealed by somebody else meanwhile.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.give_up_blobs(written);
                Ok(())
            }
            other => other.map(|_| ()),
        }
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

    /// Merges the smallest segments of every history that has too many.
    async fn compact_shard(&self, shard: ShardId) -> Result<()> {
        let histories: Vec<HistoryId> = self.shard(shard).read().histories().map(|(id, _)| id).collect();
        for history in histories {
            while self.compact(shard, history, limits::SEGMENTS_BEFORE_COMPACTION).await? {}
        }
        Ok(())
    }

    /// Merges the smallest segments of one history in one shard if it has more than `most`; says whether it did.
    ///
    /// # Errors
    /// A segment is damaged, or the disk is full.
    pub async fn compact(&self, shard: ShardId, history: HistoryId, most: usize) -> Result<bool> {
        let (mut segments, schema) = {
            let machine = self.shard(shard).read();
            let Some(rows) = machine.history(history) else { return Ok(false) };
            let newest = machine.newest_view(history).map(|(_, schema)| schema.as_ref().clone());
            let segments: Vec<(u64, SegmentInfo)> =
                rows.sealed.iter().map(|(number, sealed)| (*number, sealed.segment.clone())).collect();
            (segments, newest)
        };
        let Some(schema) = schema.filter(|_| segments.len() > most.max(1)) else { return Ok(false) };
        segments.sort_by_key(|(number, segment)| (segment.rows, *number));
        segments.truncate(limits::SEGMENTS_BEFORE_COMPACTION.max(2));
        let inputs: Vec<u64> = segments.iter().map(|(number, _)| *number).collect();
        let rows: i64 = segments.iter().map(|(_, segment)| segment.rows.cast_signed()).sum();
        let span = tracing::info_span!("compact", %shard, %history, segments = segments.len() as i64, rows);
        let hold = self.blob_use().hold().await;
        let opened =
            segments.iter().map(|(_, info)| self.segments().open(info)).collect::<Result<Vec<_>>>()?;
        let blobs = self.blobs().clone();
        let merging = tokio::task::spawn_blocking(move || {
            let runs: Vec<&dyn RowSource> =
                opened.iter().map(|segment| segment.as_ref() as &dyn RowSource).collect();
            merge_runs(blobs.as_ref(), history, schema, &runs)
        });
        let output = merging.instrument(span.clone()).await??;
        let written = [output.segment, output.key_index];
        let compact = ShardCommand::Compact(Compact { history, inputs, output });
        match self.propose_shard(&system(), shard, compact).instrument(span).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.give_up_blobs(written);
                return Ok(false);
            }
            other => other?,
        };
        drop(hold);
        self.blob_use().add_unused(segments.into_iter().map(|(_, info)| info));
        self.remove_unused().await?;
        Ok(true)
    }

    /// Removes the blobs of segments that left a manifest, and those of what failed, unless something names them.
    /// While somebody may be reading them they stay, and are tried again later.
    async fn remove_unused(&self) -> Result<()> {
        let Some((_nobody, gone)) = self.blob_use().take_unused() else { return Ok(()) };
        let named = self.named_blobs();
        gone.segments.iter().for_each(|info| self.segments().forget(info));
        let of_segments = gone.segments.iter().flat_map(|info| [info.segment, info.key_index]);
        let unused: Vec<Hash> = of_segments.chain(gone.blobs).filter(|hash| !named.contains(hash)).collect();
        let blobs = self.blobs().clone();
        tokio::task::spawn_blocking(move || unused.iter().try_for_each(|hash| blobs.delete(hash))).await??;
        Ok(())
    }

    /// Every blob that a manifest, a training set, a model or a log names.
    pub(crate) fn named_blobs(&self) -> BTreeSet<Hash> {
        let mut named = BTreeSet::new();
        for shard in self.shard_ids() {
            let machine = self.shard(shard).read();
            let sealed = machine.histories().flat_map(|(_, history)| history.sealed.values());
            let staged = machine.staged().flat_map(|(_, load)| load.segments.iter());
            for info in sealed.map(|sealed| &sealed.segment).chain(staged) {
                named.extend([info.segment, info.key_index]);
            }
        }
        let meta = self.meta().read();
        for dataset in meta.datasets() {
            named.insert(dataset.draft.spine.physical);
            named.extend(dataset.draft.files.iter().map(|file| file.physical));
        }
        let logs = self.consensus().status();
        named.extend(logs.into_iter().filter_map(|group| group.checkpoint).map(|checkpoint| checkpoint.hash));
        named.extend(meta.models().filter_map(|model| model.draft.artifact).map(|file| file.physical));
        named
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
        let named = self.named_blobs();
        let blobs = self.blobs().clone();
        tokio::task::spawn_blocking(move || {
            let mut unused = Vec::new();
            blobs.list(&mut |hash, _| {
                if !named.contains(&hash) {
                    unused.push(hash);
                }
                Ok(())
            })?;
            unused.iter().try_for_each(|hash| blobs.delete(hash))
        })
        .await??;
        Ok(())
    }
}
