//! Bulk loads: files become segments, staged in every shard they touch, committed by the meta group, resolved in
//! the shards. Nothing of a load is visible before its commit, all of it after.

use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::Duration,
};

use arrow::array::RecordBatch;
use futures::future::{join_all, try_join_all};
use lineate_segment::{
    intake::{FileFormat, ForeignFile, Intake, IntakeBatches},
    logical_hash::TableHasher,
    schema::ViewSchema,
};
use lineate_state::{
    LoadId,
    meta::{BeginLoad, CommitLoad, LoadedSegment, MetaCommand, MetaReply, SourceDraft},
    shard::{Resolve, ShardCommand, ShardReply, Stage},
};
use lineate_storage::blob::Lease;
use lineate_types::{ErrorKind, HasKind, Hash, Principal, ShardId, TimestampUs, ViewDefinition, limits};

use crate::{
    Caller, Error, Node, Result,
    api::{LoadReport, LoadRequest, LoadedFile, OnProgress, Progress},
    load_report::Brought,
    maintenance::PAUSE,
    segment_pool::{SegmentPool, SegmentsByShard, Target},
    shard_writer::ShardWriter,
    uploads::Upload,
};

/// How often a commit is tried again because the meta group's clock was behind a shard's.
const COMMIT_ATTEMPTS: usize = 100;

/// A file on its way in.
pub(crate) struct Source {
    path: String,
    upload: Arc<Upload>,
    format: &'static str,
}

/// A load that has begun.
#[derive(Clone, Copy)]
struct Loading<'a> {
    principal: &'a Principal,
    load: LoadId,
    view: &'a ViewDefinition,
    caller: &'a Caller,
    /// What its segments are written through.
    lease: &'a Lease,
}

/// Segments by shard, and what is known of the rows.
struct Written {
    segments: SegmentsByShard,
    rows: Filled,
}

/// The rows of a load.
struct Filled {
    /// How many each file has.
    source_rows: Vec<u64>,
    /// The logical hash of the table that the files are one after the other, in canonical columns: it depends on
    /// neither shards nor segments, and can be computed from the files alone.
    logical: Hash,
}

/// What became of the beginning of a load.
enum Begun {
    /// It may be staged.
    Load {
        load: LoadId,
        /// Of each file: the load that brings it, where this one does not read it.
        skipped: Vec<Option<LoadId>>,
        /// The commitments to the paths of the files it reads.
        paths: Vec<Hash>,
    },
    /// Every file is there, by these loads.
    AlreadyLoaded { loads: Vec<LoadId> },
}

/// What is left to do of a load.
struct LoadRest {
    principal: Principal,
    load: LoadId,
    end: LoadEnd,
}

/// How a load ended.
enum LoadEnd {
    /// The shards that hold its stages are to resolve them.
    Committed { shards: Vec<ShardId>, commit_time: TimestampUs },
    /// It is to be aborted, and its stages, segments and sealed paths given up.
    BrokenOff { shards: Vec<ShardId>, lease: Lease, paths: Vec<Hash> },
}

impl Node {
    /// Loads files into a view, all or nothing. Files whose bytes are in the view's history are skipped, unless asked
    /// for again.
    ///
    /// A caller who goes away before the commit aborts the load.
    ///
    /// # Errors
    /// A file does not fit the view, or the disk is full; nothing of the load is visible then, ever.
    pub async fn ingest(
        &self,
        principal: &Principal,
        request: LoadRequest,
        progress: OnProgress,
    ) -> Result<LoadReport> {
        let (node, principal) = (self.clone(), principal.clone());
        self.work(|caller| async move { node.load(&principal, &request, &progress, &caller).await }).await
    }

    async fn load(
        &self,
        principal: &Principal,
        request: &LoadRequest,
        progress: &OnProgress,
        caller: &Caller,
    ) -> Result<LoadReport> {
        let view = {
            let meta = self.meta().read();
            let project = meta.catalog().project(request.project.as_ref())?;
            meta.catalog().view(&project, &request.view)?.clone()
        };
        let sources = self.take_sources(request).await?;
        // Each round but the last leaves a file that another load brought meanwhile: so they end.
        loop {
            caller.check()?;
            let (load, skipped, paths) =
                match self.begin_load(principal, &view, &sources, request.again).await? {
                    Begun::Load { load, skipped, paths } => (load, skipped, paths),
                    Begun::AlreadyLoaded { loads } => return self.report_loaded(&loads, &view, &sources),
                };
            let lease = self.lease_blobs();
            let loading = Loading { principal, load, view: &view, caller, lease: &lease };
            let mut shards = Vec::new();
            let result = self.run_load(&loading, &sources, &skipped, progress, &mut shards).await;
            if !matches!(result, Ok(Some(_))) {
                let end = LoadEnd::BrokenOff { shards, lease, paths };
                self.finish_load(LoadRest { principal: principal.clone(), load, end }).await;
            }
            if let Some(report) = result? {
                return Ok(report);
            }
        }
    }

