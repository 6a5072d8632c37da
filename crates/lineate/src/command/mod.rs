//! The commands: what each takes, does and prints. One file a command.

mod apply;
mod cluster;
mod dataset;
mod demo;
mod diff;
mod erase;
mod get;
mod ingest;
mod init;
mod model;
mod push;
mod serve;
mod show;
mod trace;
mod verify;

pub(crate) use push::Written;

use std::path::PathBuf;

use clap::Subcommand;
use lineate_client::Client;
use lineate_types::limits;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{Cli, Global},
    error::Error,
    output::Output,
    session::Session,
    target::Target,
    telemetry,
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole job, end to end, on generated data
    Demo(demo::Arguments),
    /// Make a store
    Init(init::Arguments),
    /// Serve a store to others
    Serve(serve::Arguments),
    /// Define entities, feature views and feature services
    Apply(apply::Arguments),
    /// Show what is defined, or what is recorded of a node
    Show(show::Arguments),
    /// Load files into a feature view, all or nothing
    Ingest(ingest::Arguments),
    /// Write rows into a feature view as they come
    Push(push::Arguments),
    /// Look features up, now or at a time
    Get(get::Arguments),
    /// Make, list, show, pull and verify training sets
    #[command(subcommand)]
    Dataset(dataset::Command),
    /// Register, list and promote models
    #[command(subcommand)]
    Model(model::Command),
    /// Show what a node was made from, or what was made from it
    Trace(trace::Arguments),
    /// Compare what two nodes were made from
    Diff(diff::Arguments),
    /// Erase texts that are kept beside records
    Erase(erase::Arguments),
    /// Re-hash and re-prove a node, or the whole store
    Verify(verify::Arguments),
    /// Look at a running cluster
    #[command(subcommand)]
    Cluster(cluster::Command),
}

/// How a command ended that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// It looked, and what it looked at is not as it should be.
    NotVerified,
    /// It was interrupted, and ended in order.
    Interrupted,
}

/// The exit code of an interrupted command, as shells count it: 128 and the signal's number.
pub(crate) const INTERRUPTED: u8 = 130;

/// Runs a command line.
pub(crate) fn run(cli: Cli) -> Result<Outcome, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(dispatch(cli));
    // A read of standard input cannot be interrupted; nothing else is left to wait for.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(cli: Cli) -> Result<Outcome, Error> {
    let Cli { global, mut command } = cli;
    let graph = matches!(command, Command::Trace(_));
    let mut output = Output::standard(global.format, graph)?;
    match command {
        Command::Demo(arguments) => return demo::run(arguments, &global, &mut output).await,
        Command::Init(arguments) => return init::run(arguments, &global, &mut output).await,
        Command::Serve(arguments) => return serve::run(arguments, &global, &mut output).await,
        _ => {}
    }
    telemetry::quiet();
    let interrupted = interrupted();
    let target = target(global)?;
    let session = match &mut command {
        Command::Apply(arguments) => {
            arguments.read()?;
            match arguments.plan {
                true => Session::open_to_plan(target, output.format()).await?,
                false => Session::open(target, Some(limits::DEFAULT_SHARDS)).await?,
            }
        }
        // A mistyped directory must not become a store.
        _ => Session::open(target, None).await?,
    };
    let outcome = match command {
        // It says what it wrote until then.
        Command::Push(arguments) => push::run(arguments, session.client(), &mut output, interrupted).await,
        other => tokio::select! {
            outcome = perform(other, session.client(), &mut output) => outcome,
            () = interrupted => Ok(Outcome::Interrupted),
        },
    };
    session.close().await?;
    outcome
}

/// Waits for an interrupt from the terminal. The command is dropped then, which a node takes for a caller who went
/// away, and a store in this process is closed in order; a second interrupt ends the process where it stands.
///
/// Listens from the call on, not only while it is waited for.
fn interrupted() -> impl Future<Output = ()> {
    let listening = signal(SignalKind::interrupt());
    async move {
        // Without a handler the first interrupt ends the process, as it does any other.
        let Ok(mut interrupts) = listening else { return std::future::pending().await };
        interrupts.recv().await;
        tokio::spawn(async move {
            interrupts.recv().await;
            std::process::exit(INTERRUPTED.into());
        });
    }
}

async fn perform(command: Command, client: &Client, output: &mut Output) -> Result<Outcome, Error> {
    match command {
        Command::Apply(arguments) => apply::run(arguments, client, output).await,
        Command::Show(arguments) => show::run(arguments, client, output).await,
        Command::Ingest(arguments) => ingest::run(arguments, client, output).await,
        Command::Get(arguments) => get::run(arguments, client, output).await,
        Command::Dataset(command) => dataset::run(command, client, output).await,
        Command::Model(command) => model::run(command, client, output).await,
        Command::Trace(arguments) => trace::run(arguments, client, output).await,
        Command::Diff(arguments) => diff::run(arguments, client, output).await,
        Command::Erase(arguments) => erase::run(arguments, client, output).await,
        Command::Verify(arguments) => verify::run(arguments, client, output).await,
        Command::Cluster(command) => cluster::run(command, client, output).await,
        Command::Demo(_) | Command::Init(_) | Command::Serve(_) | Command::Push(_) => Ok(Outcome::Done),
    }
}

/// The directory of a command that works on a store in this process only.
fn required_directory(global: &Global, command: &str) -> Result<PathBuf, Error> {
    let target = Target::resolve(global.data_dir.clone(), global.addr.clone(), None)?;
    match target {
        Target::Directory(directory) => Ok(directory),
        Target::Address(_) => Err(Error::Usage(format!("`lineate {command}` needs --data-dir DIR"))),
    }
}

fn target(global: Global) -> Result<Target, Error> {
    Target::resolve(global.data_dir, global.addr, std::env::var("LINEATE_ADDR").ok())
}
