//! `lineate trace`.

use clap::{ArgGroup, Args};
use console::style;
use lineate_client::{
    Client,
    v1::{Direction, Drawing, TraceReply, TraceRequest},
};
use lineate_types::TimestampUs;

use super::Outcome;
use crate::{
    error::Error,
    output::{Format, Output, checkpoint},
};

const EXAMPLES: &str = "\
Examples:
  lineate trace model:late@v2                  all that the model was made from, to the files
  lineate trace view:weather --down            everything that was made from the view
  lineate trace dataset:delays --depth 1       its direct inputs
  lineate trace model:late --at 2024-05-01T00:00:00Z   as it was recorded then
  lineate trace model:late --format dot | dot -Tsvg > lineage.svg

Nodes: source: load: view: service: dataset: job: run: model: eval: deployment: agent:, then \
[PROJECT/]NAME[@vN]; or b3:HEX, the id of any record. A bare name is the newest version.";

/// Shows what a node was made from, or what was made from it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("direction").args(["up", "down"]))]
pub(crate) struct Arguments {
    /// KIND:[PROJECT/]NAME[@vN] or b3:HEX
    #[arg(value_name = "NODE")]
    node: String,
    /// To what it was made from (the default)
    #[arg(long)]
    up: bool,
    /// To what was made from it
    #[arg(long)]
    down: bool,
    /// Steps at most
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// Only what was recorded by then
    #[arg(long, value_name = "TIME")]
    at: Option<TimestampUs>,
    /// Also show who caused things
    #[arg(long)]
    agents: bool,
    /// Nodes of one answer at most
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    limit: u32,
    /// Go on where an incomplete answer stopped
    #[arg(long, value_name = "HEX", value_parser = hex)]
    cursor: Option<Cursor>,
}

/// Where an answer stopped.
#[derive(Debug, Clone)]
struct Cursor(Vec<u8>);

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let direction = if arguments.down { Direction::Down } else { Direction::Up };
    let drawing = match output.format() {
        Format::Text | Format::Tree => Drawing::Tree,
        Format::Json => Drawing::Json,
        Format::Dot => Drawing::Dot,
        Format::ProvJson => Drawing::ProvJson,
    };
    let depth = arguments.depth;
    let request = TraceRequest {
        node: arguments.node,
        direction: direction.into(),
        depth,
        at_us: arguments.at.map(|time| time.0),
        limit: arguments.limit,
        cursor: arguments.cursor.map(|cursor| cursor.0.into()).unwrap_or_default(),
        agents: arguments.agents,
        drawing: drawing.into(),
    };
    let reply = client.trace(request).await?;
    match drawing {
        Drawing::Tree => {
            output.text(&reply.drawing.lines().map(|line| quiet_tail(line) + "\n").collect::<String>())?;
            output.text(&format!("{}\n", style(ending(&reply, depth)).dim()))?;
        }
        _ => output.text(&ended(reply.drawing))?,
    }
    Ok(Outcome::Done)
}

/// Whether that was all (within a depth, if that left something out), and at which checkpoint of the ledger.
fn ending(reply: &TraceReply, depth: Option<u32>) -> String {
    let place = reply.checkpoint.as_ref().map(checkpoint::line).unwrap_or_default();
    if reply.complete {
        let within = match depth {
            _ if !reply.cut => String::new(),
            Some(depth) => format!(" within depth {depth}"),
            // The cursor knows it.
            None => " within the depth asked for".to_owned(),
        };
        return format!("complete{within} at {place}");
    }
    let cursor: String = reply.cursor.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("computed at {place}; go on with: --cursor {cursor}")
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

fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn hex(text: &str) -> Result<Cursor, String> {
    let digits = text.as_bytes();
    let bytes = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<Vec<u8>>>().map(Cursor).ok_or_else(|| "expected hex digits in pairs".to_owned())
}

#[cfg(test)]
mod tests {
    use lineate_client::v1::Checkpoint;

    use super::*;

    #[test]
    fn cursors_are_hex() {
        assert_eq!(hex("00ffa1").map(|cursor| cursor.0), Ok(vec![0, 255, 0xa1]));
        for text in ["0", "zz", "é0"] {
            assert!(hex(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_trace_ends_with_how_much_it_is_and_of_which_ledger() {
        let checkpoint = Checkpoint { size: 17, root: vec![0xab; 32].into() };
        let all = TraceReply { complete: true, checkpoint: Some(checkpoint), ..TraceReply::default() };
        assert_eq!(ending(&all, Some(1)), "complete at ledger size 17, root abababababab");
        let cut = TraceReply { cut: true, ..all.clone() };
        assert_eq!(ending(&cut, Some(1)), "complete within depth 1 at ledger size 17, root abababababab");
        assert_eq!(
            ending(&cut, None),
            "complete within the depth asked for at ledger size 17, root abababababab"
        );
        let part = TraceReply { complete: false, cursor: vec![1, 0xff].into(), ..all };
        assert_eq!(
            ending(&part, None),
            "computed at ledger size 17, root abababababab; go on with: --cursor 01ff"
        );
    }

    #[test]
    fn lines_keep_their_text() {
        for line in ["├─ dataset:f/d@v1  3 rows  b3:12", "model:f/m@v1", "… not complete", ""] {
            assert_eq!(quiet_tail(line), line);
        }
    }
}
