//! Checking a whole store: every ledger entry, every record, every blob.

use std::collections::BTreeSet;

use lineate_ledger::{
    Sealed,
    merkle::{Frontier, TreeHash},
};
use lineate_state::meta::DatasetState;
use lineate_types::{Name, VersionedName};

use crate::{
    Caller, Error, Node, Opened, Result,
    api::{OnProgress, Progress, StoreCheck},
    ledger_entries::LedgerEntry,
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

    /// Hashes everything again and compares it with what names it: the ledger as it is now, whatever is added
    /// meanwhile. Faults are collected, not returned as errors.
    ///
    /// # Errors
    /// The store cannot be read at all, or the node stops.
    pub async fn verify_store(&self, progress: OnProgress) -> Result<StoreCheck> {
        let node = self.clone();
        let verify = move |caller: Caller| {
            let (mut check, committed) = node.verify_ledger(&caller, &progress)?;
            node.verify_sealed_texts(&mut check, committed, &caller, &progress)?;
            node.verify_blobs(&mut check, &caller, &progress)?;
            Ok(check)
        };
        self.work(|caller| async move { tokio::task::spawn_blocking(move || verify(caller)).await? }).await
    }

    /// Hashes the entries and records of the ledger, and gives the texts that they commit to.
    fn verify_ledger(
        &self,
        caller: &Caller,
        progress: &OnProgress,
    ) -> Result<(StoreCheck, BTreeSet<Sealed>)> {
        let (entries, root) = {
            let meta = self.meta().read();
            (meta.ledger().size(), meta.ledger().tree().root())
        };
        let (mut tree, mut committed) = (Frontier::default(), BTreeSet::new());
        let (mut other_hash, mut not_kept) = (Vec::new(), Vec::new());
        for (done, found) in (0..entries).zip(self.ledger_entries(0..entries)) {
            if done.is_multiple_of(REPORTED) {
                caller.check()?;
                let phase = "hashing ledger entries";
                progress(Progress { phase, done, total: Some(entries), unit: "entries" });
            }
            let LedgerEntry { entry, record, is_kept } = found;
            tree.append(TreeHash::leaf(&entry.encode()));
            let actual = record.id();
            if actual != entry.record {
                other_hash.push(format!("record {}: it hashes to {actual}", entry.record));
            }
            if !is_kept {
                not_kept.push(format!("training set {} is recorded and not kept", entry.record));
            }
            committed.extend(record.sealed());
        }
        let follows = tree.size() == entries && tree.root() == root;
        let unlike = (!follows).then(|| "the ledger's tree does not follow from its entries".to_owned());
        let faults = unlike.into_iter().chain(other_hash).chain(not_kept).collect();
        Ok((StoreCheck { entries, root, faults, ..StoreCheck::default() }, committed))
    }

    /// Opens every text that a record commits to. One that is damaged is a fault; one that was erased is none, and
    /// no proof depends on either.
    fn verify_sealed_texts(
        &self,
        check: &mut StoreCheck,
        committed: BTreeSet<Sealed>,
        caller: &Caller,
        progress: &OnProgress,
    ) -> Result<()> {
        let total = Some(committed.len() as u64);
        for (done, commitment) in (0_u64..).zip(committed) {
            if done.is_multiple_of(REPORTED) {
                caller.check()?;
                progress(Progress { phase: "opening sealed texts", done, total, unit: "texts" });
            }
            match self.open_text(commitment) {
                Ok(Opened::Text(_)) => check.texts += 1,
                Ok(Opened::Erased | Opened::Unknown) => check.texts_gone += 1,
                Err(error) => check.faults.push(format!("sealed text {commitment}: {error}")),
            }
        }
        Ok(())
    }

    fn verify_blobs(&self, check: &mut StoreCheck, caller: &Caller, progress: &OnProgress) -> Result<()> {
        let named = self.named_blobs();
        let total = Some(named.len() as u64);
        for (done, hash) in (0..).zip(&named) {
            caller.check()?;
            progress(Progress { phase: "hash blobs", done, total, unit: "files" });
            match self.blobs().verify(hash) {
                Ok(info) => check.bytes += info.bytes,
                // It may have been compacted away meanwhile, and removed.
                Err(_) if !self.named_blobs().contains(hash) => continue,
                Err(error) => check.faults.push(error.to_string()),
            }
            check.blobs += 1;
        }
        Ok(())
    }
}

/// How many entries are hashed, or sealed texts opened, between two reports of progress.
const REPORTED: u64 = 1_024;
