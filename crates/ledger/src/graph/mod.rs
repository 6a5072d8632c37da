//! The lineage graph in memory: the records of the log in order, and their edges both ways.
//!
//! Invariants:
//! - a record is added as the next entry of the log, after everything it names: edges only go back, so there
//!   are no cycles, and the first `n` entries are a graph of their own, for every `n`;
//! - agents are nodes without a record, there from the first record that names them;
//! - a question about a prefix is answered from that prefix alone, however much was added since.
//!
//! Packed: an edge is 16 bytes in one array, up edges contiguous, down edges chained in log order, so that a
//! walk costs what it visits. The graph is an index: it can always be built again from the log.

mod at;
mod diff;
mod node;
mod resolve;
mod walk;

pub use at::At;
pub use diff::{Diff, Diffing};
pub use node::Node;
pub(crate) use node::grouped;
pub use walk::{Cursor, Direction, Trace, Walk, WalkEdge, WalkNode, Walking};

use std::collections::BTreeMap;

use lineate_types::{Hash, Name, NodeKind, TimestampUs};

use crate::{
    Error, Result,
    record::{Edge, Kind, Record, Role, allowed},
};

/// The place of a node in the graph.
type Slot = u32;
/// No edge.
const NONE: u32 = u32::MAX;

/// The nodes of a kind in a project: by name, then by version. Only evaluations of one model version share one.
type Names = BTreeMap<Name, BTreeMap<u32, Vec<Slot>>>;

/// The index over all records of the log.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The commit time of each entry.
    commit_times: Vec<TimestampUs>,
    places: Vec<Place>,
    arcs: Vec<Arc>,
    by_id: BTreeMap<Hash, Slot>,
    /// The sources of each file, by the hash of its content.
    by_file: BTreeMap<Hash, Vec<Slot>>,
    /// By kind and project.
    by_name: BTreeMap<(NodeKind, Name), Names>,
}

/// A node and where its edges are.
#[derive(Debug, Clone)]
struct Place {
    node: Node,
    /// Its edges to earlier nodes, `first_up..end_up` of `arcs`.
    first_up: u32,
    end_up: u32,
    /// Its edges from later nodes: a chain through `Arc::next_down`, in log order.
    first_down: u32,
    last_down: u32,
}

/// An edge from a node to an earlier one.
#[derive(Debug, Clone, Copy)]
struct Arc {
    from: Slot,
    to: Slot,
    next_down: u32,
    role: Role,
}

/// The place of an edge among those of one node. It stays what it is when records are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArcPlace {
    Up { next: u32, end: u32 },
    Down { next: u32 },
}

impl Graph {
    /// The graph without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries of the log added so far: the sequence number that comes next.
    pub fn size(&self) -> u64 {
        self.commit_times.len() as u64
    }

    /// Adds the record of the next entry, and gives its id.
    ///
    /// # Errors
    /// The graph is unchanged after any of: [`Error::NotNextEntry`], [`Error::CommitTimeRegressed`],
    /// [`Error::DuplicateRecord`], [`Error::DuplicateName`], [`Error::MissingInput`], [`Error::WrongInput`],
    /// [`Error::GraphFull`].
    pub fn add(&mut self, seq: u64, commit_time: TimestampUs, record: &Record) -> Result<Hash> {
        let id = record.id();
        self.add_identified(seq, commit_time, record, id)?;
        Ok(id)
    }

    /// [`Graph::add`] for a record whose id is known, which spares encoding and hashing it.
    ///
    /// # Errors
    /// As [`Graph::add`].
    pub fn add_identified(
        &mut self,
        seq: u64,
        commit_time: TimestampUs,
        record: &Record,
        id: Hash,
    ) -> Result<()> {
        self.check_next(seq, commit_time)?;
        if self.by_id.contains_key(&id) {
            return Err(Error::DuplicateRecord { id });
        }
        let edges = record.edges();
        let full = |count: usize| count >= NONE as usize;
        if full(self.arcs.len() + edges.len()) || full(self.places.len() + 2) {
            return Err(Error::GraphFull);
        }
        edges.iter().try_for_each(|edge| self.check_input(record.kind(), id, *edge))?;
        let node = self.describe(seq, commit_time, record, id)?;
        self.commit_times.push(commit_time);
        for Edge { role, target } in &edges {
            if role.is_agency() && !self.by_id.contains_key(target) {
                self.place(Node::agent(*target, seq, commit_time));
            }
        }
        let slot = self.place(node);
        edges.iter().for_each(|edge| self.connect(slot, *edge));
        Ok(())
    }

    /// The node of a record or agent.
    pub fn node(&self, id: Hash) -> Option<&Node> {
        self.by_id.get(&id).and_then(|slot| self.at_slot(*slot)).map(|place| &place.node)
    }

    /// Whether a record or agent is in the graph.
    pub fn contains(&self, id: Hash) -> bool {
        self.by_id.contains_key(&id)
    }

