//! Nodes: what the graph knows of a record, enough to name and label it.

use std::fmt;

use lineate_types::{Hash, Name, NodeKind, TimestampUs};

use super::Graph;
use crate::{
    Error, Result,
    record::{Assertion, Collection, Erasure, Evaluation, Kind, Load, Promotion, Record, Run, Seal, Source},
};

/// A record in the graph, or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The id of the record; for an agent, the commitment to who it is.
    pub id: Hash,
    /// The kind of record; none for an agent.
    pub kind: Option<Kind>,
    /// The sequence number of its entry; for an agent, of the first that names it.
    pub seq: u64,
    /// The commit time of that entry.
    pub commit_time: TimestampUs,
    /// The project; none for an agent.
    pub project: Option<Name>,
    /// The name it can be found by: its own, `l` and the number of a load, the job of a run, the alias of a
    /// promotion, the model of an evaluation.
    pub name: Option<Name>,
    /// The version of the name. Runs of a job and promotions of an alias are counted from 1 in log order; an
    /// evaluation has its model's.
    pub version: Option<u32>,
    /// The rows it stands for.
    pub rows: Option<u64>,
    /// Of a source: the hash of its file's content, by which it can be found.
    pub file: Option<Hash>,
    /// What tells it from others of its kind that have no name: a seal's shard, an assertion's predicate,
    /// the size of a collection.
    pub detail: Option<String>,
}

impl Node {
    pub(super) const fn agent(id: Hash, seq: u64, commit_time: TimestampUs) -> Self {
        Self {
            id,
            kind: None,
            seq,
            commit_time,
            project: None,
            name: None,
            version: None,
            rows: None,
            file: None,
            detail: None,
        }
    }

    /// The kind of node people name it by; none for records found by id only.
    pub const fn node_kind(&self) -> Option<NodeKind> {
        match self.kind {
            Some(kind) => kind.node_kind(),
            None => Some(NodeKind::Agent),
        }
    }

    /// The word for its kind.
    pub const fn word(&self) -> &'static str {
        match (self.node_kind(), self.kind) {
            (Some(kind), _) => kind.as_str(),
            (None, Some(kind)) => kind.as_str(),
            (None, None) => NodeKind::Agent.as_str(),
        }
    }

    /// `dataset:flights/delays@v3`; a file by its content, `source:b3:1234abcd5678`; without a name, the word and what
    /// tells it apart: `seal shard 3`.
    pub fn title(&self) -> String {
        let word = self.word();
        if let Some(file) = self.file {
            return format!("{word}:b3:{}", file.short());
        }
        match (&self.project, &self.name, self.version, &self.detail) {
            (Some(project), Some(name), Some(version), _) => format!("{word}:{project}/{name}@v{version}"),
            (Some(project), Some(name), None, _) => format!("{word}:{project}/{name}"),
            (_, _, _, Some(detail)) => format!("{word} {detail}"),
            _ => word.to_owned(),
        }
    }
}

/// The label of a node: `dataset:flights/delays@v3  336,776 rows  b3:1234abcd5678`.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        if let Some(rows) = self.rows {
            write!(f, "  {} {}", grouped(rows), if rows == 1 { "row" } else { "rows" })?;
        }
        write!(f, "  b3:{}", self.id.short())
    }
}

/// A number with a comma after every three digits from the right.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Graph {
    /// The node of a record that is about to be added, under the name it will be found by.
    pub(super) fn describe(
        &self,
        seq: u64,
        commit_time: TimestampUs,
        record: &Record,
        id: Hash,
    ) -> Result<Node> {
        let project = record.project();
        let (name, version) = match record {
            Record::Load(Load { load_id, .. }) => (Name::new(format!("l{load_id}")).ok(), None),
            Record::Run(Run { job, .. }) => {
                (Some(job.clone()), Some(self.next_version(NodeKind::Run, project, job)))
            }
            Record::Promotion(Promotion { alias, .. }) => {
                (Some(alias.clone()), Some(self.next_version(NodeKind::Deployment, project, alias)))
            }
            Record::Evaluation(Evaluation { model, .. }) => match self.node(*model) {
                Some(model) => (model.name.clone(), model.version),
                None => (None, None),
            },
            _ => match record.name() {
                Some((_, name, version)) => (Some(name.clone()), Some(version)),
                None => (None, None),
            },
        };
        let detail = match record {
            Record::Seal(Seal { shard, .. }) => Some(format!("shard {shard}")),
            Record::Assertion(Assertion { predicate, .. }) => Some(predicate.to_string()),
            Record::Collection(Collection { members, .. }) => {
                Some(format!("of {} inputs", grouped(members.len() as u64)))
            }
            Record::Erasure(Erasure { texts, .. }) => {
                let texts = texts.len() as u64;
                Some(format!("of {} {}", grouped(texts), if texts == 1 { "text" } else { "texts" }))
            }
            _ => None,
        };
        let node = Node {
            id,
            kind: Some(record.kind()),
            seq,
            commit_time,
            project: Some(project.clone()),
            name,
            version,
            rows: record.rows(),
            file: match record {
                Record::Source(Source { physical_hash, .. }) => Some(*physical_hash),
                _ => None,
            },
            detail,
        };
        let shares_its_name = matches!(record, Record::Evaluation(_));
        match self.named_like(&node) {
            Some(existing) if !shares_its_name => Err(Error::DuplicateName { node: node.title(), existing }),
            _ => Ok(node),
        }
    }

    /// The number of the next version of a name whose versions are counted.
    fn next_version(&self, kind: NodeKind, project: &Name, name: &Name) -> u32 {
        let names = self.by_name.get(&(kind, project.clone()));
        let last = names.and_then(|names| names.get(name)).and_then(|versions| versions.keys().next_back());
        last.map_or(1, |last| last.saturating_add(1))
    }

    /// The record that has the kind, project, name and version of this node.
    fn named_like(&self, node: &Node) -> Option<Hash> {
        let names = self.by_name.get(&(node.node_kind()?, node.project.clone()?))?;
        let slots = names.get(node.name.as_ref()?)?.get(&node.version.unwrap_or(1))?;
        slots.first().and_then(|slot| self.at_slot(*slot)).map(|place| place.node.id)
    }
}
