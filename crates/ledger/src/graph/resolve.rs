//! From what people write to nodes: `dataset:delays`, `model:flights/m@production`, `source:b3:…`, `b3:…`.

use std::collections::{BTreeMap, BTreeSet};

use lineate_types::{Hash, HashPrefix, Name, NodeKind, NodeRef, VersionedName, limits};

use super::{At, Direction, Graph, Node, Slot};
use crate::{Error, Result, record::Role};

/// What a reference names.
enum Target<'a> {
    Node(&'a Node),
    /// A file by the hash of its content: all sources that are it.
    File(Hash),
}

impl Graph {
    /// The node a reference names among the entries asked for: with a version that one, without the newest.
    /// `job:NAME` is the newest run of the job, a file is its newest source. A reference without a project means the
    /// default project, and without one the only project there is.
    ///
    /// # Errors
    /// [`Error::UnknownNode`] says what is near; [`Error::AmbiguousProject`]; [`Error::AmbiguousId`].
    pub fn resolve(&self, node: &NodeRef, default_project: Option<&Name>, at: At) -> Result<&Node> {
        let size = self.size_at(at);
        match self.target(node, default_project, size)? {
            Target::Node(found) => Ok(found),
            Target::File(file) => {
                let sources = self.by_file.get(&file);
                sources.and_then(|slots| self.newest(slots, size)).ok_or_else(|| unknown(node, String::new()))
            }
        }
    }

    /// Where a walk from a reference begins: the id of the node, or the hash of a file's content, from which a walk
    /// begins at all sources that are this file.
    ///
    /// # Errors
    /// As [`Graph::resolve`].
    pub fn start(&self, node: &NodeRef, default_project: Option<&Name>, at: At) -> Result<Hash> {
        Ok(match self.target(node, default_project, self.size_at(at))? {
            Target::Node(found) => found.id,
            Target::File(file) => file,
        })
    }

    /// The nodes that a walk from [`Graph::start`] begins at, among the first `size` entries.
    pub(super) fn starts(&self, start: Hash, size: u64) -> Vec<Slot> {
        let slots = match self.by_id.get(&start) {
            Some(slot) => std::slice::from_ref(slot),
            None => self.by_file.get(&start).map_or(&[][..], Vec::as_slice),
        };
        slots.iter().copied().filter(|slot| self.is_within(*slot, size)).collect()
    }

    fn target(&self, node: &NodeRef, default_project: Option<&Name>, size: u64) -> Result<Target<'_>> {
        match node {
            NodeRef::Id(id) => match self.node(*id) {
                Some(found) if found.seq < size => Ok(Target::Node(found)),
                Some(found) => Err(unknown(node, not_yet(found))),
                None if self.is_file(id, size) => Ok(Target::File(*id)),
                None => Err(unknown(node, String::new())),
            },
            NodeRef::Prefix(prefix) => {
                let nodes = self.by_id.range(prefix.range()).filter(|(_, slot)| self.is_within(**slot, size));
                let nodes =
                    nodes.filter_map(|(_, slot)| self.at_slot(*slot)).map(|place| Target::Node(&place.node));
                self.only(node, nodes.chain(self.files(prefix, size)).collect())
            }
            NodeRef::File(prefix) => self.only(node, self.files(prefix, size).collect()),
            NodeRef::Alias { project, model, alias } => {
                let named = VersionedName { name: model.clone(), version: None };
                let project = project.clone();
                let model = NodeRef::Named { kind: NodeKind::Model, project, name: named };
                let newest = self.named(&model, default_project, size)?;
                self.promoted(node, newest, alias, size).map(Target::Node)
            }
            NodeRef::Named { .. } => self.named(node, default_project, size).map(Target::Node),
        }
    }

    /// The files whose hash begins so.
    fn files(&self, prefix: &HashPrefix, size: u64) -> impl Iterator<Item = Target<'_>> {
        let files = self.by_file.range(prefix.range()).map(|(file, _)| *file);
        files.filter(move |file| self.is_file(file, size)).map(Target::File)
    }

    fn is_file(&self, hash: &Hash, size: u64) -> bool {
        self.by_file.get(hash).is_some_and(|slots| self.newest(slots, size).is_some())
    }

    /// The only one of what a prefix may mean.
    fn only<'a>(&self, node: &NodeRef, mut found: Vec<Target<'a>>) -> Result<Target<'a>> {
        if found.len() > 1 {
            let candidates = found.iter().take(limits::AMBIGUOUS_IDS).map(|target| match target {
                Target::Node(found) => format!("{} ({})", found.id, found.title()),
                Target::File(file) => format!("{}:{file}", NodeKind::Source),
            });
            let (candidates, count) = (candidates.collect(), found.len());
            return Err(Error::AmbiguousId { node: Box::new(node.clone()), count, candidates });
        }
        found.pop().ok_or_else(|| match node {
            NodeRef::File(_) => unknown(node, "; no file whose content has this hash was loaded".to_owned()),
            _ => unknown(node, String::new()),
        })
    }

    /// The version of a model that an alias points at: the model of the last promotion of the alias that is of the
    /// model's name.
    fn promoted(&self, node: &NodeRef, model: &Node, alias: &Name, size: u64) -> Result<&Node> {
        let key = model.project.clone().map(|project| (NodeKind::Deployment, project));
        let aliases = key.and_then(|key| self.by_name.get(&key));
        let of = |alias: &Name| {
            let promotions =
                aliases.and_then(|aliases| aliases.get(alias)).into_iter().flat_map(BTreeMap::values);
            let within = promotions.rev().flatten().filter(|slot| self.is_within(**slot, size));
            within
                .flat_map(|slot| self.arcs_of(*slot, Direction::Up, size))
                .filter(|(role, _)| *role == Role::Used)
                .filter_map(|(_, far)| self.at_slot(far))
                .map(|place| &place.node)
                .find(|promoted| promoted.name == model.name)
        };
        of(alias).ok_or_else(|| {
            let known = aliases.into_iter().flat_map(BTreeMap::keys).filter(|alias| of(alias).is_some());
            let known: Vec<&str> = known.take(limits::AMBIGUOUS_IDS).map(Name::as_str).collect();
            let hint = match known.as_slice() {
                [] => "; the model has no alias, `lineate model promote` gives it one".to_owned(),
                known => format!("; the aliases of the model are {}", known.join(", ")),
            };
            unknown(node, hint)
        })
    }

    /// The node of a name.
    fn named(&self, node: &NodeRef, default_project: Option<&Name>, size: u64) -> Result<&Node> {
        let NodeRef::Named { kind, project, name } = node else { return Err(unknown(node, String::new())) };
        let by_hash = match kind {
            NodeKind::Agent => Some("; agents are sealed, give the commitment as b3:HEX"),
            NodeKind::Source => {
                Some("; files are named by their content, as source:b3:HEX with the digits of `b3sum`")
            }
            _ => None,
        };
        if let Some(hint) = by_hash {
            return Err(unknown(node, hint.to_owned()));
        }
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
        let found = slots.and_then(|slots| self.newest(slots, size));
        found.ok_or_else(|| unknown(node, self.versions_hint(slots, versions, size)))
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
