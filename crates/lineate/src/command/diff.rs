//! `lineate diff`.

use clap::Args;
use console::style;
use lineate_client::{
    Client,
    v1::{DiffReply, Node},
};
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    error::Error,
    output::{Output, Page, Report, checkpoint, number},
};

const EXAMPLES: &str = "\
Examples:
  lineate diff model:late@v1 model:late@v2         why do two versions differ?
  lineate diff dataset:delays@v1 dataset:delays@v2";

/// Compares what two nodes were made from, themselves included.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// KIND:[PROJECT/]NAME[@vN] or b3:HEX
    #[arg(value_name = "NODE")]
    left: String,
    /// The node to compare it with
    #[arg(value_name = "NODE")]
    right: String,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    output.report(&client.diff(&arguments.left, &arguments.right).await?)?;
    Ok(Outcome::Done)
}

impl Report for DiffReply {
    fn text(&self, page: &mut Page) {
        let title = |node: &Option<Node>| node.as_ref().map_or(String::new(), |node| node.title.clone());
        let (left, right) = (title(&self.left), title(&self.right));
        let place = checkpoint::place(self.checkpoint.as_ref());
        if self.changed.is_empty() && self.only_left.is_empty() && self.only_right.is_empty() {
            page.verdict(true, &format!("{left} and {right} were made from the same"), &place);
            return;
        }
        page.title(&format!("{left} → {right}"), &place);
        for change in &self.changed {
            let (left, right) = (title(&change.left), title(&change.right));
            page.line(&format!("{} {left} → {right}", style("~").yellow().bold()));
        }
        for node in &self.only_left {
            page.line(&format!("{} {}", style("-").red().bold(), line(node)));
        }
        for node in &self.only_right {
            page.line(&format!("{} {}", style("+").green().bold(), line(node)));
        }
        for node in &self.shared {
            page.line(&format!("{} {}", style("=").dim(), line(node)));
        }
    }

    fn json(&self) -> Value {
        let nodes = |nodes: &[Node]| -> Value { nodes.iter().map(node).collect() };
        let changed: Vec<Value> = self
            .changed
            .iter()
            .map(|change| {
                json!({
                    "left": change.left.as_ref().map(node),
                    "right": change.right.as_ref().map(node),
                })
            })
            .collect();
        let mut document = json!({
            "left": self.left.as_ref().map(node),
            "right": self.right.as_ref().map(node),
            "changed": changed,
            "only_left": nodes(&self.only_left),
            "only_right": nodes(&self.only_right),
            "shared": nodes(&self.shared),
        });
        checkpoint::put(&mut document, self.checkpoint.as_ref());
        document
    }
}

fn line(node: &Node) -> String {
    let rows = node.rows.map_or(String::new(), |rows| format!("  {}", number::counted(rows, "row")));
    let note = node.note.as_deref().map_or(String::new(), |note| format!("  {note}"));
    let beside = format!("{rows}  {}{note}", number::short_hash(&node.id));
    format!("{}{}", node.title, style(beside).dim())
}

/// A record as every command prints it.
pub(super) fn node(node: &Node) -> Value {
    json!({
        "id": node.id,
        "kind": node.kind,
        "title": node.title,
        "rows": node.rows,
        "note": node.note,
        "commit_time": number::time_or_null(node.commit_time_us),
        "seq": node.sequence,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_client::v1::diff_reply::Changed;

    use super::*;

    fn named(title: &str, rows: Option<u64>) -> Node {
        Node { id: "b3:6437b3ac38465133".into(), title: title.into(), rows, ..Default::default() }
    }

    #[test]
    fn differences_are_marked_like_those_of_a_text() {
        let reply = DiffReply {
            left: Some(named("model:f/late@v1", None)),
            right: Some(named("model:f/late@v2", None)),
            changed: vec![Changed {
                left: Some(named("dataset:f/d@v1", None)),
                right: Some(named("dataset:f/d@v2", None)),
            }],
            only_left: vec![],
            only_right: vec![named("load:f/l4", Some(1_000))],
            shared: vec![named("view:f/weather@v1", None)],
            checkpoint: None,
        };
        let mut page = Page::default();
        reply.text(&mut page);
        expect![[r#"
            model:f/late@v1 → model:f/late@v2
            ~ dataset:f/d@v1 → dataset:f/d@v2
            + load:f/l4  1,000 rows  b3:6437b3ac3846
            = view:f/weather@v1  b3:6437b3ac3846
        "#]]
        .assert_eq(page.as_str());
    }
}
