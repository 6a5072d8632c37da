//! A walk as a tree that fits a screen: each record once, and many of one kind below one parent as one line.
//! `lineate trace` draws the whole of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use console::style;
use lineate_client::v1::{Node, TraceReply};

use crate::output::number;

/// Children of one kind that are drawn one by one; more become one line.
const DRAWN_OF_A_KIND: usize = 8;
/// Levels that are drawn.
const LEVELS: usize = 16;

/// The lines of the tree; ids of records are left out where the name says as much.
pub(super) fn draw(reply: &TraceReply) -> Vec<String> {
    let nodes: BTreeMap<&str, &Node> = reply.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut children: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for edge in &reply.edges {
        if let Some(node) = nodes.get(edge.to.as_str()) {
            children.entry(edge.from.as_str()).or_default().push(node);
        }
    }
    let mut tree = Tree { children, drawn: BTreeSet::new(), lines: Vec::new() };
    if let Some(start) = nodes.get(reply.start.as_str()) {
        tree.drawn.insert(start.id.as_str());
        tree.lines.push(label(start));
        tree.below(start, "", LEVELS);
    }
    tree.lines
}

struct Tree<'a> {
    children: BTreeMap<&'a str, Vec<&'a Node>>,
    drawn: BTreeSet<&'a str>,
    lines: Vec<String>,
}

impl<'a> Tree<'a> {
    /// Draws what a node was made from, unless it is drawn already: what was recorded first comes first.
    fn below(&mut self, node: &Node, margin: &str, levels: usize) {
        let mut children = self.children.get(node.id.as_str()).cloned().unwrap_or_default();
        children.retain(|child| self.drawn.insert(child.id.as_str()));
        children.sort_by_key(|child| (child.kind.as_str() == "seal", child.sequence));
        let groups: Vec<&[&'a Node]> = children.chunk_by(|one, other| one.kind == other.kind).collect();
        let mut rest = groups
            .iter()
            .map(|group| if group.len() > DRAWN_OF_A_KIND { 1 } else { group.len() })
            .sum::<usize>();
        for group in groups {
            if group.len() > DRAWN_OF_A_KIND {
                rest -= 1;
                self.line(margin, rest == 0, &folded(group));
                // What the folded ones were made from counts as drawn with them.
                continue;
            }
            for child in group {
                rest -= 1;
                self.line(margin, rest == 0, &label(child));
                if levels > 0 {
                    let deeper = format!("{margin}{}", if rest == 0 { "   " } else { "│  " });
                    self.below(child, &deeper, levels - 1);
                }
            }
        }
    }

    fn line(&mut self, margin: &str, last: bool, label: &str) {
        let branch = if last { "└─" } else { "├─" };
        self.lines.push(format!("{} {label}", style(format!("{margin}{branch}")).dim()));
    }
}

/// A node's name, or the file a source came from; then its rows and its id, quietly.
fn label(node: &Node) -> String {
    let file = node.note.as_deref().and_then(|note| Path::new(note).file_name());
    let name = match (node.kind.as_str(), file) {
        ("source", Some(file)) => format!("source {}", file.to_string_lossy()),
        _ => node.title.clone(),
    };
    let rows = node.rows.map(|rows| format!("{}  ", number::counted(rows, "row"))).unwrap_or_default();
    format!("{name}  {}", style(format!("{rows}{}", number::short_hash(&node.id))).dim())
}

fn folded(nodes: &[&Node]) -> String {
    let kind = nodes.first().map_or("record", |node| node.kind.as_str());
    let rows: u64 = nodes.iter().filter_map(|node| node.rows).sum();
    let count = number::counted(nodes.len() as u64, kind);
    format!("{count}  {}", style(format!("{} in all", number::counted(rows, "row"))).dim())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_client::v1::Edge;

    use super::*;

    fn node(sequence: u64, kind: &str, title: &str, note: Option<&str>) -> Node {
        Node {
            id: format!("b3:{sequence:02}"),
            kind: kind.to_owned(),
            title: title.to_owned(),
            rows: (kind != "view").then_some(10 * sequence),
            note: note.map(str::to_owned),
            sequence,
            ..Node::default()
        }
    }

    #[test]
    fn each_record_is_drawn_once_and_many_of_a_kind_as_one_line() {
        let mut nodes = vec![
            node(30, "dataset", "dataset:p/d@v1", None),
            node(2, "load", "load:p/l1", None),
            node(1, "source", "source", Some("/tmp/x/a.csv")),
            node(0, "view", "view:p/v@v1", None),
        ];
        nodes.extend((10..20).map(|sequence| node(sequence, "seal", "seal shard 1", None)));
        let edges: Vec<(u64, u64)> = vec![(30, 2), (2, 1), (2, 0), (30, 0)];
        let seals = (10..20).flat_map(|seal| [(30, seal), (seal, 0)]);
        let edges = edges.into_iter().chain(seals).map(|(from, to)| Edge {
            from: format!("b3:{from:02}"),
            to: format!("b3:{to:02}"),
            role: "used".to_owned(),
        });
        let reply =
            TraceReply { start: "b3:30".to_owned(), nodes, edges: edges.collect(), ..TraceReply::default() };
        expect![[r#"
            dataset:p/d@v1  300 rows  b3:30
            ├─ view:p/v@v1  b3:00
            ├─ load:p/l1  20 rows  b3:02
            │  └─ source a.csv  10 rows  b3:01
            └─ 10 seals  1,450 rows in all"#]]
        .assert_eq(&draw(&reply).join("\n"));
    }
}
