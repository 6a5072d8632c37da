//! The JSON form: the page as it is, nothing left out.

use serde_json::{Value, json};

use super::{Beside, Unsealed, hex};
use crate::graph::{Node, Walk};

/// One page of a walk as one JSON object: `start`, `direction`, `size` and `root` (the checkpoint it was computed
/// at), `complete`, `cut` (whether the depth asked for left edges out), `cursor` (hex; null on the last page), `nodes`,
/// `edges`.
pub fn json(walk: &Walk, beside: Beside<'_>) -> Value {
    let nodes: Vec<Value> = walk
        .nodes
        .iter()
        .map(|found| {
            let mut value = node(&found.node);
            if let Value::Object(fields) = &mut value {
                fields.insert("depth".to_owned(), json!(found.depth));
                fields.insert("cut".to_owned(), json!(found.cut));
                if let Some(note) = (beside.note)(found.node.id) {
                    fields.insert("note".to_owned(), json!(note));
                }
                if let Some(unsealed) = beside.unsealed.get(&found.node.id) {
                    fields.insert("unsealed".to_owned(), self::unsealed(unsealed));
                }
            }
            value
        })
        .collect();
    let edges: Vec<Value> = walk
        .edges
        .iter()
        .map(|edge| json!({"from": edge.from.to_string(), "role": edge.role.as_str(), "to": edge.to.to_string()}))
        .collect();
    json!({
        "start": walk.start.to_string(),
        "direction": walk.direction.as_str(),
        "size": walk.size,
        "root": beside.root.map(|root| root.to_string()),
        "complete": walk.is_complete(),
        "cut": walk.cut,
        "cursor": walk.cursor.as_ref().map(|cursor| hex(&cursor.encode())),
        "nodes": nodes,
        "edges": edges,
    })
}

/// A node as a JSON object; what it does not have is left out.
fn node(node: &Node) -> Value {
    let mut value = json!({
        "id": node.id.to_string(),
        "kind": node.word(),
        "title": node.title(),
        "seq": node.seq,
        "commit_time": node.commit_time.to_string(),
    });
    if let Value::Object(fields) = &mut value {
        let optional = [
            ("project", node.project.as_ref().map(|project| json!(project.as_str()))),
            ("name", node.name.as_ref().map(|name| json!(name.as_str()))),
            ("version", node.version.map(|version| json!(version))),
            ("file", node.file.map(|file| json!(file.to_string()))),
            ("rows", node.rows.map(|rows| json!(rows))),
            ("detail", node.detail.as_ref().map(|detail| json!(detail))),
        ];
        for (key, field) in optional {
            if let Some(field) = field {
                fields.insert(key.to_owned(), field);
            }
        }
    }
    value
}

fn unsealed(unsealed: &Unsealed) -> Value {
    json!({
        "rows": unsealed.rows,
        "at_most": unsealed.at_most,
        "shards": unsealed.shards,
        "since": unsealed.since.to_string(),
    })
}