    /// Begins a load of the files that the view's history does not hold, with the sealed paths of these alone: a path
    /// that no record names could not be erased.
    async fn begin_load(
        &self,
        principal: &Principal,
        view: &ViewDefinition,
        sources: &[Source],
        again: bool,
    ) -> Result<Begun> {
        let known = if again { vec![None; sources.len()] } else { self.loaded_before(view, sources) };
        if let Some(loads) = known.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(Begun::AlreadyLoaded { loads });
        }
        self.check_space()?;
        let mut seen = BTreeSet::new();
        let mut is_read = |source: &Source| seen.insert(source.hash()) || again;
        let read: Vec<bool> =
            sources.iter().zip(&known).map(|(source, loaded)| loaded.is_none() && is_read(source)).collect();
        let texts = sources.iter().zip(&read).filter(|(_, read)| **read);
        let texts: Vec<&str> = texts.map(|(source, _)| source.path.as_str()).collect();
        let sealed = self.sealed_texts().seal(&texts).await?;
        let mut next = sealed.iter().copied();
        let paths: Vec<Option<Hash>> =
            read.iter().map(|read| if *read { next.next() } else { None }).collect();
        let drafts = sources.iter().zip(&paths).map(|(source, path)| source.draft(*path));
        let begin = MetaCommand::BeginLoad(BeginLoad { view: view.id, sources: drafts.collect(), again });
        match self.name_texts(&sealed, self.propose_meta(principal, begin)).await?.0 {
            MetaReply::LoadBegun { load, skipped } => {
                // Another load may have brought one of them since.
                let (unread, read): (Vec<_>, Vec<_>) =
                    paths.into_iter().zip(&skipped).partition(|(_, skipped)| skipped.is_some());
                self.sealed_texts().give_up(unread.into_iter().filter_map(|(path, _)| path));
                let paths = read.into_iter().filter_map(|(path, _)| path).collect();
                Ok(Begun::Load { load, skipped, paths })
            }
            MetaReply::AlreadyLoaded { loads } => {
                self.sealed_texts().give_up(sealed);
                Ok(Begun::AlreadyLoaded { loads })
            }
            other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
        }
    }

    /// Of each file: the load that brought it into the view's history, as far as is known here. One that did will
    /// always have.
    fn loaded_before(&self, view: &ViewDefinition, sources: &[Source]) -> Vec<Option<LoadId>> {
        let meta = self.meta().read();
        sources.iter().map(|source| meta.load_of_file(view.history, &source.hash())).collect()
    }

    async fn take_sources(&self, request: &LoadRequest) -> Result<Vec<Source>> {
        if request.files.is_empty() {
            return Err(Error::Invalid("no file was given; name at least one".into()));
        }
        if request.files.len() > limits::LOAD_FILES {
            return Err(Error::ResourceExhausted(format!(
                "{} files were given; at most {} are allowed in one load",
                request.files.len(),
                limits::LOAD_FILES
            )));
        }
        let mut sources = Vec::with_capacity(request.files.len());
        for file in &request.files {
            let upload = self.uploads().take(file.upload)?;
            let format = format_word(ForeignFile::open_as(upload.path(), &file.path)?.format()?);
            sources.push(Source { path: file.path.clone(), upload, format });
        }
        Ok(sources)
    }

    /// Runs a load that has begun; `touched` are the shards it has segments for, whatever became of them. Gives
    /// nothing where another load brought one of its files first.
    async fn run_load(
        &self,
        loading: &Loading<'_>,
        sources: &[Source],
        skipped: &[Option<LoadId>],
        progress: &OnProgress,
        touched: &mut Vec<ShardId>,
    ) -> Result<Option<LoadReport>> {
        let Loading { load, view, caller, lease, .. } = *loading;
        let origins = self.origins(load, skipped)?;
        let read = sources.iter().zip(skipped).filter(|(_, skipped)| skipped.is_none());
        let read: Vec<&Source> = read.map(|(source, _)| source).collect();
        let (segments, rows) = self.write_segments(loading, &read, progress.clone()).await?;
        touched.extend(segments.keys());
        let written = Written { segments, rows: rows? };
        caller.check()?;
        progress(Progress { phase: "committing", done: 0, total: None, unit: "" });
        lease.begin_naming();
        let floor = self.stage(loading, &written).await?;
        caller.check()?;
        let Some((commit_time, record)) = self.commit(loading, floor, &written).await? else {
            return Ok(None);
        };
        lease.named();
        // It is there whatever happens from here on: reads that meet its stages ask the meta group.
        let shards = written.segments.keys().copied().collect();
        let end = LoadEnd::Committed { shards, commit_time };
        self.finish_load(LoadRest { principal: loading.principal.clone(), load, end }).await;
        let segments = || written.segments.values().flatten();
        let rows = read.iter().zip(&written.rows.source_rows).map(|(source, rows)| (source.hash(), *rows));
        let own = Brought { load, commit_time, record, rows: rows.collect() };
        Ok(Some(LoadReport {
            load,
            already_loaded: false,
            view: view.to_string(),
            commit_time,
            record,
            rows: segments().map(|segment| segment.rows).sum(),
            tombstones: segments().map(|segment| segment.tombstones).sum(),
            segment_bytes: segments().map(|segment| segment.segment_bytes + segment.key_index_bytes).sum(),
            segments: segments().count() as u64,
            files: sources.iter().zip(&origins).map(|(source, origin)| origin.report(source, &own)).collect(),
        }))
    }

    /// The segments of all rows by shard, and what is known of the rows; or the segments written until it failed.
    async fn write_segments(
        &self,
        loading: &Loading<'_>,
        sources: &[&Source],
        progress: OnProgress,
    ) -> Result<(SegmentsByShard, Result<Filled>)> {
        let (view, caller) = (loading.view.clone(), loading.caller.clone());
        let (shards, blobs) = (self.shards(), self.new_blobs(loading.lease));
        let files: Vec<(String, Arc<Upload>)> =
            sources.iter().map(|source| (source.path.clone(), source.upload.clone())).collect();
        let writing = tokio::task::spawn_blocking(move || {
            let schema = ViewSchema::of(&view);
            let target = Target { blobs: &blobs, history: view.history, schema: schema.clone() };
            let threads = thread::available_parallelism().map_or(1, usize::from).min(limits::LOAD_THREADS);
            SegmentPool::run(&target, threads, |pool| {
                let writer = ShardWriter::new(pool, &schema, shards);
                fill(writer, &schema, &Intake::new(&view), &files, &progress, &caller)
            })
        });
        Ok(writing.await?)
    }

    /// Stages the segments in their shards; gives the greatest floor. Every shard has answered when it returns.
    async fn stage(&self, loading: &Loading<'_>, written: &Written) -> Result<TimestampUs> {
        let Loading { principal, load, view, .. } = *loading;
        let stages = written.segments.iter().map(async |(shard, segments)| {
            let stage = Stage { load, view: view.id, segments: segments.clone() };
            match self.propose_to_view(principal, view, *shard, ShardCommand::Stage(stage)).await? {
                ShardReply::Staged { floor } => Ok(floor),
                other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
            }
        });
        let floors = join_all(stages).await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(floors.into_iter().max().unwrap_or(TimestampUs::MIN))
    }

    /// The commit time and the record; nothing where another load brought one of the files first.
    async fn commit(
        &self,
        loading: &Loading<'_>,
        floor: TimestampUs,
        written: &Written,
    ) -> Result<Option<(TimestampUs, Hash)>> {
        let mut segments = Vec::new();
        let mut tombstones = 0;
        for (shard, infos) in &written.segments {
            for info in infos {
                tombstones += info.tombstones;
                segments.push(LoadedSegment { shard: *shard, physical: info.segment, rows: info.rows });
            }
        }
        let commit = CommitLoad {
            load: loading.load,
            floor,
            source_rows: written.rows.source_rows.clone(),
            tombstones,
            logical: written.rows.logical,
            segments,
        };
        let mut attempt = 1;
        loop {
            let reply = self.propose_meta(loading.principal, MetaCommand::CommitLoad(commit.clone())).await;
            match reply {
                Ok((MetaReply::LoadCommitted { commit_time, record }, _)) => {
                    return Ok(Some((commit_time, record)));
                }
                Ok((MetaReply::LoadOvertaken, _)) => return Ok(None),
                Ok((other, _)) => return Err(Error::Internal(format!("unexpected reply {other:?}"))),
                // The shards' clocks are ahead of the meta group's by the commands they took in a burst.
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < COMMIT_ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error),
            }
            loading.caller.check()?;
        }
    }

    async fn resolve(
        &self,
        principal: &Principal,
        load: LoadId,
        shards: impl Iterator<Item = ShardId>,
        commit_time: Option<TimestampUs>,
    ) -> Result<()> {
        let resolves = shards.map(|shard| {
            self.propose_shard(principal, shard, ShardCommand::Resolve(Resolve { load, commit_time }))
        });
        join_all(resolves).await.into_iter().try_for_each(|reply| reply.map(|_| ()))
    }

    /// Does what is left of a load. Where the groups do not answer, that goes on in the background; where the node
    /// stops first, opening the store does it.
    async fn finish_load(&self, rest: LoadRest) {
        let Err(error) = self.try_finish_load(&rest).await else { return };
        let committed = matches!(rest.end, LoadEnd::Committed { .. });
        tracing::warn!(load = %rest.load, committed, %error, "a load is not finished in all of its shards, and is tried again");
        let node = self.clone();
        self.tasks().spawn(async move {
            let finished = async {
                loop {
                    tokio::time::sleep(PAUSE).await;
                    if node.try_finish_load(&rest).await.is_ok() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = node.stop().cancelled() => {}
                () = finished => tracing::info!(load = %rest.load, "the load is finished"),
            }
        });
    }

    async fn try_finish_load(&self, rest: &LoadRest) -> Result<()> {
        match &rest.end {
            LoadEnd::Committed { shards, commit_time } => {
                let shards = || shards.iter().copied();
                self.resolve(&rest.principal, rest.load, shards(), Some(*commit_time)).await?;
                // Whoever asks any of the shards after this gets an answer that holds at the commit time or later.
                try_join_all(shards().map(|shard| self.consensus().close(shard.group(), *commit_time)))
                    .await?;
                Ok(())
            }
            LoadEnd::BrokenOff { shards, lease, paths } => {
                let commit_time = self.try_end_load(&rest.principal, rest.load, shards).await?;
                lease.give_up();
                if commit_time.is_none() {
                    self.sealed_texts().give_up(paths.iter().copied());
                }
                Ok(())
            }
        }
    }

    /// Aborts a load unless it is committed, and resolves its stages: in every shard that was sent one, since one
    /// whose outcome is unknown may still come, and comes before what resolves it. Gives the commit time, if it has one.
    async fn try_end_load(
        &self,
        principal: &Principal,
        load: LoadId,
        shards: &[ShardId],
    ) -> Result<Option<TimestampUs>> {
        let outcome = self.propose_meta(principal, MetaCommand::AbortLoad { load }).await?.0;
        let commit_time = match outcome {
            MetaReply::LoadCommitted { commit_time, .. } => Some(commit_time),
            _ => None,
        };
        self.resolve(principal, load, shards.iter().copied(), commit_time).await?;
        Ok(commit_time)
    }
}

