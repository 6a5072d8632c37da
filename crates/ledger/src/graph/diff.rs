//! What differs between the ancestries of two nodes.
//!
//! Equal ids are equal provenance, so what both sides share is not looked into further than is needed to know
//! it is shared: nodes are visited newest first, which settles each one's sides before its inputs are seen,
//! and the walk ends when only shared nodes are left.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use lineate_types::{Hash, Name, NodeRef, limits};

use super::{ArcPlace, Direction, Graph, Node, Slot};
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
/// Beside them: a node of one side alone came from it directly.
const MET: Sides = 4;

/// A comparison under way. It holds no graph: whoever shares one looks at it for a little of the comparison at a time,
/// and what is added in between changes nothing.
#[derive(Debug, Clone)]
pub struct Diffing {
    a: Node,
    b: Node,
    painting: Painting,
    /// What is being looked at: the next of its edges, and its sides.
    open: Option<(ArcPlace, Sides)>,
    /// Whether all are marked; then those of the answer are read.
    is_painted: bool,
    /// What was read, newest first.
    read: Vec<(Sides, Node)>,
}

/// Marks nodes with their sides, newest first. Edges go to older nodes only, so a node that is taken is never
/// marked again.
#[derive(Debug, Clone, Default)]
struct Painting {
    sides: BTreeMap<Slot, Sides>,
    /// What is marked and not taken.
    queue: BinaryHeap<Slot>,
    /// How many of those have one side.
    one_sided: usize,
}

impl Painting {
    /// Marks a node as one that a node of these sides came from.
    fn mark(&mut self, slot: Slot, sides: Sides) {
        let known = self.sides.entry(slot).or_default();
        let before = *known & BOTH;
        *known |= sides;
        let after = *known & BOTH;
        if before == 0 {
            self.queue.push(slot);
        }
        match (before, after) {
            (0, A | B) => self.one_sided += 1,
            (A | B, BOTH) => self.one_sided -= 1,
            _ => {}
        }
    }

    /// The next node, while there are any of one side.
    fn take(&mut self) -> Option<(Slot, Sides)> {
        if self.one_sided == 0 {
            return None;
        }
        let slot = self.queue.pop()?;
        let sides = self.sides.get(&slot).copied().unwrap_or_default() & BOTH;
        if sides != BOTH {
            self.one_sided -= 1;
        }
        Some((slot, sides))
    }
}

impl Graph {
    /// Compares what two nodes came from, themselves included.
    ///
    /// # Errors
    /// [`Error::UnknownNode`]; [`Error::TooLarge`] beyond [`limits::DIFF_NODES`].
    pub fn diff(&self, a: Hash, b: Hash) -> Result<Diff> {
        let mut diffing = Diffing::begin(self, a, b)?;
        diffing.advance(self, usize::MAX)?;
        Ok(diffing.finish())
    }
}

impl Diffing {
    /// Begins to compare what two nodes came from, themselves included.
    ///
    /// # Errors
    /// [`Error::UnknownNode`].
    pub fn begin(graph: &Graph, a: Hash, b: Hash) -> Result<Self> {
        let find = |id: Hash| {
            let found = graph.by_id.get(&id).and_then(|slot| Some((*slot, &graph.at_slot(*slot)?.node)));
            found.ok_or_else(|| Error::UnknownNode { node: NodeRef::Id(id), hint: String::new() })
        };
        let ((slot_a, a), (slot_b, b)) = (find(a)?, find(b)?);
        let mut painting = Painting::default();
        painting.mark(slot_a, A);
        painting.mark(slot_b, B);
        if slot_a == slot_b {
            painting.mark(slot_a, MET);
        }
        Ok(Self { a: a.clone(), b: b.clone(), painting, open: None, is_painted: false, read: Vec::new() })
    }

