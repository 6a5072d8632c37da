//! Verifying a training set: the join is run again from the segments, and every hash compared.

use lineate_node::{Caller, Node, api::OnProgress};
use lineate_state::meta::{ColumnDraft, DatasetState};
use lineate_types::{Hash, Name, Principal, VersionedName, limits};

use crate::{
    Error, Result,
    assembly::Assembly,
    columns::ColumnHashes,
    create::{Worker, blob_name, histories},
};

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The training set.
    pub dataset: DatasetState,
    /// Each column, recorded and recomputed.
    pub columns: Vec<ColumnCheck>,
    /// Each stored file.
    pub files: Vec<FileCheck>,
    /// Whether everything is as recorded.
    pub verified: bool,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnCheck {
    /// The name.
    pub name: String,
    /// The logical hash that was recorded.
    pub recorded: Hash,
    /// The logical hash that the join gives now; none if the column is gone.
    pub recomputed: Option<Hash>,
}

/// One stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// Its blob.
    pub physical: Hash,
    /// What is wrong with it; none if its bytes hash to its name.
    pub fault: Option<String>,
}

impl ColumnCheck {
    /// Whether the column is as recorded.
    pub fn is_equal(&self) -> bool {
        self.recomputed == Some(self.recorded)
    }
}

/// Runs the join of a training set again from the segments, and compares the logical hash of every column with
/// what was recorded; then hashes the stored files again.
///
/// # Errors
/// The training set does not exist, or its spine or a segment is missing or damaged. A difference, and a
/// damaged file of the output, is no error: the report says what it is.
pub async fn verify(
    node: &Node,
    principal: &Principal,
    project: Option<&Name>,
    name: &VersionedName,
    progress: OnProgress,
) -> Result<VerifyReport> {
    let project = node.meta().read().catalog().project(project).map_err(lineate_node::Error::from)?;
    let dataset = node.dataset(&project, name)?;
    let (verifier, principal) = (node.clone(), principal.clone());
    node.work(|caller| async move { check(&verifier, &principal, dataset, progress, caller).await }).await
}

async fn check(
    node: &Node,
    principal: &Principal,
    dataset: DatasetState,
    progress: OnProgress,
    caller: Caller,
) -> Result<VerifyReport> {
    let project = dataset.draft.project.clone();
    let service =
        VersionedName { name: dataset.draft.service.clone(), version: Some(dataset.draft.service_version) };
    let plan = node.service_plan(Some(&project), &service)?;
    let snapshot = node.snapshot(principal, Some(dataset.draft.snapshot), &histories(&plan)).await?;
    let worker = Worker {
        node: node.clone(),
        plan,
        snapshot,
        mode: dataset.draft.mode,
        window_rows: limits::TRAINING_WINDOW_ROWS,
        progress,
        caller,
    };
    tokio::task::spawn_blocking(move || {
        let columns = worker.recompute(&dataset)?;
        let recomputed =
            |name: &str| columns.iter().find(|column| column.name == name).map(|column| column.logical);
        let columns: Vec<ColumnCheck> = dataset
            .draft
            .columns
            .iter()
            .map(|column| ColumnCheck {
                name: column.name.clone(),
                recorded: column.logical,
                recomputed: recomputed(&column.name),
            })
            .collect();
        let files: Vec<FileCheck> = dataset
            .draft
            .files
            .iter()
            .map(|file| {
                worker.caller.check()?;
                let fault = worker.node.blobs().verify(&file.physical).err().map(|error| error.to_string());
                Ok(FileCheck { physical: file.physical, fault })
            })
            .collect::<Result<_>>()?;
        let verified =
            columns.iter().all(ColumnCheck::is_equal) && files.iter().all(|file| file.fault.is_none());
        Ok(VerifyReport { dataset, columns, files, verified })
    })
    .await?
}

impl Worker {
    /// The columns that the join gives now, from the stored spine and the segments.
    fn recompute(&self, dataset: &DatasetState) -> Result<Vec<ColumnDraft>> {
        let spine = &dataset.draft.spine;
        let blobs = self.node.blobs().as_ref();
        blobs
            .verify(&spine.physical)
            .map_err(|error| Error::Spine(format!("{}: {error}", blob_name(&spine.physical))))?;
        let assembly = Assembly::open(self, spine)?;
        let mut hashes = ColumnHashes::new(assembly.schema())?;
        assembly.run("joining again", |batch| hashes.update(batch))?;
        Ok(hashes.finish())
    }
}
