//! Making a training set.

use lineate_node::{
    Node, ServicePlan, Snapshot, Upload,
    api::{OnProgress, Progress, Versioned},
};
use lineate_segment::intake::{ForeignFile, SpineIntake};
use lineate_state::meta::{ColumnDraft, CreateDataset, FileDraft, MetaCommand, SpineDraft};
use lineate_types::{Hash, HistoryId, MatchMode, Name, Principal, TimestampUs, VersionedName, limits};

use crate::{Result, assembly::Assembly, columns::ColumnHashes, files::TableWriter};

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
/// result.
///
/// # Errors
/// The spine does not fit the service, or a segment is damaged; nothing is recorded then.
pub async fn create(
    node: &Node,
    principal: &Principal,
    request: DatasetRequest,
    progress: OnProgress,
) -> Result<DatasetReport> {
    let plan = node.service_plan(request.project.as_ref(), &request.service)?;
    let upload = node.uploads().take(request.spine)?;
    let intake = spine_intake(&plan, &request.time_column)?;
    let snapshot = node.snapshot(principal, request.snapshot, &histories(&plan)).await?;
    let worker = Worker {
        node: node.clone(),
        plan,
        snapshot,
        mode: request.mode,
        window_rows: request.window_rows.clamp(1, limits::TRAINING_WINDOW_ROWS),
        progress,
    };
    let (spine_path, time_column) = (request.spine_path.clone(), request.time_column.clone());
    let (draft, _snapshot) = tokio::task::spawn_blocking(move || -> Result<_> {
        let spine = worker.store_spine(&intake, &upload, &spine_path, &time_column)?;
        let (columns, files) = worker.store_output(&spine)?;
        let draft = CreateDataset {
            project: worker.plan.service.project.clone(),
            name: request.name,
            service: worker.plan.service.name.clone(),
            service_version: worker.plan.service.version,
            mode: worker.mode,
            snapshot: worker.snapshot.at(),
            rows: spine.rows,
            spine,
            columns,
            files,
        };
        Ok((draft, worker.snapshot))
    })
    .await??;
    let command = MetaCommand::CreateDataset(draft.clone());
    let versioned = node.versioned(principal, command, draft.project.clone(), draft.name.clone()).await?;
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

/// What the blocking part of making or verifying needs.
pub(crate) struct Worker {
    pub(crate) node: Node,
    pub(crate) plan: ServicePlan,
    pub(crate) snapshot: Snapshot,
    pub(crate) mode: Option<MatchMode>,
    pub(crate) window_rows: usize,
    pub(crate) progress: OnProgress,
}

impl Worker {
    fn store_spine(
        &self,
        intake: &SpineIntake,
        upload: &Upload,
        path: &str,
        time_column: &str,
    ) -> Result<SpineDraft> {
        let batches = intake.open(&ForeignFile::open_as(upload.path(), path)?)?;
        let schema = batches.schema().clone();
        let mut writer = TableWriter::new(self.node.blobs().as_ref(), schema.clone())?;
        let mut hashes = ColumnHashes::new(&schema)?;
        let mut rows = 0;
        for batch in batches {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            hashes.update(&batch)?;
            writer.push(&batch)?;
            self.report("store spine", rows, None);
        }
        let (info, rows) = writer.finish()?;
        Ok(SpineDraft {
            physical: info.hash,
            bytes: info.bytes,
            rows,
            time_column: time_column.to_owned(),
            columns: hashes.finish(),
        })
    }

    /// Joins, hashes and stores the whole training set.
    fn store_output(&self, spine: &SpineDraft) -> Result<(Vec<ColumnDraft>, Vec<FileDraft>)> {
        let assembly = Assembly::open(self, spine)?;
        let schema = assembly.schema().clone();
        let blobs = self.node.blobs().as_ref();
        let mut hashes = ColumnHashes::new(&schema)?;
        let mut files = Vec::new();
        let mut writer: Option<TableWriter> = None;
        assembly.run("store training set", |batch| {
            hashes.update(batch)?;
            let table = match writer.as_mut() {
                Some(table) => table,
                None => writer.insert(TableWriter::new(blobs, schema.clone())?),
            };
            table.push(batch)?;
            if table.rows() >= FILE_ROWS
                && let Some(full) = writer.take()
            {
                files.push(file(full)?);
            }
            Ok(())
        })?;
        if let Some(rest) = writer {
            files.push(file(rest)?);
        }
        Ok((hashes.finish(), files))
    }

    pub(crate) fn report(&self, phase: &'static str, done: u64, total: Option<u64>) {
        (self.progress)(Progress { phase, done, total, unit: "rows" });
    }
}

fn file(writer: TableWriter) -> Result<FileDraft> {
    let (info, rows) = writer.finish()?;
    Ok(FileDraft { physical: info.hash, bytes: info.bytes, rows })
}

/// Names a stored blob in messages.
pub(crate) fn blob_name(hash: &Hash) -> String {
    format!("blob {hash}")
}