    /// Looks at about `most` edges and nodes of the graph that the comparison began in, or of one that has grown
    /// since. True once it is over.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`limits::DIFF_NODES`].
    pub fn advance(&mut self, graph: &Graph, most: usize) -> Result<bool> {
        for _ in 0..most {
            if !self.is_painted {
                self.paint(graph)?;
            } else if !self.read_newest(graph) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the newest node that is left, if it is one of the answer: of one side, or shared and next to such a one.
    fn read_newest(&mut self, graph: &Graph) -> bool {
        let Some((slot, sides)) = self.painting.sides.pop_last() else { return false };
        if sides & BOTH != BOTH || sides & MET != 0 {
            self.read.extend(graph.at_slot(slot).map(|place| (sides & BOTH, place.node.clone())));
        }
        true
    }

    /// Follows one edge.
    fn paint(&mut self, graph: &Graph) -> Result<()> {
        let Some((place, sides)) = self.open.take() else {
            match self.painting.take() {
                Some((slot, sides)) => self.open = Some((graph.first_arc(slot, Direction::Up), sides)),
                None => self.is_painted = true,
            }
            return Ok(());
        };
        // What a node names is older than it: its edges are the same at any later size.
        let Some((role, ancestor, after)) = graph.arc_at(place, graph.size()) else { return Ok(()) };
        self.open = Some((after, sides));
        if role.is_ancestry() {
            self.painting.mark(ancestor, if sides == BOTH { sides } else { sides | MET });
        }
        let (actual, limit) = (self.painting.sides.len(), limits::DIFF_NODES);
        if actual > limit {
            return Err(Error::TooLarge { what: "difference", unit: "nodes", actual, limit });
        }
        Ok(())
    }

    /// The difference, once [`Diffing::advance`] said that it is over.
    pub fn finish(self) -> Diff {
        let (mut only_a, mut only_b, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for (sides, node) in self.read {
            match sides {
                A => only_a.push(node),
                B => only_b.push(node),
                _ => shared.push(node),
            }
        }
        let changed = take_pairs(&mut only_a, &mut only_b);
        Diff { a: self.a, b: self.b, changed, only_a, only_b, shared }
    }
}

/// Takes the newest node of each name that both sides have from both; each is sorted newest first.
fn take_pairs(only_a: &mut Vec<Node>, only_b: &mut Vec<Node>) -> Vec<(Node, Node)> {
    let (in_a, in_b) = (newest(only_a), newest(only_b));
    let mut pairs: Vec<(usize, usize)> =
        in_a.iter().filter_map(|(name, left)| Some((*left, *in_b.get(name)?))).collect();
    pairs.sort_unstable();
    let (left, right): (BTreeSet<usize>, BTreeSet<usize>) = pairs.iter().copied().unzip();
    let (mut left, mut right) = (take_at(only_a, &left), take_at(only_b, &right));
    let paired = pairs.iter().filter_map(|(in_a, in_b)| Some((left.remove(in_a)?, right.remove(in_b)?)));
    paired.collect()
}

/// Where the newest node of each name is.
fn newest(nodes: &[Node]) -> BTreeMap<(Kind, &Name, &Name), usize> {
    let mut newest = BTreeMap::new();
    for (place, node) in nodes.iter().enumerate() {
        // A load or an evaluation is a fact of its own, not a version of another.
        if matches!(node.kind, Some(Kind::Load | Kind::Evaluation)) {
            continue;
        }
        if let (Some(kind), Some(project), Some(name)) = (node.kind, &node.project, &node.name) {
            newest.entry((kind, project, name)).or_insert(place);
        }
    }
    newest
}

/// Takes the nodes at some places.
fn take_at(nodes: &mut Vec<Node>, places: &BTreeSet<usize>) -> BTreeMap<usize, Node> {
    let (taken, left): (Vec<_>, Vec<_>) =
        std::mem::take(nodes).into_iter().enumerate().partition(|(place, _)| places.contains(place));
    *nodes = left.into_iter().map(|(_, node)| node).collect();
    taken.into_iter().collect()
}
