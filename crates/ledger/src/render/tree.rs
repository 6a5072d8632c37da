//! The tree text: each node once, then by reference.

use std::collections::{BTreeMap, BTreeSet};

use lineate_types::{Hash, limits};

use super::{Beside, on_one_line};
use crate::graph::{Direction, Walk, WalkNode};

/// A node to be drawn, with what stands left of it.
struct Line {
    id: Hash,
    /// Left of the branch.
    prefix: String,
    depth: usize,
    branch: Branch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Branch {
    Root,
    Middle,
    Last,
}

/// Draws one page of a walk as a tree. A node that was drawn above is named and marked `(↑ seen above)`; below
/// [`limits::TRACE_TREE_DEPTH`] levels the nodes are counted. The text ends with a line break.
pub fn tree(walk: &Walk, beside: Beside<'_>) -> String {
    let nodes: BTreeMap<Hash, &WalkNode> = walk.nodes.iter().map(|node| (node.node.id, node)).collect();
    let children = children(walk, &nodes);
    let mut text = String::new();
    let mut drawn = BTreeSet::new();
    let mut tops: Vec<Hash> = walk.nodes.iter().map(|node| node.node.id).collect();
    // On a page after the first, what hangs on nodes of earlier pages begins a tree of its own.
    tops.reverse();
    let mut stack = Vec::new();
    while let Some(top) = tops.pop() {
        if drawn.contains(&top) {
            continue;
        }
        stack.push(Line { id: top, prefix: String::new(), depth: 0, branch: Branch::Root });
        while let Some(line) = stack.pop() {
            let Some(node) = nodes.get(&line.id) else { continue };
            let is_new = drawn.insert(line.id);
            text.push_str(&line.prefix);
            text.push_str(match line.branch {
                Branch::Root => "",
                Branch::Middle => "├─ ",
                Branch::Last => "└─ ",
            });
            text.push_str(&label(node, beside));
            let below = children.get(&line.id).map(Vec::as_slice).unwrap_or_default();
            if !is_new {
                text.push_str("  (↑ seen above)\n");
                continue;
            }
            text.push_str(if node.cut { "  …\n" } else { "\n" });
            let prefix = match line.branch {
                Branch::Root => line.prefix,
                Branch::Middle => line.prefix + "│  ",
                Branch::Last => line.prefix + "   ",
            };
            if let Some(unsealed) = beside.unsealed.get(&line.id) {
                let branch = if below.is_empty() { "└─ " } else { "├─ " };
                text.push_str(&format!("{prefix}{branch}{unsealed}\n"));
            }
            if line.depth >= limits::TRACE_TREE_DEPTH {
                let hidden = hide(line.id, &children, &mut drawn);
                if hidden > 0 {
                    text.push_str(&format!("{prefix}└─ … and {hidden} deeper, see the JSON form\n"));
                }
                continue;
            }
            let last = below.len().saturating_sub(1);
            for (position, id) in below.iter().enumerate().rev() {
                let branch = if position == last { Branch::Last } else { Branch::Middle };
                stack.push(Line { id: *id, prefix: prefix.clone(), depth: line.depth + 1, branch });
            }
        }
    }
    if !walk.is_complete() {
        text.push_str(&format!("… not complete: {} nodes on this page, more follow\n", walk.nodes.len()));
    }
    text
}

fn label(node: &WalkNode, beside: Beside<'_>) -> String {
    match (beside.note)(node.node.id) {
        Some(note) => format!("{}  {}", node.node, on_one_line(&note)),
        None => node.node.to_string(),
    }
}

/// The nodes of the page next to each of its nodes, in the order they were followed, each once.
fn children(walk: &Walk, nodes: &BTreeMap<Hash, &WalkNode>) -> BTreeMap<Hash, Vec<Hash>> {
    let mut children: BTreeMap<Hash, Vec<Hash>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for edge in &walk.edges {
        let (near, far) = match walk.direction {
            Direction::Up => (edge.from, edge.to),
            Direction::Down => (edge.to, edge.from),
        };
        let on_page = nodes.contains_key(&near) && nodes.contains_key(&far);
        if on_page && seen.insert((near, far)) {
            children.entry(near).or_default().push(far);
        }
    }
    children
}

/// Counts what is below a node and was not drawn, and takes it as drawn.
fn hide(top: Hash, children: &BTreeMap<Hash, Vec<Hash>>, drawn: &mut BTreeSet<Hash>) -> usize {
    let mut hidden = 0;
    let mut stack = vec![top];
    while let Some(id) = stack.pop() {
        for child in children.get(&id).into_iter().flatten() {
            if drawn.insert(*child) {
                hidden += 1;
                stack.push(*child);
            }
        }
    }
    hidden
}
