//! Walks: everything a node came from, or everything that came from it.
//!
//! Breadth first, each node once, at a fixed prefix of the log. A walk that is longer than a page ends with a
//! cursor that pins prefix and place, so that the pages together are the one whole answer, whatever is added
//! in between. A page costs what the pages up to it visit, unless the [`Walking`] that gave them goes on.

use std::collections::{BTreeSet, VecDeque};

use lineate_types::{Hash, NodeRef, TimestampUs, limits};
use minicbor::{Decode, Encode};

use super::{ArcPlace, At, Graph, Node, Slot};
use crate::{
    Error, Result,
    canonical::{self, Form, Version, words},
    record::Role,
};

/// Which way edges are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Direction {
    /// To what a node came from.
    #[default]
    Up,
    /// To what came from a node.
    Down,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Up, Self::Down];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

words!(Direction, "direction");

/// How to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Which way.
    pub direction: Direction,
    /// How many edges away from the start at most; none means all the way.
    pub depth: Option<u32>,
    /// The prefix of the log.
    pub at: At,
    /// Nodes of one page, 1 to [`limits::TRACE_NODES`].
    pub limit: usize,
    /// Whether agents are part of the answer to a walk up. A walk down from an agent always is one.
    pub agents: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            direction: Direction::Up,
            depth: None,
            at: At::Newest,
            limit: limits::TRACE_NODES,
            agents: false,
        }
    }
}

/// One page of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Where it began: a record, an agent, or the content of a file, whose sources then all are at depth 0.
    pub start: Hash,
    /// Which way.
    pub direction: Direction,
    /// The entries of the log it was computed over: the size of the checkpoint to prove it at.
    pub size: u64,
    /// The commit time asked for, where the prefix was named by one.
    pub at: Option<TimestampUs>,
    /// The nodes of this page, nearest first.
    pub nodes: Vec<WalkNode>,
    /// The edges followed on this page, in the order they were followed. One end may be on an earlier page.
    pub edges: Vec<WalkEdge>,
    /// Whether the depth asked for cut off edges of nodes of this page or of one before it.
    pub cut: bool,
    /// Where the next page begins; none if this is the last.
    pub cursor: Option<Cursor>,
}

impl Walk {
    /// Whether nothing that was asked for is left.
    pub const fn is_complete(&self) -> bool {
        self.cursor.is_none()
    }
}

/// A node of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkNode {
    /// The node.
    pub node: Node,
    /// The least number of edges between it and the start.
    pub depth: u32,
    /// Whether it has further edges this way that the depth asked for cut off.
    pub cut: bool,
}

/// An edge of a walk, from the later record to the earlier, whichever way it was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalkEdge {
    /// The record that names the other.
    pub from: Hash,
    /// As what.
    pub role: Role,
    /// The record or agent named.
    pub to: Hash,
}

/// The place where a walk goes on: a question and how far it was answered. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cursor {
    #[n(0)]
    version: Version<1>,
    #[n(1)]
    start: Hash,
    #[n(2)]
    direction: Direction,
    #[n(3)]
    depth: Option<u32>,
    #[n(4)]
    size: u64,
    #[n(5)]
    agents: bool,
    /// Steps done: every start, then every edge followed.
    #[n(6)]
    steps: u64,
    /// The commit time that `size` was found by.
    #[n(7)]
    at: Option<TimestampUs>,
}

impl Form for Cursor {
    const WHAT: &'static str = "cursor";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 128;
}

impl Cursor {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// See [`canonical::from_bytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        canonical::from_bytes(bytes)
    }

    /// The entries of the log the walk is computed over.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl Graph {
    /// The first page of a walk.
    ///
    /// # Errors
    /// [`Error::UnknownNode`] if the start is not in the graph at the point asked for.
    pub fn walk(&self, start: Hash, trace: &Trace) -> Result<Walk> {
        let mut walking = Walking::begin(self, start, trace)?;
        walking.advance(self, usize::MAX);
        Ok(walking.page())
    }

    /// The next page of a walk, of at most `limit` nodes.
    ///
    /// # Errors
    /// [`Error::UnknownNode`]; [`Error::Behind`] if this graph has not seen all the entries that the walk
    /// is computed over.
    pub fn resume(&self, cursor: &Cursor, limit: usize) -> Result<Walk> {
        let mut walking = Walking::resume(self, cursor, limit)?;
        walking.advance(self, usize::MAX);
        Ok(walking.page())
    }
}

/// A walk under way. It holds no graph: whoever shares one looks at it for a little of the walk at a time, and what is
/// added in between changes nothing.
#[derive(Debug, Clone)]
pub struct Walking {
    /// The question, and the step that the page begins at: earlier ones are replayed and not kept.
    cursor: Cursor,
    limit: usize,
    step: u64,
    starts: VecDeque<Slot>,
    /// What was found, in order: also the queue of what is to be expanded.
    found: Vec<(Slot, u32)>,
    visited: BTreeSet<Slot>,
    /// What of `found` is expanded next, and its edge that is followed next, once it was begun.
    next: usize,
    arc: Option<ArcPlace>,
    nodes: Vec<WalkNode>,
    edges: Vec<WalkEdge>,
    cut: bool,
    is_over: bool,
}

/// What came of one step.
enum Step {
    Done,
    PageFull,
    Over,
}

