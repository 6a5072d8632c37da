//! What differs between the ancestries of two nodes.
//!
//! Equal ids are equal provenance, so what both sides share is not looked into further than is needed to know
//! it is shared: nodes are visited newest first, which settles each one's sides before its inputs are seen,
//! and the walk ends when only shared nodes are left.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use lineate_types::{Hash, NodeRef, limits};

use super::{At, Direction, Graph, Node, Place, Slot};
use crate::{Error, Result, record::Kind};

/// The difference between two ancestries. Agents have no part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// One node.
    pub a: Node,
    /// The other.
    pub b: Node,
    /// Nodes on both sides that differ but have one name: the newest version each side has, newest first.
    pub changed: Vec<(Node, Node)>,
    /// Other nodes only `a` came from, newest first.
    pub only_a: Vec<Node>,
    /// Other nodes only `b` came from, newest first.
    pub only_b: Vec<Node>,
    /// Where the two meet: the shared nodes that something only one of them has came from directly, and with
    /// them all their ancestry; newest first.
    pub shared: Vec<Node>,
}

/// The sides a node belongs to.
type Sides = u8;
const A: Sides = 1;
const B: Sides = 2;
const BOTH: Sides = A | B;

/// Marks nodes with their sides, newest first. Edges go to older nodes only, so a node that is taken is never
/// marked again.
#[derive(Default)]
struct Painting {
    sides: BTreeMap<Slot, Sides>,
    /// What is marked and not taken.
    queue: BinaryHeap<Slot>,
    /// How many of those have one side.
    one_sided: usize,
}

impl Painting {
    fn mark(&mut self, slot: Slot, side: Sides) {
        let known = self.sides.entry(slot).or_default();
        let before = *known;
        *known |= side;
        let after = *known;
        if before == 0 {
            self.queue.push(slot);
        }
        match (before, after) {
            (0, A | B) => self.one_sided += 1,
            (A | B, BOTH) => self.one_sided -= 1,
            _ => {}
        }
    }

    fn take(&mut self) -> Option<(Slot, Sides)> {
        let slot = self.queue.pop()?;
        let side = self.sides.get(&slot).copied().unwrap_or_default();
        if side != BOTH {
            self.one_sided -= 1;
        }
        Some((slot, side))
    }
}

impl Graph {
    /// Compares what two nodes came from, themselves included.
    ///
    /// # Errors
    /// [`Error::UnknownNode`]; [`Error::TooLarge`] beyond [`limits::DIFF_NODES`].
    pub fn diff(&self, a: Hash, b: Hash) -> Result<Diff> {
        let sides = self.sides(self.slot_of(a)?, self.slot_of(b)?)?;
        let on = |wanted: Sides| {
            let newest_first = sides.iter().rev();
            newest_first.filter(move |(_, side)| **side == wanted).map(|(slot, _)| *slot)
        };
        let (mut only_a, mut only_b): (Vec<Slot>, Vec<Slot>) = (on(A).collect(), on(B).collect());
        let meets: BTreeSet<Slot> = only_a
            .iter()
            .chain(&only_b)
            .flat_map(|slot| self.ancestors(*slot))
            .filter(|slot| sides.get(slot) == Some(&BOTH))
            .collect();
        let changed = self.pairs(&mut only_a, &mut only_b);
        let nodes = |slots: &mut dyn Iterator<Item = Slot>| -> Vec<Node> {
            slots.filter_map(|slot| self.at_slot(slot)).map(|place| place.node.clone()).collect()
        };
        let node = |id: Hash| self.resolve(&NodeRef::Id(id), None, At::Newest).cloned();
        Ok(Diff {
            a: node(a)?,
            b: node(b)?,
            changed: changed
                .into_iter()
                .filter_map(|(left, right)| Some((self.at_slot(left)?, self.at_slot(right)?)))
                .map(|(left, right)| (left.node.clone(), right.node.clone()))
                .collect(),
            only_a: nodes(&mut only_a.into_iter()),
            only_b: nodes(&mut only_b.into_iter()),
            shared: if a == b { vec![node(a)?] } else { nodes(&mut meets.into_iter().rev()) },
        })
    }

    /// The sides of every node visited: all that belong to one side, and the shared ones among and next to
    /// them.
    fn sides(&self, a: Slot, b: Slot) -> Result<BTreeMap<Slot, Sides>> {
        let mut painting = Painting::default();
        painting.mark(a, A);
        painting.mark(b, B);
        while painting.one_sided > 0 {
            let Some((slot, side)) = painting.take() else { break };
            for ancestor in self.ancestors(slot) {
                painting.mark(ancestor, side);
            }
            let actual = painting.sides.len();
            if actual > limits::DIFF_NODES {
                let limit = limits::DIFF_NODES;
                return Err(Error::TooLarge { what: "difference", unit: "nodes", actual, limit });
            }
        }
        Ok(painting.sides)
    }

    fn slot_of(&self, id: Hash) -> Result<Slot> {
        let unknown = || Error::UnknownNode { node: NodeRef::Id(id), hint: String::new() };
        self.by_id.get(&id).copied().ok_or_else(unknown)
    }

    fn ancestors(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let arcs = self.arcs_of(slot, Direction::Up, self.size());
        arcs.filter(|(role, _)| role.is_ancestry()).map(|(_, far)| far)
    }

    /// Takes the newest node of each name that both sides have from both.
    fn pairs(&self, only_a: &mut Vec<Slot>, only_b: &mut Vec<Slot>) -> Vec<(Slot, Slot)> {
        let newest = |slots: &[Slot]| {
            let mut newest = BTreeMap::new();
            for slot in slots {
                let Some(Place { node, .. }) = self.at_slot(*slot) else { continue };
                // A load or an evaluation is a fact of its own, not a version of another.
                if matches!(node.kind, Some(Kind::Load | Kind::Evaluation)) {
                    continue;
                }
                if let (Some(kind), Some(project), Some(name)) = (node.kind, &node.project, &node.name) {
                    newest.entry((kind, project, name)).or_insert(*slot);
                }
            }
            newest
        };
        let (in_a, in_b) = (newest(only_a), newest(only_b));
        let mut pairs: Vec<(Slot, Slot)> =
            in_a.iter().filter_map(|(name, left)| Some((*left, *in_b.get(name)?))).collect();
        pairs.sort_by(|left, right| right.cmp(left));
        let (left, right): (BTreeSet<Slot>, BTreeSet<Slot>) = pairs.iter().copied().unzip();
        only_a.retain(|slot| !left.contains(slot));
        only_b.retain(|slot| !right.contains(slot));
        pairs
    }
}
