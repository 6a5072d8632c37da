//! Bulk loads: files become segments, staged in every shard they touch, committed by the meta group, resolved in
//! the shards. Nothing of a load is visible before its commit, all of it after.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::try_join_all;
use lineate_segment::{
    intake::{FileFormat, ForeignFile, Intake},
    schema::ViewSchema,
    segment::SegmentInfo,
};
use lineate_state::{
    LoadId,
    meta::{BeginLoad, CommitLoad, LoadOutcome, LoadedSegment, MetaCommand, MetaReply, SourceDraft},
    shard::{Resolve, ShardCommand, ShardReply, Stage},
};
use lineate_types::{
    ErrorKind, HasKind, Hash, Hasher, Principal, ShardId, TimestampUs, ViewDefinition, limits,
};

use crate::{
    Error, Node, Result,
    api::{LoadReport, LoadRequest, LoadedFile, OnProgress, Progress},
    shard_writer::ShardWriter,
    uploads::Upload,
};

/// How often a commit is tried again because the meta group's clock was behind a shard's.
const COMMIT_ATTEMPTS: usize = 100;

/// A file on its way in.
struct Source {
    path: String,
    upload: Arc<Upload>,
    format: &'static str,
}

/// Segments by shard, and what is known of the rows.
struct Written {
    segments: BTreeMap<ShardId, Vec<SegmentInfo>>,
    source_rows: Vec<u64>,
}

