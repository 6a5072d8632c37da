//! Which blobs of a node are needed, and the removal of the others ([`lineate_storage::blob::Keeper`] says how that is
//! safe).
//!
//! Checkpoints are written without a lease: each holds the index it was taken at, so that one that was replaced is
//! never written again.

use std::collections::BTreeSet;

use lineate_storage::blob::Lease;
use lineate_types::Hash;

use crate::{Error, Node, Result};

impl Node {
    /// To write blobs that a command is to name ([`Self::name_blobs`]).
    pub fn lease_blobs(&self) -> Lease {
        self.keeper().lease()
    }

    /// Runs a command that names blobs. Where it is refused they are given up; where nobody knows what becomes of it,
    /// they stay until the store is opened again.
    ///
    /// # Errors
    /// Those of the command.
    pub async fn name_blobs<T>(&self, lease: &Lease, naming: impl Future<Output = Result<T>>) -> Result<T> {
        lease.begin_naming();
        let outcome = naming.await;
        match &outcome {
            Ok(_) => lease.named(),
            Err(error) if error.leaves_open() => {}
            Err(_) => lease.give_up(),
        }
        outcome
    }

    /// Removes what waits to be removed, unless something names it or somebody is about to open it: that is looked at
    /// again later.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) async fn remove_blobs(&self) -> Result<()> {
        if !self.keeper().is_waiting() {
            return Ok(());
        }
        let node = self.clone();
        tokio::task::spawn_blocking(move || {
            node.keeper().remove(|| node.named_blobs(), |blob| node.segments().forget(blob))
        })
        .await??;
        Ok(())
    }

    /// Removes every blob that nothing names. Only before anybody reads or writes.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) async fn remove_all_unnamed_blobs(&self) -> Result<()> {
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
}

impl Error {
    /// Whether a command that failed so may be applied all the same, now or later.
    pub fn leaves_open(&self) -> bool {
        use lineate_consensus::Error::{Failed, OutcomeUnknown, Stopped};
        matches!(self, Self::Consensus(OutcomeUnknown { .. } | Stopped | Failed { .. }))
    }
}
