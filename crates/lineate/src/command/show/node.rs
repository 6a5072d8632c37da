//! A node of the lineage graph as it is shown: its record, and the records that say more of it.
//!
//! Records are read here from their canonical bytes and hashed again, so that what is shown is what the id commits to.

use std::collections::BTreeMap;

use lineate_client::v1::{Node, NodeDetail, SealedText, node_detail::Move, sealed_text::State};
use lineate_ledger::{
    Record,
    render::{self, Known},
};
use lineate_types::Hash;
use serde_json::{Map, Value, json};

use super::{super::diff, fields};
use crate::{
    error::Error,
    output::{
        Page, Report, checkpoint, number,
        table::{Side, Table},
    },
};

/// A node with its records read.
pub(super) struct Shown {
    detail: NodeDetail,
    /// All that its record says; none for an agent.
    fields: Option<Map<String, Value>>,
    related: Vec<(Node, Map<String, Value>)>,
    texts: BTreeMap<String, Value>,
}

impl Shown {
    /// Reads the records of an answer.
    ///
    /// # Errors
    /// A record is not what its id says, or is of a kind that this release does not know.
    pub(super) fn new(detail: NodeDetail) -> Result<Self, Error> {
        let texts: BTreeMap<String, Value> =
            detail.texts.iter().map(|text| (text.commitment.clone(), text_value(text))).collect();
        let titles: BTreeMap<&str, &str> =
            detail.named.iter().map(|node| (node.id.as_str(), node.title.as_str())).collect();
        let known = Known {
            text: &|sealed| texts.get(&sealed.to_string()).cloned().unwrap_or(Value::Null),
            node: &|id| {
                let id = id.to_string();
                json!({"title": titles.get(id.as_str()), "id": id})
            },
        };
        let read =
            |node: &Node, bytes: &[u8]| record_of(node, bytes).map(|record| render::record(&record, known));
        let fields = match &detail.node {
            Some(node) if !detail.record.is_empty() => Some(read(node, &detail.record)?),
            _ => None,
        };
        let mut related = Vec::with_capacity(detail.related.len());
        for other in &detail.related {
            let node = other.node.clone().unwrap_or_default();
            let fields = read(&node, &other.record)?;
            related.push((node, fields));
        }
        Ok(Self { detail, fields, related, texts })
    }

    fn who(&self, moved: &Move) -> Value {
        self.texts.get(&moved.principal).cloned().unwrap_or(Value::Null)
    }
}

/// The record with these bytes, whose hash must be the id of the node.
fn record_of(node: &Node, bytes: &[u8]) -> Result<Record, Error> {
    let record = Record::decode(bytes)
        .map_err(|cause| Error::Record { id: node.id.clone(), why: cause.to_string() })?;
    let id = Record::id_of(record.kind(), bytes);
    match node.id.parse::<Hash>() == Ok(id) {
        true => Ok(record),
        false => Err(Error::Record { id: node.id.clone(), why: format!("its bytes hash to {id}") }),
    }
}

fn text_value(text: &SealedText) -> Value {
    let state = match text.state() {
        State::Kept => "kept",
        State::Erased => "erased",
        State::Unknown => "not kept here",
        State::Damaged => "damaged",
        State::LeftOut | State::Unspecified => "left out",
    };
    let kept = (text.state() == State::Kept).then_some(&text.text);
    json!({"commitment": text.commitment, "state": state, "text": kept})
}

impl Report for Shown {
    fn text(&self, page: &mut Page) {
        let detail = &self.detail;
        let Some(node) = &detail.node else { return };
        let rows = node.rows.map(|rows| number::counted(rows, "row")).unwrap_or_default();
        page.title(&node.title, &rows);
        let mut facts = vec![
            (
                "note".to_owned(),
                self.fields.is_none().then(|| node.note.clone()).flatten().unwrap_or_default(),
            ),
            (
                "recorded".to_owned(),
                format!("{} as entry {}", number::time(node.commit_time_us), node.sequence),
            ),
            ("record".to_owned(), node.id.clone()),
            ("aliases".to_owned(), detail.aliases.join(", ")),
        ];
        facts.extend(self.fields.iter().flat_map(fields::facts));
        page.facts(facts);
        self.fields.iter().for_each(|all| fields::tables(page, all));
        for (other, all) in &self.related {
            page.gap();
            page.title(&fields::label(&other.title, &other.id), "");
            let recorded = ("recorded".to_owned(), number::time(other.commit_time_us));
            page.facts([recorded].into_iter().chain(fields::facts(all)));
            fields::tables(page, all);
        }
        if !detail.moves.is_empty() {
            page.gap();
            page.table(&self.moves());
        }
        let left_out =
            [(detail.related_left_out, "related record"), (detail.moves_left_out, "earlier promotion")];
        for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
            page.note(&format!("{} more, see trace --down", number::counted(count, what)));
        }
        page.note(&checkpoint::place(detail.checkpoint.as_ref()));
    }

    fn json(&self) -> Value {
        let detail = &self.detail;
        let mut document = diff::node(&detail.node.clone().unwrap_or_default());
        let edges = detail.edges.iter().map(|edge| json!({"to": edge.to, "role": edge.role}));
        let related = self.related.iter().map(|(node, fields)| {
            let mut document = diff::node(node);
            document["fields"] = json!(fields);
            document
        });
        let moves = detail.moves.iter().map(|moved| {
            json!({
                "alias": moved.alias,
                "from": number::text_or_null(&moved.from),
                "to": moved.to,
                "commit_time": number::time_or_null(moved.commit_time_us),
                "principal": self.who(moved),
                "record": moved.record,
            })
        });
        document["fields"] = json!(self.fields);
        document["edges"] = edges.collect();
        document["related"] = related.collect();
        document["related_left_out"] = json!(detail.related_left_out);
        document["aliases"] = json!(detail.aliases);
        document["promotions"] = moves.collect();
        document["promotions_left_out"] = json!(detail.moves_left_out);
        document["record"] =
            detail.record.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        checkpoint::put(&mut document, detail.checkpoint.as_ref());
        document
    }
}

impl Shown {
    /// How the aliases of a model moved.
    fn moves(&self) -> Table {
        let mut table = Table::new([
            ("ALIAS", Side::Left),
            ("FROM", Side::Left),
            ("TO", Side::Left),
            ("WHEN", Side::Left),
            ("BY", Side::Left),
        ]);
        for moved in &self.detail.moves {
            let version = |title: &str| title.rsplit('/').next().unwrap_or_default().to_owned();
            table.row([
                moved.alias.clone(),
                version(&moved.from),
                version(&moved.to),
                number::time(moved.commit_time_us),
                fields::shown(&self.who(moved)),
            ]);
        }
        table
    }
}
