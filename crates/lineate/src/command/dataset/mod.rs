//! `lineate dataset`.

mod create;
mod list;
mod pull;
mod show;
mod verify;

use clap::Subcommand;
use lineate_client::Client;

use super::Outcome;
use crate::{error::Error, output::Output};

pub(crate) use create::{Created, Recipe, create};

/// Makes, lists, shows, pulls and verifies training sets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join labels with features as they were known at each label's time
    Create(create::Arguments),
    /// List training sets
    List(list::Arguments),
    /// Show a training set: what it pins, its columns and hashes
    Show(show::Arguments),
    /// Write the rows of a training set to a file or to standard output
    Pull(pull::Arguments),
    /// Run the join again from history and compare, hash by hash
    Verify(verify::Arguments),
}

pub(crate) async fn run(command: Command, client: &Client, output: &mut Output) -> Result<Outcome, Error> {
    match command {
        Command::Create(arguments) => create::run(arguments, client, output).await,
        Command::List(arguments) => list::run(arguments, client, output).await,
        Command::Show(arguments) => show::run(arguments, client, output).await,
        Command::Pull(arguments) => pull::run(arguments, client, output).await,
        Command::Verify(arguments) => verify::run(arguments, client, output).await,
    }
}