/// Gives all rows of the files to a writer, and lets it write them.
fn fill(
    mut writer: ShardWriter<'_>,
    schema: &ViewSchema,
    intake: &Intake,
    files: &[(String, Arc<Upload>)],
    progress: &OnProgress,
    caller: &Caller,
) -> Result<Filled> {
    let mut hasher = TableHasher::new(schema.arrow())?;
    let total = Some(files.iter().map(|(_, upload)| upload.info.bytes).sum());
    let mut source_rows = Vec::with_capacity(files.len());
    let mut bytes_before = 0;
    for (path, upload) in files {
        let rows_before = writer.rows();
        let batches = intake.open(&ForeignFile::open_as(upload.path(), path)?)?;
        read_ahead(batches, &mut hasher, |batch, bytes_read| {
            caller.check()?;
            writer.push(&batch)?;
            progress(Progress { phase: "reading", done: bytes_before + bytes_read, total, unit: "bytes" });
            Ok(())
        })?;
        bytes_before += upload.info.bytes;
        source_rows.push(writer.rows() - rows_before);
    }
    if writer.rows() == 0 {
        return Err(Error::Invalid("the files have no rows; there is nothing to load".into()));
    }
    writer.finish(|written| {
        let (done, total) = (written.segments as u64, Some(written.of as u64));
        progress(Progress { phase: "sorting and storing", done, total, unit: "segments" });
        caller.check()
    })?;
    Ok(Filled { source_rows, logical: hasher.finish() })
}

