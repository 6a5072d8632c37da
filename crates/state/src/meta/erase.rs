//! Erasing texts that records commit to: which texts are a node's, and the record of an erasure.
//!
//! The texts themselves are no part of the state. What is recorded here every node then erases from its own files.

use std::collections::BTreeSet;

use lineate_ledger::{
    Record, Sealed,
    graph::{At, Direction},
    record::{Erasure, Run},
};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, Name, NodeRef, VersionedName};

use super::{
    MetaMachine,
    command::{Erase, MetaReply},
    ledger_state::sealed,
};
use crate::{Error, Position, Result};

/// A text of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it says: `owner`, `path`, `code`, `parameter`, `principal` and the like.
    pub what: String,
    /// Which of several: the name of a parameter.
    pub of: Option<String>,
    /// The commitment to it.
    pub commitment: Sealed,
    /// The record that commits to it; for an agent, the commitment itself.
    pub record: Hash,
}

impl MetaMachine {
    /// The texts of a node: those that its record commits to, those of the run that made a model, the paths of the
    /// files of a load, and what was ever asserted about any version of a view or service; of an agent its name.
    pub fn texts_of(&self, node: &Hash) -> Vec<Text> {
        let Some(record) = self.ledger.record(node) else {
            let agent = self.ledger.graph().node(*node).filter(|node| node.kind.is_none());
            let name =
                |_| Text { what: "principal".into(), of: None, commitment: Sealed(*node), record: *node };
            return agent.map(name).into_iter().collect();
        };
        let mut texts = Vec::new();
        own(record, *node, &mut texts);
        let behind: &[Hash] = match record {
            Record::Load(load) => &load.sources,
            Record::Model(model) => std::slice::from_ref(&model.run),
            _ => &[],
        };
        for id in behind {
            if let Some(record) = self.ledger.record(id) {
                own(record, *id, &mut texts);
            }
        }
        for version in self.versions_of(record, *node) {
            for (entry, assertion) in self.ledger.assertions_about(&version) {
                texts.extend(assertion.value.map(|commitment| Text {
                    what: assertion.predicate.to_string(),
                    of: None,
                    commitment,
                    record: entry.record,
                }));
            }
        }
        if let Some(commitment) = record.principal() {
            texts.push(Text { what: "principal".into(), of: None, commitment, record: *node });
        }
        texts
    }

    /// The records of all versions of a view or service: what is asserted belongs to the name. Of others, itself.
    fn versions_of(&self, record: &Record, id: Hash) -> Vec<Hash> {
        let (Record::View(_) | Record::Service(_), Some((project, name, _)), Some(kind)) =
            (record, record.name(), record.node_kind())
        else {
            return vec![id];
        };
        let version = |version: Option<u32>| {
            let name = VersionedName { name: name.clone(), version };
            let node = NodeRef::Named { kind, project: Some(project.clone()), name };
            self.ledger.graph().resolve(&node, None, At::Newest).ok()
        };
        let newest = version(None).and_then(|node| node.version).unwrap_or(0);
        (1..=newest).filter_map(|number| version(Some(number))).map(|node| node.id).collect()
    }

    /// Records that texts are erased, unless they all were before.
    pub(super) fn erase(
        &mut self,
        at: Position,
        agent: Hash,
        erase: Erase,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let Erase { about, texts } = erase;
        let project = self.project_of(&about)?;
        let known: BTreeSet<Hash> = self.texts_of(&about).iter().map(|text| text.commitment.0).collect();
        if let Some(foreign) = texts.difference(&known).next() {
            return Err(Error::Invalid(format!("{foreign} is no text of {about}; nothing was erased")));
        }
        let texts: BTreeSet<Sealed> =
            texts.into_iter().map(sealed).filter(|text| !self.ledger.erased().contains(text)).collect();
        if texts.is_empty() {
            return Ok(MetaReply::Erased { record: None });
        }
        let record = Record::Erasure(Erasure { project, about, texts, principal: sealed(agent) });
        let record = self.ledger.append(&record, at.commit_time, batch)?;
        Ok(MetaReply::Erased { record: Some(record) })
    }

    /// The project of a record; of an agent, that of the first record that names it.
    fn project_of(&self, node: &Hash) -> Result<Name> {
        let graph = self.ledger.graph();
        let first = || graph.edges(*node, Direction::Down, At::Newest).next();
        let project = |id: &Hash| self.ledger.record(id).map(Record::project).cloned();
        project(node).or_else(|| project(&first()?.target)).ok_or_else(|| Error::NotFound {
            what: "record".into(),
            name: node.to_string(),
            hint: String::new(),
        })
    }
}

/// The texts that a record itself commits to, but for its principal.
fn own(record: &Record, id: Hash, texts: &mut Vec<Text>) {
    let mut add = |what: &str, of: Option<&String>, commitment: Sealed| {
        texts.push(Text { what: what.to_owned(), of: of.cloned(), commitment, record: id });
    };
    match record {
        Record::Source(source) => add("path", None, source.path),
        Record::Run(Run { code, parameters, .. }) => {
            code.iter().for_each(|code| add("code", None, *code));
            parameters.iter().for_each(|(name, value)| add("parameter", Some(name), *value));
        }
        Record::Assertion(assertion) => {
            assertion.value.iter().for_each(|value| add(assertion.predicate.as_str(), None, *value));
        }
        _ => {}
    }
}