impl Walking {
    /// Begins a walk.
    ///
    /// # Errors
    /// [`Error::UnknownNode`] if the start is not in the graph at the point asked for.
    pub fn begin(graph: &Graph, start: Hash, trace: &Trace) -> Result<Self> {
        let Trace { direction, depth, agents, .. } = *trace;
        let size = graph.size_at(trace.at);
        let at = match trace.at {
            At::Time(time) => Some(time),
            At::Newest | At::Size(_) => None,
        };
        let cursor = Cursor { version: Version, start, direction, depth, size, agents, steps: 0, at };
        Self::resume(graph, &cursor, trace.limit)
    }

    /// Begins the page at a cursor, of at most `limit` nodes.
    ///
    /// # Errors
    /// [`Error::UnknownNode`]; [`Error::Behind`] if the graph has not seen all the entries that the walk is
    /// computed over.
    pub fn resume(graph: &Graph, cursor: &Cursor, limit: usize) -> Result<Self> {
        if cursor.size > graph.size() {
            return Err(Error::Behind { size: cursor.size, actual: graph.size() });
        }
        let start = graph.start(&NodeRef::Id(cursor.start), None, At::Size(cursor.size))?;
        Ok(Self {
            cursor: cursor.clone(),
            limit: limit.clamp(1, limits::TRACE_NODES),
            step: 0,
            starts: graph.starts(start, cursor.size).into(),
            found: vec![],
            visited: BTreeSet::new(),
            next: 0,
            arc: None,
            nodes: vec![],
            edges: vec![],
            cut: false,
            is_over: false,
        })
    }

    /// Looks at about `most` edges of the graph that the walk began in, or of one that has grown since. True once the
    /// page is full or all was visited.
    pub fn advance(&mut self, graph: &Graph, most: usize) -> bool {
        for _ in 0..most {
            match self.step(graph) {
                Step::Done => {}
                Step::PageFull => return true,
                Step::Over => {
                    self.is_over = true;
                    return true;
                }
            }
        }
        false
    }

    /// What was found since the page before, as a page. The walk can go on with the next.
    pub fn page(&mut self) -> Walk {
        self.cursor.steps = self.step.max(self.cursor.steps);
        Walk {
            start: self.cursor.start,
            direction: self.cursor.direction,
            size: self.cursor.size,
            at: self.cursor.at,
            nodes: std::mem::take(&mut self.nodes),
            edges: std::mem::take(&mut self.edges),
            cut: self.cut,
            cursor: (!self.is_over).then(|| self.cursor.clone()),
        }
    }

    fn step(&mut self, graph: &Graph) -> Step {
        if let Some(start) = self.starts.front().copied() {
            if self.is_kept() && self.nodes.len() >= self.limit {
                return Step::PageFull;
            }
            self.starts.pop_front();
            self.find(graph, start, 0);
            self.step += 1;
            return Step::Done;
        }
        let Some((slot, depth)) = self.found.get(self.next).copied() else { return Step::Over };
        let place = self.arc.unwrap_or_else(|| graph.first_arc(slot, self.cursor.direction));
        let arc = graph.arc_at(place, self.cursor.size).filter(|_| !self.is_deepest(depth));
        let Some((role, far, after)) = arc else {
            (self.next, self.arc) = (self.next + 1, None);
            return Step::Done;
        };
        if self.follows(role) {
            let is_new = !self.visited.contains(&far);
            let full = self.nodes.len() >= self.limit && is_new;
            if self.is_kept() && (full || self.edges.len() >= limits::TRACE_EDGES) {
                return Step::PageFull;
            }
            if is_new {
                self.find(graph, far, depth + 1);
            }
            self.keep_edge(graph, slot, role, far);
            self.step += 1;
        }
        self.arc = Some(after);
        Step::Done
    }

    fn is_kept(&self) -> bool {
        self.step >= self.cursor.steps
    }

    fn is_deepest(&self, depth: u32) -> bool {
        self.cursor.depth.is_some_and(|limit| depth >= limit)
    }

    /// Agents only have edges down, so walking down one is the question itself.
    fn follows(&self, role: Role) -> bool {
        role.is_ancestry()
            || (role.is_agency() && (self.cursor.agents || self.cursor.direction == Direction::Down))
    }

    fn find(&mut self, graph: &Graph, slot: Slot, depth: u32) {
        self.visited.insert(slot);
        self.found.push((slot, depth));
        let cut = self.is_deepest(depth)
            && graph
                .arcs_of(slot, self.cursor.direction, self.cursor.size)
                .any(|(role, _)| self.follows(role));
        self.cut |= cut;
        let Some(place) = graph.at_slot(slot).filter(|_| self.is_kept()) else { return };
        self.nodes.push(WalkNode { node: place.node.clone(), depth, cut });
    }

    fn keep_edge(&mut self, graph: &Graph, slot: Slot, role: Role, far: Slot) {
        if !self.is_kept() {
            return;
        }
        let (from, to) = match self.cursor.direction {
            Direction::Up => (slot, far),
            Direction::Down => (far, slot),
        };
        if let (Some(from), Some(to)) = (graph.at_slot(from), graph.at_slot(to)) {
            self.edges.push(WalkEdge { from: from.node.id, role, to: to.node.id });
        }
    }
}
