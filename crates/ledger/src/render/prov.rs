//! PROV-JSON (W3C member submission, 2013-04-24), for the tools that read it.

use serde_json::{Map, Value, json};

use super::{Beside, hex};
use crate::{
    graph::{Node, Walk, WalkEdge},
    record::Role,
};

/// The namespace of Lineate's own attributes and of ids: `lineate:b3-HEX`.
const NAMESPACE: &str = "https://lineate.dev/ns/prov#";

/// One page of a walk as a PROV-JSON document. Relations whose far end is on another page appear with it: PROV
/// lets a document name what it does not describe. `lineate:complete` of the page's first node says whether no more follows,
/// `lineate:cut` whether the depth asked for left edges out.
pub fn prov_json(walk: &Walk, beside: Beside<'_>) -> Value {
    let mut sections: Map<String, Value> = Map::new();
    sections.insert("prefix".to_owned(), json!({"lineate": NAMESPACE}));
    for (position, found) in walk.nodes.iter().enumerate() {
        let section = match found.node.kind {
            Some(kind) if kind.is_activity() => "activity",
            Some(_) => "entity",
            None => "agent",
        };
        let mut attributes = attributes(&found.node, beside);
        if position == 0 {
            attributes.insert("lineate:complete".to_owned(), json!(walk.is_complete()));
            attributes.insert("lineate:cut".to_owned(), json!(walk.cut));
            attributes.insert("lineate:size".to_owned(), json!(walk.size));
            if let Some(root) = beside.root {
                attributes.insert("lineate:root".to_owned(), json!(root.to_string()));
            }
            if let Some(cursor) = &walk.cursor {
                attributes.insert("lineate:cursor".to_owned(), json!(hex(&cursor.encode())));
            }
        }
        put(&mut sections, section, identifier(&found.node.id), Value::Object(attributes));
    }
    for (number, edge) in walk.edges.iter().enumerate() {
        let (section, relation) = relation(edge);
        put(&mut sections, section, format!("_:r{number}"), relation);
    }
    Value::Object(sections)
}

fn attributes(node: &Node, beside: Beside<'_>) -> Map<String, Value> {
    let mut attributes = Map::new();
    attributes.insert("prov:label".to_owned(), json!(node.title()));
    attributes.insert(
        "prov:type".to_owned(),
        json!({"$": format!("lineate:{}", node.word()), "type": "prov:QUALIFIED_NAME"}),
    );
    attributes.insert(
        "lineate:committed".to_owned(),
        json!({"$": node.commit_time.to_string(), "type": "xsd:dateTime"}),
    );
    if let Some(rows) = node.rows {
        attributes.insert("lineate:rows".to_owned(), json!(rows));
    }
    if let Some(note) = (beside.note)(node.id) {
        attributes.insert("lineate:note".to_owned(), json!(note));
    }
    if let Some(unsealed) = beside.unsealed.get(&node.id) {
        attributes.insert("lineate:unsealedRows".to_owned(), json!(unsealed.rows));
    }
    attributes
}

/// PROV's own relation where it has one between these kinds of things, and an influence with our role as its
/// type where it has none.
fn relation(edge: &WalkEdge) -> (&'static str, Value) {
    let (from, to) = (identifier(&edge.from), identifier(&edge.to));
    match edge.role {
        Role::Used => ("used", json!({"prov:activity": from, "prov:entity": to})),
        Role::WasGeneratedBy => ("wasGeneratedBy", json!({"prov:entity": from, "prov:activity": to})),
        Role::WasDerivedFrom => {
            ("wasDerivedFrom", json!({"prov:generatedEntity": from, "prov:usedEntity": to}))
        }
        Role::WasRevisionOf => (
            "wasDerivedFrom",
            json!({
                "prov:generatedEntity": from,
                "prov:usedEntity": to,
                "prov:type": {"$": "prov:Revision", "type": "prov:QUALIFIED_NAME"},
            }),
        ),
        Role::HadMember => ("hadMember", json!({"prov:collection": from, "prov:entity": to})),
        Role::SpecializationOf => {
            ("specializationOf", json!({"prov:specificEntity": from, "prov:generalEntity": to}))
        }
        Role::WasAttributedTo => ("wasAttributedTo", json!({"prov:entity": from, "prov:agent": to})),
        Role::WasAssociatedWith => ("wasAssociatedWith", json!({"prov:activity": from, "prov:agent": to})),
        Role::HadPlan | Role::About | Role::Invalidated => (
            "wasInfluencedBy",
            json!({
                "prov:influencee": from,
                "prov:influencer": to,
                "prov:type": {"$": format!("lineate:{}", edge.role), "type": "prov:QUALIFIED_NAME"},
            }),
        ),
    }
}

/// An id as a qualified name, in which a second colon would be out of place.
fn identifier(id: &lineate_types::Hash) -> String {
    format!("lineate:b3-{}", id.to_hex())
}

fn put(sections: &mut Map<String, Value>, section: &str, key: String, value: Value) {
    let entry = sections.entry(section).or_insert_with(|| json!({}));
    if let Value::Object(fields) = entry {
        fields.insert(key, value);
    }
}
