//! Erasing texts for good: first the record that they are erased, then the texts.
//!
//! A node that stops in between erases what is recorded when it starts again, before it serves; so does one that was
//! restored with older texts. Where the disk is full it serves all the same, and tries again beside that; what is
//! recorded as erased is shown to nobody meanwhile ([`Node::open_text`]). Erasing again changes nothing.

use std::collections::BTreeSet;

use lineate_ledger::{Record, Sealed, graph::At};
use lineate_state::meta::{Erase, MetaCommand, MetaReply, Text};
use lineate_storage::sealed::Erasure;
use lineate_types::{Hash, NodeRef, Principal, limits};

use crate::{Error, Node, Result};

/// What is not erased unless it is asked for by this word: a name stands in all records of its principal.
const PRINCIPAL: &str = "principal";

/// Texts of a node that are erased, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The node.
    pub node: Hash,
    /// The texts.
    pub texts: Vec<ErasedText>,
    /// The records of the erasure; none where all were erased before, or nothing was done.
    pub records: Vec<Hash>,
    /// The commitments whose texts were not found here: they were never kept here, or lost by damage.
    pub not_found: BTreeSet<Hash>,
}

/// A text that is erased, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedText {
    /// The text.
    pub text: Text,
    /// Whether it was erased before.
    pub before: bool,
}

impl Node {
    /// The texts of a node that [`Node::erase`] would erase. `what` are words for texts (`owner`, `path`, `code`,
    /// `parameter`, `principal`); without any it is all but principals.
    ///
    /// # Errors
    /// There is no such node, or it has no such text.
    pub fn erasable(&self, wanted: &NodeRef, what: &[String]) -> Result<Erased> {
        let meta = self.meta().read();
        let node = meta.ledger().graph().resolve(wanted, None, At::Newest)?;
        let texts = meta.texts_of(&node.id);
        let known: BTreeSet<String> = texts.iter().map(|text| text.what.clone()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has {known}") };
        if let Some(missing) = what.iter().find(|word| !texts.iter().any(|text| text.what == **word)) {
            return Err(Error::NotFound(format!("{} has no text `{missing}`; {has}", node.title())));
        }
        let is_asked_for = |text: &Text| match what {
            [] => text.what != PRINCIPAL,
            words => words.contains(&text.what),
        };
        let texts: Vec<ErasedText> = texts
            .into_iter()
            .filter(is_asked_for)
            .map(|text| ErasedText { before: meta.ledger().erased().contains(&text.commitment), text })
            .collect();
        if texts.is_empty() {
            let named = "erased unless it is named";
            return Err(Error::NotFound(format!("{} has no text that is {named}; {has}", node.title())));
        }
        Ok(Erased { node: node.id, texts, records: Vec::new(), not_found: BTreeSet::new() })
    }

    /// Erases texts of a node, and records that they are, by whom. Every id and every proof stays as it is.
    ///
    /// # Errors
    /// As [`Node::erasable`]; or the disk refused after the erasure was recorded ([`Error::NotErased`]).
    pub async fn erase(&self, principal: &Principal, wanted: &NodeRef, what: &[String]) -> Result<Erased> {
        let mut erased = self.erasable(wanted, what)?;
        let fresh = erased.texts.iter().filter(|text| !text.before);
        let fresh: BTreeSet<Hash> = fresh.map(|text| text.text.commitment.0).collect();
        let in_order: Vec<Hash> = fresh.iter().copied().collect();
        for texts in in_order.chunks(limits::COLLECTION_MEMBERS) {
            let texts = texts.iter().copied().collect();
            let command = MetaCommand::Erase(Erase { about: erased.node, texts });
            match self.propose_meta(principal, command).await?.0 {
                MetaReply::Erased { record } => erased.records.extend(record),
                other => return Err(Error::Internal(format!("unexpected reply {other:?}"))),
            }
        }
        let finished = self.finish_erasures().await;
        let erasure = finished.map_err(|source| Error::NotErased { source: Box::new(source) })?;
        erased.not_found = erasure.unknown.into_iter().filter(|text| fresh.contains(text)).collect();
        for commitment in &erased.not_found {
            tracing::warn!(%commitment, "a text that is erased was not found here");
        }
        // Their files were written anew just now; if that fails they wait.
        if let Err(error) = self.sealed_texts().forget_given_up().await {
            tracing::warn!(%error, "texts that nothing names are forgotten later");
        }
        Ok(erased)
    }

    /// Erases the texts that the ledger says are erased, as far as they are here.
    ///
    /// # Errors
    /// The disk refused.
    async fn finish_erasures(&self) -> Result<Erasure> {
        let mut is_left = self.sealed_texts().erasing().lock().await;
        let erased: BTreeSet<Hash> =
            self.meta().read().ledger().erased().iter().map(|Sealed(commitment)| *commitment).collect();
        let finished = self.sealed_texts().erase(erased).await;
        *is_left = finished.is_err();
        let erasure = finished?;
        if erasure.erased > 0 {
            tracing::info!(count = erasure.erased, "sealed texts erased");
        }
        Ok(erasure)
    }

    /// Erases what the disk refused to erase before.
    ///
    /// # Errors
    /// It still refuses.
    pub(crate) async fn retry_erasures(&self) -> Result<()> {
        let is_left = *self.sealed_texts().erasing().lock().await;
        if is_left {
            self.finish_erasures().await?;
        }
        Ok(())
    }

    /// Before the node serves: erases the texts that the ledger says are erased, and forgets those that nothing names.
    /// What a full disk keeps from that is done later.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) async fn settle_texts(&self) -> Result<()> {
        let settled = async {
            self.finish_erasures().await?;
            self.forget_unnamed_texts().await
        };
        match settled.await {
            Err(error @ Error::Storage(lineate_storage::Error::Full { .. })) => {
                tracing::warn!(%error, "texts that are erased are hidden, and are still on the disk");
                self.changed().notify_one();
                Ok(())
            }
            other => other,
        }
    }

