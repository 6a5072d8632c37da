//! Making a training set.

use lineate_node::{
    Caller, NewBlobs, Node, ServicePlan, Snapshot, Upload,
    api::{OnProgress, Progress, Versioned},
};
use lineate_segment::intake::{ForeignFile, SpineIntake};
use lineate_state::meta::{ColumnDraft, CreateDataset, FileDraft, MetaCommand, SpineDraft, ViewMatches};
use lineate_storage::blob::Lease;
use lineate_types::{Hash, HistoryId, MatchMode, Name, Principal, TimestampUs, VersionedName, limits};

use crate::{
    Error, Result,
    assembly::Assembly,
    columns::ColumnHashes,
    files::TableWriter,
    join::Found,
    threads::{Taker, feed},
};

/// Rows of one stored file of a training set.
const FILE_ROWS: u64 = 4 * 1024 * 1024;

/// A training set to make.
#[derive(Debug, Clone)]
pub struct DatasetRequest {
    /// The project; none means the only one.
    pub project: Option<Name>,
    /// The name; a new version is made.
    pub name: Name,
    /// The service.
    pub service: VersionedName,
    /// The upload that holds the spine.
    pub spine: u64,
    /// What the spine's sender calls it.
    pub spine_path: String,
    /// The spine's time column.
    pub time_column: String,
    /// The match mode; none means the default of each view.
    pub mode: Option<MatchMode>,
    /// The snapshot; none means now.
    pub snapshot: Option<TimestampUs>,
    /// Rows of the spine that are joined at once, and so held in memory with their features; at least one. Usually
    /// [`limits::TRAINING_WINDOW_ROWS`].
    pub window_rows: usize,
}

/// A training set that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetReport {
    /// Its project, name, version and record.
    pub versioned: Versioned,
    /// Everything that was recorded of it.
    pub draft: CreateDataset,
}

/// Makes a training set: stores the spine, joins it with the service at the snapshot, stores and records the
/// result. A caller who goes away before the result is recorded leaves nothing.
///
/// # Errors
/// The spine does not fit the service, or a segment is damaged; nothing is recorded then.
pub async fn create(
    node: &Node,
    principal: &Principal,
    request: DatasetRequest,
    progress: OnProgress,
) -> Result<DatasetReport> {
    let (maker, principal) = (node.clone(), principal.clone());
    node.work(|caller| async move { make(&maker, &principal, request, progress, caller).await }).await
}

async fn make(
    node: &Node,
    principal: &Principal,
    request: DatasetRequest,
    progress: OnProgress,
    caller: Caller,
) -> Result<DatasetReport> {
    let plan = node.service_plan(request.project.as_ref(), &request.service)?;
    let upload = node.uploads().take(request.spine)?;
    let intake = spine_intake(&plan, &request.time_column)?;
    progress(Progress { phase: "taking a snapshot", done: 0, total: None, unit: "" });
    let snapshot = node.snapshot(principal, request.snapshot, &histories(&plan)).await?;
    let window_rows = request.window_rows.clamp(1, limits::TRAINING_WINDOW_ROWS);
    let (mode, progress) = (request.mode, progress.clone());
    let worker = Worker { node: node.clone(), plan, snapshot, mode, window_rows, progress, caller };
    let working = tokio::task::spawn_blocking(move || {
        let blobs = worker.node.lease_blobs();
        let draft = worker.draft(request, &intake, &upload, &worker.node.new_blobs(&blobs))?;
        Ok::<_, Error>((draft, blobs, worker))
    });
    let (draft, blobs, worker) = working.await??;
    record(&worker, principal, draft, &blobs).await
}

async fn record(
    worker: &Worker,
    principal: &Principal,
    draft: CreateDataset,
    blobs: &Lease,
) -> Result<DatasetReport> {
    worker.caller.check()?;
    (worker.progress)(Progress { phase: "recording", done: 0, total: None, unit: "" });
    let command = MetaCommand::CreateDataset(draft.clone());
    let (project, name) = (draft.project.clone(), draft.name.clone());
    let recording = worker.node.versioned(principal, command, project, name);
    let versioned = worker.node.name_blobs(blobs, recording).await?;
    Ok(DatasetReport { versioned, draft })
}

/// The histories a service reads, each once.
pub(crate) fn histories(plan: &ServicePlan) -> Vec<HistoryId> {
    let mut histories: Vec<HistoryId> = plan.views.iter().map(|view| view.view.history).collect();
    histories.sort_unstable();
    histories.dedup();
    histories
}

fn spine_intake(plan: &ServicePlan, time_column: &str) -> Result<SpineIntake> {
    let keys = plan.key_columns()?.into_iter().map(|(name, key_type)| (name.to_string(), key_type));
    let outputs = plan.output.fields().iter().map(|field| field.name().clone());
    let naive_times_are_utc = plan.views.iter().all(|view| view.view.naive_times_are_utc);
    Ok(SpineIntake::new(time_column, keys, naive_times_are_utc)?.with_outputs(outputs))
}

