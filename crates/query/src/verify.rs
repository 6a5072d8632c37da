//! Verifying a training set: the join is run again from the segments, and every hash compared.

use lineate_ledger::merkle::TreeHash;
use lineate_node::{Caller, Node, api::OnProgress};
use lineate_state::meta::{CONTRACT_VERSION, ColumnDraft, CreateDataset, DatasetState};
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
    /// The entries of the ledger that the training set was looked up in.
    pub ledger_size: u64,
    /// The RFC 9162 root over them.
    pub ledger_root: TreeHash,
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
/// The training set does not exist, was made by a contract this release does not know, or its spine or a segment is
/// missing or damaged. A difference, and a damaged file of the output, is no error: the report says what it is.
pub async fn verify(
    node: &Node,
    principal: &Principal,
    project: Option<&Name>,
    name: &VersionedName,
    progress: OnProgress,
) -> Result<VerifyReport> {
    let project = node.meta().read().catalog().project(project).map_err(lineate_node::Error::from)?;
    let dataset = node.dataset(&project, name)?;
    by_a_known_contract(&dataset)?;
    let (verifier, principal) = (node.clone(), principal.clone());
    node.work(|caller| async move { check(&verifier, &principal, dataset, progress, caller).await }).await
}

/// Refuses a training set that was made by other rules than these: what they would give now says nothing of it.
fn by_a_known_contract(dataset: &DatasetState) -> Result<()> {
    match dataset.contract_version {
        CONTRACT_VERSION => Ok(()),
        found => {
            let DatasetState { version, draft: CreateDataset { project, name, .. }, .. } = dataset;
            Err(Error::Contract { dataset: format!("{project}/{name}@v{version}"), found })
        }
    }
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
    let (ledger_size, ledger_root) = {
        let meta = node.meta().read();
        (meta.ledger().size(), meta.ledger().tree().root())
    };
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
        Ok(VerifyReport { dataset, columns, files, ledger_size, ledger_root, verified })
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
        assembly.run("joining again", vec![Box::new(|batch| hashes.update(batch))])?;
        Ok(hashes.finish())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_state::meta::SpineDraft;
    use lineate_types::TimestampUs;

    use super::*;

    #[test]
    fn a_training_set_of_an_unknown_contract_is_refused() {
        let name = |text: &str| Name::new(text).expect("a name");
        let spine = SpineDraft {
            physical: Hash::of(b"spine"),
            bytes: 0,
            rows: 0,
            time_column: "t".to_owned(),
            columns: Vec::new(),
        };
        let draft = CreateDataset {
            project: name("flights"),
            name: name("delays"),
            service: name("delay_model"),
            service_version: 1,
            mode: None,
            snapshot: TimestampUs(0),
            spine,
            rows: 0,
            columns: Vec::new(),
            files: Vec::new(),
            matches: Vec::new(),
        };
        let (version, created, record) = (3, TimestampUs(0), Hash::of(b"record"));
        let mut dataset =
            DatasetState { version, record, created, contract_version: CONTRACT_VERSION, draft };
        assert!(by_a_known_contract(&dataset).is_ok());
        dataset.contract_version = 2;
        let refused = by_a_known_contract(&dataset).expect_err("unknown").to_string();
        expect!["dataset flights/delays@v3 was made by version 2 of the point-in-time contract; this release knows version 1, verify with the one that made it"]
            .assert_eq(&refused);
    }
}