/// Batches that are read while the one before is taken.
const BATCHES_AHEAD: usize = 1;

/// Takes batch after batch, with the bytes of the file read until then, while a thread reads and hashes the next.
fn read_ahead(
    mut batches: IntakeBatches,
    hasher: &mut TableHasher,
    mut take: impl FnMut(RecordBatch, u64) -> Result<()>,
) -> Result<()> {
    let (sender, receiver) = sync_channel(BATCHES_AHEAD);
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            while let Some(batch) = batches.next() {
                let hashed = batch.and_then(|batch| hasher.update(&batch).map(|()| batch));
                // Nobody takes any more after a failure.
                if sender.send((hashed, batches.bytes_read())).is_err() {
                    return;
                }
            }
        });
        // Dropped before the thread is waited for, so that it ends.
        for (batch, bytes_read) in receiver {
            take(batch?, bytes_read)?;
        }
        reading.join().map_err(|_| Error::Internal("the reading of a file broke off".into()))
    })
}

impl Source {
    fn draft(&self, path: Option<Hash>) -> SourceDraft {
        let info = self.upload.info;
        SourceDraft { physical: info.hash, bytes: info.bytes, format: self.format.into(), path }
    }

    /// The BLAKE3 of its bytes.
    fn hash(&self) -> Hash {
        self.upload.info.hash
    }

