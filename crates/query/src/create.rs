//! Making a training set.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef, TimestampMicrosecondType},
};
use lineate_node::{
    Node, ServicePlan, Snapshot, Upload,
    api::{OnProgress, Progress, Versioned},
};
use lineate_segment::intake::{ForeignFile, SpineIntake};
use lineate_state::meta::{ColumnDraft, CreateDataset, FileDraft, MetaCommand, SpineDraft};
use lineate_types::{Hash, HistoryId, MatchMode, Name, Principal, TimestampUs, VersionedName};

use crate::{
    Error, Result,
    columns::ColumnHashes,
    files::{TableWriter, read_table},
    join::{Joined, SpineKeys, join},
};

/// Rows of one stored file of a training set.
const FILE_ROWS: u64 = 4 * 1024 * 1024;
/// Rows of one spine: row numbers are 32 bits.
const SPINE_ROWS: usize = u32::MAX as usize - 1;

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
    let worker = Worker { node: node.clone(), plan: plan.clone(), snapshot, mode: request.mode, progress };
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
            if rows > SPINE_ROWS as u64 {
                return Err(Error::ResourceExhausted(format!(
                    "the spine has more than {SPINE_ROWS} rows; make several training sets"
                )));
            }
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
        let joined = self.join(spine)?;
        let (schema, batches) = read_table(self.node.blobs().as_ref(), &spine.physical)?;
        let output = output_schema(&schema, &self.plan);
        let mut hashes = ColumnHashes::new(&output)?;
        let mut files = Vec::new();
        let mut writer: Option<TableWriter> = None;
        let mut done = 0;
        let blobs = self.node.blobs().as_ref();
        for batch in batches {
            let batch = batch?;
            let rows = done..done + batch.num_rows();
            let batch = beside(&output, &batch, &joined.rows(&self.plan, rows)?)?;
            hashes.update(&batch)?;
            let table = match writer.as_mut() {
                Some(table) => table,
                None => writer.insert(TableWriter::new(blobs, output.clone())?),
            };
            table.push(&batch)?;
            done += batch.num_rows();
            self.report("store training set", done as u64, Some(spine.rows));
            if table.rows() >= FILE_ROWS
                && let Some(full) = writer.take()
            {
                files.push(file(full)?);
            }
        }
        if let Some(rest) = writer {
            files.push(file(rest)?);
        }
        Ok((hashes.finish(), files))
    }

    /// Joins the stored spine with the service.
    pub(crate) fn join(&self, spine: &SpineDraft) -> Result<Joined> {
        let keys = self.spine_keys(spine)?;
        join(&self.snapshot, &self.plan, self.mode, &keys, self.node.shards(), &self.progress)
    }

    fn spine_keys(&self, spine: &SpineDraft) -> Result<SpineKeys> {
        let (schema, batches) = read_table(self.node.blobs().as_ref(), &spine.physical)?;
        let time = schema.index_of(&spine.time_column)?;
        let mut keys = SpineKeys { times: Vec::new(), keys: vec![Vec::new(); self.plan.views.len()] };
        for batch in batches {
            let batch = batch?;
            let times = batch.column(time).as_primitive::<TimestampMicrosecondType>();
            keys.times.extend(times.values().iter().map(|time| TimestampUs(*time)));
            for (view, keys) in self.plan.views.iter().zip(&mut keys.keys) {
                keys.extend(view.keys(&batch)?);
            }
        }
        Ok(keys)
    }

    pub(crate) fn report(&self, phase: &'static str, done: u64, total: Option<u64>) {
        (self.progress)(Progress { phase, done, total, unit: "rows" });
    }
}

fn file(writer: TableWriter) -> Result<FileDraft> {
    let (info, rows) = writer.finish()?;
    Ok(FileDraft { physical: info.hash, bytes: info.bytes, rows })
}

/// The spine's columns, then the features.
pub(crate) fn output_schema(spine: &Schema, plan: &ServicePlan) -> SchemaRef {
    let fields = spine.fields().iter().chain(plan.output.fields().iter()).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Two tables of equal length side by side.
pub(crate) fn beside(schema: &SchemaRef, left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch> {
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Names a stored blob in messages.
pub(crate) fn blob_name(hash: &Hash) -> String {
    format!("blob {hash}")
}
