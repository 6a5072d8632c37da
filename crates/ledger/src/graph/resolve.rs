//! From what people write to nodes: `dataset:delays`, `model:flights/m@v2`, `b3:…`.

use std::collections::{BTreeMap, BTreeSet};

use lineate_types::{Name, NodeKind, NodeRef};

use super::{At, Graph, Node, Slot};
use crate::{Error, Result};

impl Graph {
    /// The node a reference names among the entries asked for: with a version that one, without the newest.
    /// `job:NAME` is the newest run of the job. A reference without a project means the default project, and
    /// without one the only project there is.
    ///
    /// # Errors
    /// [`Error::UnknownNode`] says what is near; [`Error::AmbiguousProject`].
    pub fn resolve(&self, node: &NodeRef, default_project: Option<&Name>, at: At) -> Result<&Node> {
        let size = self.size_at(at);
        match node {
            NodeRef::Id(id) => {
                let found = self.node(*id).ok_or_else(|| unknown(node, String::new()))?;
                if found.seq < size { Ok(found) } else { Err(unknown(node, not_yet(found))) }
            }
            NodeRef::Named { kind: NodeKind::Agent, .. } => {
                Err(unknown(node, "; agents are sealed, give the commitment as b3:HEX".to_owned()))
            }
            NodeRef::Named { kind, project, name } => {
                let project = match project.as_ref().or(default_project) {
                    Some(project) => project.clone(),
                    None => self.only_project(node)?,
                };
                let kind = if *kind == NodeKind::Job { NodeKind::Run } else { *kind };
                let Some(names) = self.by_name.get(&(kind, project.clone())) else {
                    return Err(unknown(node, self.other_projects(kind, &project)));
                };
                let Some(versions) = names.get(&name.name) else {
                    let near = Name::nearest(name.name.as_str(), names.keys().map(Name::as_str));
                    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    return Err(unknown(node, hint));
                };
                let slots = match name.version {
                    Some(version) => versions.get(&version),
                    None => versions.values().rev().find(|slots| self.newest(slots, size).is_some()),
                };
                match slots.and_then(|slots| self.newest(slots, size)) {
                    Some(found) => Ok(found),
                    None => Err(unknown(node, self.versions_hint(slots, versions, size))),
                }
            }
        }
    }

    /// The last of some nodes, in log order, that is within the first `size` entries.
    fn newest(&self, slots: &[Slot], size: u64) -> Option<&Node> {
        let within = slots.partition_point(|slot| self.is_within(*slot, size));
        let last = within.checked_sub(1).and_then(|last| slots.get(last))?;
        self.at_slot(*last).map(|place| &place.node)
    }

    fn only_project(&self, node: &NodeRef) -> Result<Name> {
        let projects: BTreeSet<&Name> = self.by_name.keys().map(|(_, project)| project).collect();
        let mut projects: Vec<Name> = projects.into_iter().cloned().collect();
        match (projects.pop(), projects.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                projects.push(last);
                Err(Error::AmbiguousProject { node: node.clone(), projects })
            }
            (None, _) => Err(unknown(node, "; nothing is recorded yet".to_owned())),
        }
    }

    fn other_projects(&self, kind: NodeKind, project: &Name) -> String {
        let known: BTreeSet<&str> = self.by_name.keys().map(|(_, project)| project.as_str()).collect();
        if known.contains(project.as_str()) {
            return format!("; project `{project}` has no {kind}");
        }
        match Name::nearest(project.as_str(), known) {
            Some(near) => format!("; there is no project `{project}`, did you mean `{near}`?"),
            None => format!("; there is no project `{project}`"),
        }
    }

    fn versions_hint(
        &self,
        slots: Option<&Vec<Slot>>,
        versions: &BTreeMap<u32, Vec<Slot>>,
        size: u64,
    ) -> String {
        let first = |slots: &Vec<Slot>| slots.first().and_then(|slot| self.at_slot(*slot));
        if let Some(place) = slots.and_then(first) {
            return not_yet(&place.node);
        }
        let visible: Vec<u32> = versions
            .iter()
            .filter(|(_, slots)| self.newest(slots, size).is_some())
            .map(|(version, _)| *version)
            .collect();
        match (visible.first(), visible.last()) {
            (Some(only), Some(last)) if only == last => format!("; it has version v{only} only"),
            (Some(oldest), Some(newest)) => format!("; it has versions v{oldest} to v{newest}"),
            _ => {
                versions.values().next().and_then(first).map(|place| not_yet(&place.node)).unwrap_or_default()
            }
        }
    }
}

fn unknown(node: &NodeRef, hint: String) -> Error {
    Error::UnknownNode { node: node.clone(), hint }
}

fn not_yet(node: &Node) -> String {
    format!(" at the point asked for; it was recorded at {} as entry {}", node.commit_time, node.seq)
}
