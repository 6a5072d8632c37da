//! `lineate trace`.

use std::{fs::File, io, path::PathBuf};

use clap::{ArgGroup, Args};
use console::style;
use lineate_client::{
    Client,
    v1::{Direction, Drawing, TraceReply, TraceRequest},
};
use lineate_types::{Hash, Hasher, TimestampUs};

use super::Outcome;
use crate::{
    error::Error,
    output::{Format, Output, checkpoint},
};

const EXAMPLES: &str = "\
Examples:
  lineate trace model:late@v2                  all that the model was made from, to the files
  lineate trace view:weather --down            everything that was made from the view
  lineate trace --file weather.csv             every load, training set and model that has rows of this file
  lineate trace dataset:delays --depth 1       its direct inputs
  lineate trace model:late --at 2024-05-01T00:00:00Z   as it was recorded then
  lineate trace model:late --format dot | dot -Tsvg > lineage.svg

Nodes: load: view: service: dataset: job: run: model: eval: deployment:, then [PROJECT/]NAME[@vN], the newest \
without a version; model:NAME@ALIAS; source:b3:HEX, a file by its content as `b3sum` prints it; b3:HEX, any record \
by its id. Of a hash at least 8 digits.";

/// Shows what a node was made from, or what was made from it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("direction").args(["up", "down"]))]
pub(crate) struct Arguments {
    /// KIND:[PROJECT/]NAME[@vN], model:NAME@ALIAS, source:b3:HEX or b3:HEX
    #[arg(value_name = "NODE", required_unless_present = "file")]
    node: Option<String>,
    /// This file, by its content, instead of a node; down, unless --up is given
    #[arg(long, value_name = "FILE", conflicts_with = "node")]
    file: Option<PathBuf>,
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
    let from_file = arguments.file.is_some();
    let node = match (arguments.file, arguments.node) {
        (Some(file), _) => source(file).await?,
        (None, node) => node.unwrap_or_default(),
    };
    // A file was made from nothing that is known.
    let down = arguments.down || (from_file && !arguments.up);
    let direction = if down { Direction::Down } else { Direction::Up };
    let drawing = match output.format() {
        Format::Text | Format::Tree => Drawing::Tree,
        Format::Json => Drawing::Json,
        Format::Dot => Drawing::Dot,
        Format::ProvJson => Drawing::ProvJson,
    };
    let depth = arguments.depth;
    let request = TraceRequest {
        node,
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

/// The node of a file's content.
async fn source(file: PathBuf) -> Result<String, Error> {
    let hashed = tokio::task::spawn_blocking(move || {
        let mut hasher = Hasher::new();
        match File::open(&file).and_then(|mut open| io::copy(&mut open, &mut hasher)) {
            Ok(_) => Ok(format!("source:{}", Hash::finish(&hasher))),
            Err(source) => Err(Error::File { action: "read", path: file, source }),
        }
    });
    hashed.await.map_err(io::Error::other)?
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