    /// Forgets the texts that no record names: those of commands that recorded nothing, and whose process ended before
    /// it could give them up. Only before anybody seals one, and after everything in the log was applied.
    ///
    /// # Errors
    /// The disk refused.
    async fn forget_unnamed_texts(&self) -> Result<()> {
        let named: BTreeSet<Hash> = {
            let meta = self.meta().read();
            meta.ledger().records().flat_map(Record::sealed).map(|Sealed(commitment)| commitment).collect()
        };
        self.sealed_texts().forget_all_but(&named).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };

    use lineate_storage::disk::MemDisk;
    use lineate_types::{ErrorKind, HasKind, NodeKind};

    use super::*;
    use crate::{DiskSpace, SystemClock, api::Options, maintenance::system};

    /// A disk with so many bytes left.
    struct Left(AtomicU64);

    impl DiskSpace for Left {
        fn available_bytes(&self, _: &Path) -> lineate_storage::Result<u64> {
            Ok(self.0.load(Ordering::SeqCst))
        }
    }

    async fn open(data_dir: &Path, left: &Arc<Left>, sealed: &MemDisk) -> Node {
        let options = Options {
            data_dir: data_dir.to_owned(),
            shards: Some(1),
            cache_bytes: 0,
            log_bytes: limits::LOG_BYTES,
            clock: Arc::new(SystemClock),
            disk: left.clone(),
        };
        Node::open_on(options, Arc::new(sealed.clone())).await.expect("the store opens")
    }

    fn owner(node: &Node) -> Option<String> {
        let (project, name) = ("p".parse().expect("a name"), "counters".parse().expect("a name"));
        node.annotations(NodeKind::View, &project, &name).owner
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn on_a_full_disk_an_erased_text_is_hidden_the_store_opens_and_the_text_goes_when_there_is_space() {
        let dir = tempfile::tempdir().expect("a directory");
        let (left, sealed) = (Arc::new(Left(AtomicU64::new(u64::MAX))), MemDisk::new());
        let node = open(dir.path(), &left, &sealed).await;
        let definitions = serde_json::from_value(serde_json::json!({
            "project": "p",
            "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
            "views": [{
                "name": "counters", "entity": "thing", "event_time": "happened", "owner": "zq-owner",
                "features": [{"name": "value", "type": "int64"}]
            }]
        }));
        node.apply(&system(), &definitions.expect("valid"), false).await.expect("applies");
        let is_there = || {
            let file = dir.path().join("sealed/texts-000001");
            sealed.bytes(&file).is_some_and(|bytes| bytes.windows(8).any(|window| window == b"zq-owner"))
        };
        assert!(is_there() && owner(&node).as_deref() == Some("zq-owner"));

        left.0.store(limits::RESERVED_DISK_BYTES - 1, Ordering::SeqCst);
        sealed.set_capacity(Some(0));
        let view = "view:counters".parse().expect("a node");
        let refused = node.erase(&system(), &view, &["owner".into()]).await.expect_err("no space");
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "{refused}");
        assert!(refused.to_string().starts_with("the erasure is recorded"), "{refused}");
        assert!(is_there() && owner(&node).as_deref() == Some("(erased)"));
        node.shutdown().await.expect("stops");
        drop(node);

        let node = open(dir.path(), &left, &sealed).await;
        assert!(is_there() && owner(&node).as_deref() == Some("(erased)"));
        sealed.set_capacity(None);
        let begun = Instant::now();
        while is_there() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it stays");
            tokio::task::yield_now().await;
        }
        node.shutdown().await.expect("stops");
    }
}
