//! Erasing texts for good: first the record that they are erased, then the texts.
//!
//! A node that stops in between erases what is recorded when it starts again, before it serves; so does one that was
//! restored with older texts. Erasing again changes nothing.

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
        Ok(Erased { node: node.id, texts, records: Vec::new() })
    }

    /// Erases texts of a node, and records that they are, by whom. Every id and every proof stays as it is.
    ///
    /// # Errors
    /// As [`Node::erasable`]; the disk refused, and then what is recorded is erased when the node starts again.
    pub async fn erase(&self, principal: &Principal, wanted: &NodeRef, what: &[String]) -> Result<Erased> {
        let mut erased = self.erasable(wanted, what)?;
        let fresh = erased.texts.iter().filter(|text| !text.before);
        let fresh: BTreeSet<Hash> = fresh.map(|text| text.text.commitment.0).collect();
        let fresh: Vec<Hash> = fresh.into_iter().collect();
        for texts in fresh.chunks(limits::COLLECTION_MEMBERS) {
            let texts = texts.iter().copied().collect();
            let command = MetaCommand::Erase(Erase { about: erased.node, texts });
            match self.propose_meta(principal, command).await?.0 {
                MetaReply::Erased { record } => erased.records.extend(record),
                other => return Err(Error::Internal(format!("unexpected reply {other:?}"))),
            }
        }
        self.finish_erasures().await?;
        self.sealed_texts().forget_given_up().await?;
        Ok(erased)
    }

    /// Erases the texts that the ledger says are erased, as far as they are here.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) async fn finish_erasures(&self) -> Result<()> {
        let erased: BTreeSet<Hash> =
            self.meta().read().ledger().erased().iter().map(|Sealed(commitment)| *commitment).collect();
        let Erasure { erased: count, .. } = self.sealed_texts().erase(erased).await?;
        if count > 0 {
            tracing::info!(count, "sealed texts erased");
        }
        Ok(())
    }

    /// Forgets the texts that no record names: those of commands that recorded nothing, and whose process ended before
    /// it could give them up. Only before anybody seals one, and after everything in the log was applied.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) async fn forget_unnamed_texts(&self) -> Result<()> {
        let named: BTreeSet<Hash> = {
            let meta = self.meta().read();
            meta.ledger().records().flat_map(Record::sealed).map(|Sealed(commitment)| commitment).collect()
        };
        self.sealed_texts().forget_all_but(&named).await
    }
}
