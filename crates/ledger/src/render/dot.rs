//! The DOT form, for Graphviz.

use super::{Beside, hex, on_one_line};
use crate::graph::{Walk, WalkNode};

/// One page of a walk as a DOT digraph: edges point from the later record to the earlier, as they are recorded.
pub fn dot(walk: &Walk, beside: Beside<'_>) -> String {
    let mut text = String::from("digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n");
    for found in &walk.nodes {
        let id = quoted(&found.node.id.to_string());
        text.push_str(&format!("  {id} [label={}, shape={}];\n", label(found, beside), shape(found)));
        if let Some(unsealed) = beside.unsealed.get(&found.node.id) {
            let far = quoted(&format!("unsealed {}", found.node.id));
            text.push_str(&format!("  {far} [label={}, style=dashed];\n", quoted(&unsealed.to_string())));
            text.push_str(&format!("  {far} -> {id} [style=dashed];\n"));
        }
    }
    for edge in &walk.edges {
        let (from, to) = (quoted(&edge.from.to_string()), quoted(&edge.to.to_string()));
        text.push_str(&format!("  {from} -> {to} [label={}];\n", quoted(edge.role.as_str())));
    }
    if let Some(cursor) = &walk.cursor {
        let label = format!("not complete, cursor {}", hex(&cursor.encode()));
        text.push_str(&format!("  \"not complete\" [shape=plaintext, label={}];\n", quoted(&label)));
    }
    text.push_str("}\n");
    text
}

/// As PROV is drawn: activities are boxes, agents houses, everything else ellipses.
const fn shape(found: &WalkNode) -> &'static str {
    match found.node.kind {
        Some(kind) if kind.is_activity() => "box",
        Some(_) => "ellipse",
        None => "house",
    }
}

/// A quoted label on several lines; `\n` is DOT's own line break, so it is put in after the quoting.
fn label(found: &WalkNode, beside: Beside<'_>) -> String {
    let mut lines = vec![found.node.title()];
    lines.extend(found.node.rows.map(|rows| format!("{rows} rows")));
    lines.extend((beside.note)(found.node.id));
    lines.push(format!("b3:{}", found.node.id.short()));
    let escaped: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
    format!("\"{}\"", escaped.join("\\n"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text inside DOT's quotes: a backslash would begin an escape of its own, a quote would end the string.
fn escaped(text: &str) -> String {
    on_one_line(text).replace('\\', "\\\\").replace('"', "\\\"")
}
