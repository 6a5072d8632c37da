//! The fields of a record on a page: facts first, then its lists as tables.

use lineate_ledger::render::on_one_line;
use serde_json::{Map, Value};

use crate::output::{
    Page, number,
    table::{Side, Table},
};

/// Nodes that a fact names before it counts the rest; the JSON form has all.
const NAMED: usize = 6;
/// Rows of a list before the rest is counted.
const LISTED: usize = 200;

/// The fields that are no lists, by their names for people.
pub(super) fn facts(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for (name, value) in fields {
        let label = name.replace('_', " ");
        match value {
            Value::Object(_) if is_text(value) || is_node(value) => facts.push((label, shown(value))),
            Value::Object(pairs) if matches!(name.as_str(), "parameters" | "metrics") => {
                let pairs = pairs.iter().map(|(key, value)| format!("{}={}", on_one_line(key), shown(value)));
                facts.push((label, pairs.collect::<Vec<_>>().join("  ")));
            }
            Value::Object(inner) => {
                facts.extend(
                    self::facts(inner).into_iter().map(|(name, value)| (format!("{label} {name}"), value)),
                );
            }
            Value::Array(nodes) if nodes.iter().all(is_node) => facts.push((label, named(nodes))),
            // The name and the version are in the title.
            _ if matches!(name.as_str(), "project" | "name" | "version") => {}
            Value::Number(number) => {
                let number = number.as_u64().unwrap_or_default();
                let is_bytes = name.as_str() == "bytes";
                facts.push((label, if is_bytes { number::bytes(number) } else { number::count(number) }));
            }
            Value::String(_) | Value::Bool(_) => facts.push((label, shown(value))),
            Value::Array(_) | Value::Null => {}
        }
    }
    facts
}

/// The fields that are lists, each as a table.
pub(super) fn tables(page: &mut Page, fields: &Map<String, Value>) {
    for (name, value) in fields {
        let Value::Array(rows) = value else { continue };
        let Some(Value::Object(first)) = rows.first().filter(|row| !is_node(row)) else { continue };
        page.gap();
        let side = |value: &Value| if value.is_number() { Side::Right } else { Side::Left };
        let mut table = Table::new(first.iter().map(|(key, value)| (title(name, key), side(value))));
        for row in rows.iter().take(LISTED).filter_map(Value::as_object) {
            table.row(row.iter().map(|(key, value)| match (key.as_str(), value.as_u64()) {
                ("bytes", Some(bytes)) => number::bytes(bytes),
                ("rows", Some(rows)) => number::count(rows),
                (key, _) if key.ends_with("hash") => number::short_hash(&shown(value)),
                _ => shown(value),
            }));
        }
        page.table(&table);
        let hidden = rows.len().saturating_sub(LISTED);
        if hidden > 0 {
            page.note(&format!("and {} more, see --format json", number::count(hidden as u64)));
        }
    }
}

/// `columns` and `name` give `COLUMN`; `columns` and `logical_hash` give `LOGICAL HASH`.
fn title(list: &str, key: &str) -> String {
    let word = if key == "name" { list.strip_suffix('s').unwrap_or(list) } else { key };
    word.replace('_', " ").to_uppercase()
}

/// A value on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => on_one_line(text),
        Value::Object(fields) if is_text(value) => match (fields.get("text"), fields.get("state")) {
            (Some(Value::String(text)), _) => on_one_line(text),
            (_, Some(Value::String(state))) => format!("({state})"),
            _ => String::new(),
        },
        Value::Object(fields) if is_node(value) => {
            let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            label(field("title"), field("id"))
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The title of a node, with the beginning of its id where the title does not name it alone.
pub(super) fn label(title: &str, id: &str) -> String {
    let short = number::short_hash(id);
    match title {
        "" => short,
        title if title.contains(':') && !title.starts_with("eval:") => title.to_owned(),
        title => format!("{title} {short}"),
    }
}

fn named(nodes: &[Value]) -> String {
    let mut named: Vec<String> = nodes.iter().take(NAMED).map(shown).collect();
    let hidden = nodes.len().saturating_sub(NAMED);
    if hidden > 0 {
        named.push(format!("and {} more", number::count(hidden as u64)));
    }
    named.join(", ")
}

fn is_text(value: &Value) -> bool {
    value.get("commitment").is_some()
}

fn is_node(value: &Value) -> bool {
    value.get("id").is_some() && value.get("title").is_some()
}
