//! Checking a whole store: every ledger entry, every record, every blob.

use std::collections::BTreeSet;

use lineate_ledger::{Entry, Record, Sealed, record::Kind};
use lineate_state::meta::DatasetState;
use lineate_types::{Name, VersionedName};

use crate::{
    Error, Node, Opened, Result,
    api::{OnProgress, Progress, StoreCheck},
};

impl Node {
    /// The named version of a training set, or its newest.
    ///
    /// # Errors
    /// There is none; the nearest name is offered.
    pub fn dataset(&self, project: &Name, wanted: &VersionedName) -> Result<DatasetState> {
        let meta = self.meta().read();
        let versions = meta.dataset_versions(project, &wanted.name);
        let found = match wanted.version {
            None => versions.last(),
            Some(version) => versions.iter().find(|state| state.version == version),
        };
        found.cloned().ok_or_else(|| {
            let known = meta.datasets().filter(|state| state.draft.project == *project);
            let names: Vec<&str> = known.map(|state| state.draft.name.as_str()).collect();
            let hint = match (versions.len(), Name::nearest(wanted.name.as_str(), names)) {
                (0, Some(near)) => format!("did you mean `{near}`?"),
                (0, None) => "`lineate dataset create` makes one".into(),
                (newest, _) => format!("its newest version is v{newest}"),
            };
            Error::NotFound(format!("dataset `{wanted}` does not exist in project `{project}`; {hint}"))
        })
    }

    /// Hashes everything again and compares it with what names it. Faults are collected, not returned as
    /// errors.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub async fn verify_store(&self, progress: OnProgress) -> Result<StoreCheck> {
        let mut check = StoreCheck::default();
        {
            let meta = self.meta().read();
            let ledger = meta.ledger();
            check.entries = ledger.size();
            check.root = ledger.tree().root();
            let leaves: Vec<Vec<u8>> = ledger.entries().iter().map(Entry::encode).collect();
            let mut rebuilt = lineate_ledger::MerkleLog::new();
            for leaf in &leaves {
                rebuilt.append(leaf);
            }
            if rebuilt.root() != ledger.tree().root() {
                check.faults.push("the ledger's tree does not follow from its entries".into());
            }
            for (entry, record) in ledger.entries().iter().zip(ledger.records()) {
                if record.id() != entry.record {
                    check.faults.push(format!("record {}: it hashes to {}", entry.record, record.id()));
                }
            }
            for entry in ledger.entries_of(Kind::Dataset) {
                if !meta.datasets().any(|dataset| dataset.record == entry.record) {
                    check.faults.push(format!("training set {} is recorded and not kept", entry.record));
                }
            }
        }
        let (node, progressed) = (self.clone(), progress.clone());
        let mut check =
            tokio::task::spawn_blocking(move || node.verify_sealed_texts(check, &progressed)).await?;
        let named: Vec<_> = self.named_blobs().into_iter().collect();
        let node = self.clone();
        tokio::task::spawn_blocking(move || {
            for (done, hash) in named.iter().enumerate() {
                progress(Progress {
                    phase: "hash blobs",
                    done: done as u64,
                    total: Some(named.len() as u64),
                    unit: "files",
                });
                match node.blobs().verify(hash) {
                    Ok(info) => check.bytes += info.bytes,
                    // It may have been compacted away meanwhile, and removed.
                    Err(_) if !node.named_blobs().contains(hash) => continue,
                    Err(error) => check.faults.push(error.to_string()),
                }
                check.blobs += 1;
            }
            Ok(check)
        })
        .await?
    }

    /// Opens every text that a record commits to. One that is damaged is a fault; one that was erased is none, and
    /// no proof depends on either.
    fn verify_sealed_texts(&self, mut check: StoreCheck, progress: &OnProgress) -> StoreCheck {
        let committed: BTreeSet<Sealed> = {
            let meta = self.meta().read();
            meta.ledger().records().flat_map(Record::sealed).collect()
        };
        let total = Some(committed.len() as u64);
        for (done, commitment) in (0..).zip(committed) {
            if done % TEXTS_REPORTED == 0 {
                progress(Progress { phase: "opening sealed texts", done, total, unit: "texts" });
            }
            match self.sealed_texts().open(commitment) {
                Ok(Opened::Text(_)) => check.texts += 1,
                Ok(Opened::Erased | Opened::Unknown) => check.texts_gone += 1,
                Err(error) => check.faults.push(format!("sealed text {commitment}: {error}")),
            }
        }
        check
    }
}

/// How many sealed texts are opened between two reports of progress.
const TEXTS_REPORTED: u64 = 1_024;
