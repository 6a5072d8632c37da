//! Traces the model to its sources.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use console::style;
use lineate_client::{
    Client,
    v1::{Direction, Drawing, TraceReply, TraceRequest},
};
use serde_json::{Value, json};

use crate::{
    demo::timing::micros,
    error::Error,
    output::{Page, Report, number},
};

/// Lines of the tree that are shown.
const LINES: usize = 40;

/// A walk over the graph, as a tree and as nodes.
pub(in crate::demo) struct Traced {
    node: String,
    tree: String,
    reply: TraceReply,
    elapsed: Duration,
}

/// Walks up from a node.
pub(in crate::demo) async fn trace(client: &Client, node: &str) -> Result<Traced, Error> {
    let request = |drawing: Drawing| TraceRequest {
        node: node.to_owned(),
        direction: Direction::Up.into(),
        drawing: drawing.into(),
        ..TraceRequest::default()
    };
    let tree = client.trace(request(Drawing::Tree)).await?.drawing;
    let started = Instant::now();
    let reply = client.trace(request(Drawing::Unspecified)).await?;
    Ok(Traced { node: node.to_owned(), tree, reply, elapsed: started.elapsed() })
}

impl Traced {
    fn kinds(&self) -> BTreeMap<&str, u64> {
        let mut kinds = BTreeMap::new();
        for node in &self.reply.nodes {
            *kinds.entry(node.kind.as_str()).or_default() += 1;
        }
        kinds
    }
}

impl Report for Traced {
    fn text(&self, page: &mut Page) {
        for line in self.tree.lines().take(LINES) {
            page.line(&format!("  {}", quiet_tail(line)));
        }
        let left = self.tree.lines().count().saturating_sub(LINES) as u64;
        if left > 0 {
            page.note(&format!("… and {}", number::counted(left, "line")));
        }
        page.gap();
        let reply = &self.reply;
        let verdict = if reply.complete { "traced completely" } else { "traced in part" };
        page.verdict(
            reply.complete,
            &format!(
                "{} {verdict}: {}, {}",
                self.node,
                number::counted(reply.nodes.len() as u64, "record"),
                number::counted(reply.edges.len() as u64, "edge")
            ),
            &number::duration(self.elapsed),
        );
        let kinds: Vec<String> =
            self.kinds().into_iter().map(|(kind, count)| number::counted(count, kind)).collect();
        page.note(&kinds.join(" · "));
    }

    fn json(&self) -> Value {
        let nodes: Vec<Value> = self
            .reply
            .nodes
            .iter()
            .map(|node| json!({"id": node.id, "kind": node.kind, "title": node.title, "rows": node.rows}))
            .collect();
        let edges: Vec<Value> = self
            .reply
            .edges
            .iter()
            .map(|edge| json!({"from": edge.from, "to": edge.to, "role": edge.role}))
            .collect();
        json!({
            "node": self.node,
            "complete": self.reply.complete,
            "nodes": nodes,
            "edges": edges,
            "elapsed_us": micros(self.elapsed),
        })
    }
}

/// Dims what follows a node's name, so that the names stand out.
fn quiet_tail(line: &str) -> String {
    let start = line.find(|c: char| c.is_alphanumeric()).unwrap_or(0);
    let (branch, label) = line.split_at(start);
    match label.split_once("  ") {
        Some((name, rest)) => format!("{}{name}  {}", style(branch).dim(), style(rest).dim()),
        None => format!("{}{label}", style(branch).dim()),
    }
}
