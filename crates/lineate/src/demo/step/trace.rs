//! Traces the model to its sources.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lineate_client::{
    Client,
    v1::{Direction, TraceReply, TraceRequest},
};
use serde_json::{Value, json};

use super::lineage_tree;
use crate::{
    demo::timing::micros,
    error::Error,
    output::{Page, Report, number},
};

/// A walk over the graph.
pub(in crate::demo) struct Traced {
    node: String,
    reply: TraceReply,
    elapsed: Duration,
}

/// Walks up from a node.
pub(in crate::demo) async fn trace(client: &Client, node: &str) -> Result<Traced, Error> {
    let request =
        TraceRequest { node: node.to_owned(), direction: Direction::Up.into(), ..TraceRequest::default() };
    let started = Instant::now();
    let reply = client.trace(request).await?;
    Ok(Traced { node: node.to_owned(), reply, elapsed: started.elapsed() })
}

impl Report for Traced {
    fn text(&self, page: &mut Page) {
        let reply = &self.reply;
        for line in lineage_tree::draw(reply) {
            page.line(&format!("  {line}"));
        }
        page.gap();
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
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for node in &reply.nodes {
            *kinds.entry(node.kind.as_str()).or_default() += 1;
        }
        let kinds: Vec<String> =
            kinds.into_iter().map(|(kind, count)| number::counted(count, kind)).collect();
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