    /// All nodes in log order, an agent before the first record that names it.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.places.iter().map(|place| &place.node)
    }

    /// The edges of one node: up, what it names; down, what names it within the first entries asked for, in
    /// log order. Every role is included. The target of each is the far end.
    pub fn edges(&self, id: Hash, direction: Direction, at: At) -> impl Iterator<Item = Edge> {
        let size = self.size_at(at);
        let slot = self.by_id.get(&id).copied();
        slot.into_iter().flat_map(move |slot| self.arcs_of(slot, direction, size)).filter_map(
            move |(role, far)| self.at_slot(far).map(|place| Edge { role, target: place.node.id }),
        )
    }

    fn check_next(&self, seq: u64, commit_time: TimestampUs) -> Result<()> {
        if seq != self.size() {
            return Err(Error::NotNextEntry { expected: self.size(), actual: seq });
        }
        match self.commit_times.last() {
            Some(previous) if *previous > commit_time => {
                Err(Error::CommitTimeRegressed { seq, previous: *previous, actual: commit_time })
            }
            _ => Ok(()),
        }
    }

    fn check_input(&self, kind: Kind, record: Hash, edge: Edge) -> Result<()> {
        let Edge { role, target } = edge;
        if role.is_agency() {
            return Ok(());
        }
        let node = self.node(target).ok_or(Error::MissingInput { record, target, role })?;
        match allowed(kind, role) {
            Some(expected) if !node.kind.is_some_and(|kind| expected.contains(&kind)) => {
                Err(Error::WrongInput { record, target, role, actual: node.word(), expected })
            }
            _ => Ok(()),
        }
    }

    fn at_slot(&self, slot: Slot) -> Option<&Place> {
        self.places.get(slot as usize)
    }

    fn arc(&self, index: u32) -> Option<&Arc> {
        self.arcs.get(index as usize)
    }

    /// The edges of a slot among the first `size` entries, with their far ends.
    fn arcs_of(&self, slot: Slot, direction: Direction, size: u64) -> impl Iterator<Item = (Role, Slot)> {
        let mut place = self.first_arc(slot, direction);
        std::iter::from_fn(move || {
            let (role, far, next) = self.arc_at(place, size)?;
            place = next;
            Some((role, far))
        })
    }

    /// Where the edges of a slot begin.
    fn first_arc(&self, slot: Slot, direction: Direction) -> ArcPlace {
        match (self.at_slot(slot), direction) {
            (Some(place), Direction::Up) => ArcPlace::Up { next: place.first_up, end: place.end_up },
            (Some(place), Direction::Down) => ArcPlace::Down { next: place.first_down },
            (None, _) => ArcPlace::Down { next: NONE },
        }
    }

    /// The edge at a place, if it is among the first `size` entries: its role, its far end, and the place after it.
    fn arc_at(&self, place: ArcPlace, size: u64) -> Option<(Role, Slot, ArcPlace)> {
        match place {
            ArcPlace::Up { next, end } => {
                let arc = self.arc(next).filter(|_| next < end)?;
                Some((arc.role, arc.to, ArcPlace::Up { next: next + 1, end }))
            }
            ArcPlace::Down { next } => {
                let arc = self.arc(next).filter(|arc| self.is_within(arc.from, size))?;
                Some((arc.role, arc.from, ArcPlace::Down { next: arc.next_down }))
            }
        }
    }

    fn is_within(&self, slot: Slot, size: u64) -> bool {
        self.at_slot(slot).is_some_and(|place| place.node.seq < size)
    }

    /// Puts a node, without edges, at the end.
    fn place(&mut self, node: Node) -> Slot {
        let slot = self.places.len() as Slot;
        let arcs = self.arcs.len() as u32;
        self.by_id.insert(node.id, slot);
        if let Some(file) = node.file {
            self.by_file.entry(file).or_default().push(slot);
        }
        if let (Some(kind), Some(project), Some(name)) = (node.node_kind(), &node.project, &node.name) {
            let versions = self.by_name.entry((kind, project.clone())).or_default();
            let version = node.version.unwrap_or(1);
            versions.entry(name.clone()).or_default().entry(version).or_default().push(slot);
        }
        self.places.push(Place { node, first_up: arcs, end_up: arcs, first_down: NONE, last_down: NONE });
        slot
    }

    /// Adds an edge to the last node placed.
    fn connect(&mut self, from: Slot, edge: Edge) {
        let Some(to) = self.by_id.get(&edge.target).copied() else { return };
        let index = self.arcs.len() as u32;
        self.arcs.push(Arc { from, to, next_down: NONE, role: edge.role });
        if let Some(place) = self.places.get_mut(from as usize) {
            place.end_up = index + 1;
        }
        let Some(target) = self.places.get_mut(to as usize) else { return };
        let previous = std::mem::replace(&mut target.last_down, index);
        if previous == NONE {
            target.first_down = index;
        } else if let Some(arc) = self.arcs.get_mut(previous as usize) {
            arc.next_down = index;
        }
    }
}
