//! `lineate show`: what is defined, and what is recorded of any node.

mod definition;
mod fields;
mod node;

use clap::Args;
use lineate_client::Client;

use self::node::Shown;
use super::Outcome;
use crate::{error::Error, output::Output};

const EXAMPLES: &str = "\
Examples:
  lineate show                          everything that is defined
  lineate show view:weather             keys, times, features, owner, record
  lineate show service:delay_model@v2   its request columns and where each feature comes from
  lineate show model:late               its run, code, parameters, metrics, and how its aliases moved
  lineate show load:l7                  the files it read and the segments it wrote
  lineate show b3:6437b3ac3846…         any record: all that it says";

/// Shows what is defined, or what is recorded of one node.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// view:, service: or entity:[PROJECT/]NAME[@vN]; any other node; all definitions if left out
    #[arg(value_name = "NODE")]
    node: Option<String>,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    match arguments.node {
        None => output.report(&client.list_definitions("").await?)?,
        Some(node) if is_definition(&node) => output.report(&client.describe(&node).await?)?,
        Some(node) => output.report(&Shown::new(client.show_node(&node).await?)?)?,
    }
    Ok(Outcome::Done)
}

fn is_definition(node: &str) -> bool {
    ["view:", "service:", "entity:"].iter().any(|kind| node.starts_with(kind))
}