    /// What is said of it, where such a load brought it.
    pub(crate) fn report(&self, brought: &Brought, skipped: bool) -> LoadedFile {
        LoadedFile {
            path: self.path.clone(),
            hash: self.hash(),
            format: self.format,
            rows: brought.rows.get(&self.hash()).copied().unwrap_or_default(),
            skipped,
            commit_time: brought.commit_time,
            record: brought.record,
        }
    }
}

/// The word records use.
fn format_word(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Parquet => "parquet",
        FileFormat::ArrowFile | FileFormat::ArrowStream => "arrow",
        FileFormat::Ndjson => "ndjson",
        FileFormat::Csv => "csv",
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, AsArray, StringArray},
        datatypes::Int64Type,
    };

    use super::*;
    use crate::{
        api::{LoadFile, LookupRequest},
        maintenance::system,
        small_store::{SHARD, open, push},
    };

    /// The value of the only key, now or at another time.
    async fn value(node: &Node, at: Option<TimestampUs>) -> i64 {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let entities = RecordBatch::try_from_iter([("id", ids)]).expect("a batch");
        let request = LookupRequest { project: None, service: "s".parse().expect("a name"), entities, at };
        let reply = node.lookup(&request).await.expect("answers");
        reply.features.column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_load_is_read_from_its_commit_on_although_no_shard_has_resolved_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = open(dir.path().to_owned()).await;
        push(&node).await;
        let mut sink = node.upload().await.expect("uploads");
        let line = "{\"id\": \"a\", \"happened\": \"2024-02-01T00:00:00Z\", \"value\": 2}\n";
        sink.write(line.into()).await.expect("writes");
        let upload = sink.finish().await.expect("finishes").id;
        let files = vec![LoadFile { path: "rows.ndjson".into(), upload }];
        let view = "counters".parse().expect("a name");
        let request = LoadRequest { project: None, view, files, again: false };
        let (principal, progress): (_, OnProgress) = (system(), Arc::new(|_| ()));
        let loading_node = node.clone();
        node.work(|caller| async move {
            let node = loading_node;
            let view = node.catalog().view(&"p".parse().expect("a name"), &request.view)?.clone();
            let sources = node.take_sources(&request).await?;
            let Begun::Load { load, .. } = node.begin_load(&principal, &view, &sources, false).await? else {
                panic!("nothing was loaded before");
            };
            let lease = node.lease_blobs();
            let loading =
                Loading { principal: &principal, load, view: &view, caller: &caller, lease: &lease };
            let read: Vec<&Source> = sources.iter().collect();
            let (segments, rows) = node.write_segments(&loading, &read, progress).await?;
            let written = Written { segments, rows: rows? };
            lease.begin_naming();
            let floor = node.stage(&loading, &written).await?;
            assert_eq!(value(&node, None).await, 1, "it is staged, and may be aborted yet");
            let (commit_time, _) = node.commit(&loading, floor, &written).await?.expect("nobody was first");
            lease.named();
            assert_eq!(value(&node, None).await, 2);
            assert_eq!(value(&node, Some(commit_time)).await, 2);
            let snapshot = node.snapshot(&principal, Some(commit_time), &[view.history]).await?;
            assert_eq!(snapshot.runs(view.history, SHARD)?.len(), 2, "the row that was pushed, and the load");
            node.resolve(&principal, load, written.segments.keys().copied(), Some(commit_time)).await?;
            assert_eq!(value(&node, None).await, 2);
            Ok::<(), Error>(())
        })
        .await
        .expect("loads");
        node.shutdown().await.expect("stops");
    }
}
