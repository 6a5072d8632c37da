//! Runs of faults from the command line: as many crashes as one has time for.

use std::{io::Write, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use lineate_jepsen::{
    Error, Result,
    lossyfs::LossyFs,
    scenario::{Place, crash, full_disk},
};

/// Breaks a real Lineate server, and holds what comes back against what it promised.
#[derive(Debug, Parser)]
#[command(
    name = "lineate-jepsen",
    version,
    after_help = "docs/stress.md tells what is broken and checked, and what runs found."
)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Kill the server (SIGKILL) at random moments
    Kill(Crashes),
    /// Cut the power, or let every fsync fail, at random moments (needs FUSE)
    Power(Crashes),
    /// Fill the disk, then give the space back (needs root)
    FullDisk {
        /// What decides the workload
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Debug, Clone, Copy, Args)]
struct Crashes {
    /// How many crashes
    #[arg(long, alias = "kills", alias = "cuts", default_value_t = 100)]
    crashes: u32,
    /// What decides when and how
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a server works before its crash, at most, in milliseconds
    #[arg(long, default_value_t = 2_500)]
    longest_life_ms: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return failed(&Error::Harness(cause.to_string())),
    };
    match runtime.block_on(run(cli.scenario)) {
        Ok(summary) => {
            let _ = writeln!(std::io::stdout(), "{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

async fn run(scenario: Scenario) -> Result<String> {
    match scenario {
        Scenario::Kill(crashes) => crash(Place::ordinary()?, crashes).await,
        Scenario::Power(crashes) => match LossyFs::refusal() {
            Some(why) => Err(Error::Unable(why)),
            None => crash(Place::lossy()?, crashes).await,
        },
        Scenario::FullDisk { seed } => full_disk::run(seed).await.map(|summary| format!("{summary:#?}")),
    }
}

async fn crash(place: Place, crashes: Crashes) -> Result<String> {
    let Crashes { crashes, seed, longest_life_ms } = crashes;
    let summary = crash::run(place, crash::Options { crashes, seed, longest_life_ms }).await?;
    Ok(format!("{summary:#?}"))
}

fn failed(error: &Error) -> ExitCode {
    let again = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let _ = writeln!(std::io::stderr(), "{}\nagain: cargo run -p lineate-jepsen -- {again}", error.chain());
    ExitCode::FAILURE
}