/// A training set that was joined and stored.
struct Output {
    columns: Vec<ColumnDraft>,
    files: Vec<FileDraft>,
    matches: Vec<ViewMatches>,
}

/// What the blocking part of making or verifying needs.
pub(crate) struct Worker {
    pub(crate) node: Node,
    pub(crate) plan: ServicePlan,
    pub(crate) snapshot: Snapshot,
    pub(crate) mode: Option<MatchMode>,
    pub(crate) window_rows: usize,
    pub(crate) progress: OnProgress,
    pub(crate) caller: Caller,
}

impl Worker {
    /// Stores the spine and the output, and says what to record.
    fn draft(
        &self,
        request: DatasetRequest,
        intake: &SpineIntake,
        upload: &Upload,
        blobs: &NewBlobs,
    ) -> Result<CreateDataset> {
        let spine = self.store_spine(intake, upload, &request, blobs)?;
        let Output { columns, files, matches } = self.store_output(&spine, blobs)?;
        Ok(CreateDataset {
            project: self.plan.service.project.clone(),
            name: request.name,
            service: self.plan.service.name.clone(),
            service_version: self.plan.service.version,
            mode: self.mode,
            snapshot: self.snapshot.at(),
            rows: spine.rows,
            spine,
            columns,
            files,
            matches,
        })
    }

    fn store_spine(
        &self,
        intake: &SpineIntake,
        upload: &Upload,
        request: &DatasetRequest,
        blobs: &NewBlobs,
    ) -> Result<SpineDraft> {
        let mut batches = intake.open(&ForeignFile::open_as(upload.path(), &request.spine_path)?)?;
        let schema = batches.schema().clone();
        let mut writer = TableWriter::new(blobs, schema.clone())?;
        let mut hashes = ColumnHashes::new(&schema)?;
        let total = Some(upload.info.bytes);
        let hash: Taker<'_> = Box::new(|batch| hashes.update(batch));
        let store: Taker<'_> = Box::new(|batch| writer.push(batch));
        feed(vec![hash, store], |taking| {
            while let Some(batch) = batches.next() {
                self.caller.check()?;
                if !taking.give(&batch?) {
                    break;
                }
                let done = batches.bytes_read();
                (self.progress)(Progress { phase: "storing the spine", done, total, unit: "bytes" });
            }
            Ok(())
        })?;
        let (info, rows) = writer.finish()?;
        Ok(SpineDraft {
            physical: info.hash,
            bytes: info.bytes,
            rows,
            time_column: request.time_column.clone(),
            columns: hashes.finish(),
        })
    }

    /// Joins, hashes and stores the whole training set.
    fn store_output(&self, spine: &SpineDraft, blobs: &NewBlobs) -> Result<Output> {
        let assembly = Assembly::open(self, spine)?;
        let schema = assembly.schema().clone();
        let mut hashes = ColumnHashes::new(&schema)?;
        let mut files = Vec::new();
        let mut writer: Option<TableWriter> = None;
        let mut end = |table: TableWriter| -> Result<()> {
            let (info, rows) = table.finish()?;
            files.push(FileDraft { physical: info.hash, bytes: info.bytes, rows });
            Ok(())
        };
        let hash: Taker<'_> = Box::new(|batch| hashes.update(batch));
        let store: Taker<'_> = Box::new(|batch| {
            let table = match writer.as_mut() {
                Some(table) => table,
                None => writer.insert(TableWriter::new(blobs, schema.clone())?),
            };
            table.push(batch)?;
            if table.rows() >= FILE_ROWS
                && let Some(full) = writer.take()
            {
                end(full)?;
            }
            Ok(())
        });
        let found = assembly.run("joining and storing", vec![hash, store])?;
        if let Some(rest) = writer {
            end(rest)?;
        }
        let views = self.plan.views.iter().map(|view| view.alias.clone());
        let matches =
            views.zip(found).map(|(alias, Found { filled, expired })| ViewMatches { alias, filled, expired });
        Ok(Output { columns: hashes.finish(), files, matches: matches.collect() })
    }

    /// Says how many rows are done, to a caller who is still there.
    ///
    /// # Errors
    /// The caller went away.
    pub(crate) fn report(&self, phase: &'static str, done: u64, total: u64) -> Result<()> {
        self.caller.check()?;
        (self.progress)(Progress { phase, done, total: Some(total), unit: "rows" });
        Ok(())
    }
}

/// Names a stored blob in messages.
pub(crate) fn blob_name(hash: &Hash) -> String {
    format!("blob {hash}")
}