impl Node {
    /// Loads files into a view, all or nothing. Files that were loaded before change nothing, unless asked for.
    ///
    /// # Errors
    /// A file does not fit the view, or the disk is full; nothing of the load is visible then, ever.
    pub async fn ingest(
        &self,
        principal: &Principal,
        request: LoadRequest,
        progress: OnProgress,
    ) -> Result<LoadReport> {
        let view = {
            let meta = self.meta().read();
            let project = meta.catalog().project(request.project.as_ref())?;
            meta.catalog().view(&project, &request.view)?.clone()
        };
        let sources = self.take_sources(&request).await?;
        let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
        let sealed_paths = self.sealed_texts().seal(&paths)?;
        let begin = BeginLoad {
            view: view.id,
            sources: sources.iter().zip(sealed_paths).map(|(source, path)| source.draft(path)).collect(),
            again: request.again,
        };
        let load = match self.propose_meta(principal, MetaCommand::BeginLoad(begin)).await?.0 {
            MetaReply::LoadBegun { load } => load,
            MetaReply::AlreadyLoaded { load } => return self.report_loaded(load, &view, &sources),
            other => return Err(Error::Internal(format!("unexpected reply {other:?}"))),
        };
        let result = self.run_load(principal, load, &view, &sources, progress).await;
        if result.as_ref().is_err_and(|error| error.kind() != ErrorKind::Unavailable) {
            self.abort_load(principal, load, &view).await;
        }
        result
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

    async fn run_load(
        &self,
        principal: &Principal,
        load: LoadId,
        view: &ViewDefinition,
        sources: &[Source],
        progress: OnProgress,
    ) -> Result<LoadReport> {
        let _blobs = self.blob_use().hold().await;
        let written = self.write_segments(view, sources, progress.clone()).await?;
        progress(Progress { phase: "commit", done: 0, total: None, unit: "rows" });
        let floor = self.stage(principal, load, view, &written).await?;
        let (commit_time, record) = match self.commit(principal, load, floor, &written).await? {
            Ended::Committed { commit_time, record } => (commit_time, record),
            Ended::LoadedBy(other) => {
                self.resolve(principal, load, written.segments.keys().copied(), None).await?;
                return self.report_loaded(other, view, sources);
            }
        };
        self.resolve(principal, load, written.segments.keys().copied(), Some(commit_time)).await?;
        // Whoever asks any of the shards after this gets an answer that holds at the commit time or later.
        let shards = written.segments.keys().copied();
        try_join_all(shards.map(|shard| self.consensus().close(shard.group(), commit_time))).await?;
        let segments = || written.segments.values().flatten();
        Ok(LoadReport {
            load,
            already_loaded: false,
            view: view.to_string(),
            commit_time,
            record,
            rows: segments().map(|segment| segment.rows).sum(),
            tombstones: segments().map(|segment| segment.tombstones).sum(),
            segment_bytes: segments().map(|segment| segment.segment_bytes + segment.key_index_bytes).sum(),
            segments: segments().count() as u64,
            files: sources
                .iter()
                .zip(&written.source_rows)
                .map(|(source, rows)| source.report(*rows))
                .collect(),
        })
    }

    async fn write_segments(
        &self,
        view: &ViewDefinition,
        sources: &[Source],
        progress: OnProgress,
    ) -> Result<Written> {
        let (view, shards, blobs) = (view.clone(), self.shards(), self.blobs().clone());
        let files: Vec<(String, Arc<Upload>)> =
            sources.iter().map(|source| (source.path.clone(), source.upload.clone())).collect();
        tokio::task::spawn_blocking(move || {
            let intake = Intake::new(&view);
            let mut writer = ShardWriter::new(blobs.as_ref(), view.history, ViewSchema::of(&view), shards);
            let mut source_rows = Vec::with_capacity(files.len());
            for (path, upload) in &files {
                let before = writer.rows();
                for batch in intake.open(&ForeignFile::open_as(upload.path(), path)?)? {
                    writer.push(&batch?)?;
                    progress(Progress { phase: "read", done: writer.rows(), total: None, unit: "rows" });
                }
                source_rows.push(writer.rows() - before);
            }
            if writer.rows() == 0 {
                return Err(Error::Invalid("the files have no rows; there is nothing to load".into()));
            }
            let segments = writer.finish(|done, total| {
                let (done, total) = (done as u64, Some(total as u64));
                progress(Progress { phase: "sort and write", done, total, unit: "segments" });
            })?;
            Ok(Written { segments, source_rows })
        })
        .await?
    }

    /// Stages the segments in their shards; gives the greatest floor.
    async fn stage(
        &self,
        principal: &Principal,
        load: LoadId,
        view: &ViewDefinition,
        written: &Written,
    ) -> Result<TimestampUs> {
        let stages = written.segments.iter().map(async |(shard, segments)| {
            let stage = Stage { load, view: view.id, segments: segments.clone() };
            match self.propose_to_view(principal, view, *shard, ShardCommand::Stage(stage)).await? {
                ShardReply::Staged { floor } => Ok(floor),
                other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
            }
        });
        Ok(try_join_all(stages).await?.into_iter().max().unwrap_or(TimestampUs::MIN))
    }

    async fn commit(
        &self,
        principal: &Principal,
        load: LoadId,
        floor: TimestampUs,
        written: &Written,
    ) -> Result<Ended> {
        let mut hasher = Hasher::new_derive_key("lineate 2026 load logical hash v1");
        let mut segments = Vec::new();
        let mut tombstones = 0;
        for (shard, infos) in &written.segments {
            for info in infos {
                hasher.update(info.logical.as_bytes());
                tombstones += info.tombstones;
                segments.push(LoadedSegment { shard: *shard, physical: info.segment, rows: info.rows });
            }
        }
        let commit = CommitLoad {
            load,
            floor,
            source_rows: written.source_rows.clone(),
            tombstones,
            logical: Hash::finish(&hasher),
            segments,
        };
        let mut attempt = 1;
        loop {
            let reply = self.propose_meta(principal, MetaCommand::CommitLoad(commit.clone())).await;
            match reply {
                Ok((MetaReply::LoadCommitted { commit_time, record }, _)) => {
                    return Ok(Ended::Committed { commit_time, record });
                }
                Ok((MetaReply::AlreadyLoaded { load }, _)) => return Ok(Ended::LoadedBy(load)),
                Ok((other, _)) => return Err(Error::Internal(format!("unexpected reply {other:?}"))),
                // The shards' clocks are ahead of the meta group's by the commands they took in a burst.
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < COMMIT_ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error),
            }
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
        try_join_all(resolves).await.map(|_| ())
    }

    /// Ends a load that failed. Where this fails too, opening the store next ends it.
    async fn abort_load(&self, principal: &Principal, load: LoadId, view: &ViewDefinition) {
        let staged: Vec<ShardId> = self
            .shard_ids()
            .filter(|shard| self.shard(*shard).read().staged().any(|(staged, _)| staged == load))
            .collect();
        let aborted = async {
            let outcome = self.propose_meta(principal, MetaCommand::AbortLoad { load }).await?.0;
            let commit_time = match outcome {
                MetaReply::LoadCommitted { commit_time, .. } => Some(commit_time),
                _ => None,
            };
            self.resolve(principal, load, staged.into_iter(), commit_time).await
        };
        if let Err(error) = aborted.await {
            tracing::warn!(%load, %view, %error, "a failed load could not be ended; it stays invisible");
        }
    }

    fn report_loaded(&self, load: LoadId, view: &ViewDefinition, sources: &[Source]) -> Result<LoadReport> {
        let outcome = self.meta().read().load(load).map(|state| state.outcome);
        let Some(LoadOutcome::Committed { commit_time, record, rows }) = outcome else {
            return Err(Error::Internal(format!("load {load} is not committed")));
        };
        Ok(LoadReport {
            load,
            already_loaded: true,
            view: view.to_string(),
            commit_time,
            record,
            rows,
            tombstones: 0,
            segment_bytes: 0,
            segments: 0,
            files: sources.iter().map(|source| source.report(0)).collect(),
        })
    }
}

/// How a commit ended.
enum Ended {
    Committed {
        commit_time: TimestampUs,
        record: Hash,
    },
    /// Another load of the same files committed first.
    LoadedBy(LoadId),
}

impl Source {
    fn draft(&self, path: Hash) -> SourceDraft {
        let info = self.upload.info;
        SourceDraft { physical: info.hash, bytes: info.bytes, format: self.format.into(), path }
    }

    fn report(&self, rows: u64) -> LoadedFile {
        LoadedFile { path: self.path.clone(), hash: self.upload.info.hash, format: self.format, rows }
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
