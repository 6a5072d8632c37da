//! `lineate-bench`: makes the report, or tries everything once and tiny.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use lineate_bench::{
    Error, Result,
    data::{Job, flights, payments},
    floor::echo,
    peer::{python, redis},
    report::{self, Header, Machine, Section, Steal},
    scale::Scale,
    server,
    workload::{Bench, Skip, Workload},
};
use tokio::signal::unix::{SignalKind, signal};

/// Where the flights of 2013 are, unless `LINEATE_FLIGHTS` says.
const FLIGHTS: &str = "../shared/data/nycflights13";
const REPORT: &str = "benches/REPORT.md";

const NO_FLIGHTS: Skip =
    Skip::new("skip[flights-data]: the data is not here; set LINEATE_FLIGHTS to its directory");
const NO_PYTHON: Skip = Skip::new("skip[no-python3]: no python3 of 3.11 or later with the venv module");
const NO_REDIS: Skip = Skip::new("skip[no-redis-server]: redis-server is not installed");

/// Measures Lineate beside floors and peers.
#[derive(Debug, Parser)]
#[command(name = "lineate-bench", subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures everything and writes benches/REPORT.md; takes about half an hour
    Report(ReportArguments),
    /// Tries everything once and tiny, in a minute: whether it works, not how fast
    Smoke(Shared),
    /// Answers lookups with prepared replies (the floor; started by the others)
    #[command(hide = true)]
    Echo {
        /// Files with replies
        replies: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct ReportArguments {
    #[command(flatten)]
    shared: Shared,
    /// The day, for the page
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// Times every figure is taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Where the page goes [default: benches/REPORT.md]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Shared {
    /// The program to measure [default: built from this checkout, in the profile of this program]
    #[arg(long, value_name = "PATH")]
    lineate: Option<PathBuf>,
    /// A directory on the disk to measure [default: the target directory]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Only these workloads
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Workload>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let work = async {
        match Cli::parse().command {
            Command::Report(arguments) => write_report(arguments).await,
            Command::Smoke(shared) => smoke(shared).await,
            Command::Echo { replies } => echo::serve(&replies).await,
        }
    };
    // Dropped early, the work ends its servers and removes its directories.
    let done = tokio::select! {
        done = work => done,
        () = stop_signal() => Err(Error::Stopped),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", explained(&error));
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn write_report(arguments: ReportArguments) -> Result<()> {
    let root = xtask::tree::root();
    let output = arguments.output.unwrap_or_else(|| root.join(REPORT));
    if cfg!(debug_assertions) {
        eprintln!("bench: this is not a release build; the figures say nothing about speed");
    }
    let data = std::env::var_os("LINEATE_FLIGHTS").map_or_else(|| root.join(FLIGHTS), PathBuf::from);
    let flights = flights::job(&root, &data).ok_or(NO_FLIGHTS);
    if let Err(skip) = &flights {
        eprintln!("{}", skip.report);
    }
    let page =
        run(root, &arguments.shared, Scale::report(arguments.runs.into()), flights, arguments.date).await?;
    fs::write(&output, page).map_err(Error::file(&output))?;
    eprintln!("bench: wrote {}", output.display());
    Ok(())
}

async fn smoke(shared: Shared) -> Result<()> {
    // The flights are no tiny data, so they are left out here whether they are there or not.
    let flights = Err(Skip::new("left out of the smoke test"));
    let page = run(xtask::tree::root(), &shared, Scale::smoke(), flights, None).await?;
    let own_program = std::env::current_exe().map_err(Error::file("this program"))?;
    let output = own_program.with_file_name("bench-smoke.md");
    fs::write(&output, page).map_err(Error::file(&output))?;
    eprintln!("bench: all of it works; see {}", output.display());
    Ok(())
}

/// Runs the workloads asked for. The page.
async fn run(
    root: PathBuf,
    shared: &Shared,
    scale: Scale,
    flights: std::result::Result<Job, Skip>,
    date: Option<String>,
) -> Result<String> {
    let steal = Steal::watch();
    let own_program = std::env::current_exe().map_err(Error::file("this program"))?;
    let lineate = match &shared.lineate {
        Some(path) => path.canonicalize().map_err(Error::file(path))?,
        None => server::build(&root, &own_program)?,
    };
    let target = own_program.parent().unwrap_or(&root).to_owned();
    let above = shared.scratch.clone().unwrap_or(target);
    let scratch =
        tempfile::Builder::new().prefix("bench-").tempdir_in(&above).map_err(Error::file(&above))?;
    let runs = scale.runs;
    let bench = Bench {
        payments: payments::write(&root, scratch.path(), &scale.data)?,
        flights,
        python: python::prepare(&root)?.ok_or(NO_PYTHON),
        redis: redis::version().ok_or(NO_REDIS),
        root,
        scratch: scratch.path().to_owned(),
        lineate,
        own_program,
        scale,
    };
    for skip in [bench.python.as_ref().err(), bench.redis.as_ref().err()] {
        skip.into_iter().for_each(|skip| eprintln!("{}", skip.report));
    }
    let mut sections = Vec::new();
    for workload in Workload::ALL {
        if shared.only.is_empty() || shared.only.contains(&workload) {
            sections.push(workload.run(&bench).await?);
        } else {
            let skipped = vec![format!("the workload `{workload:?}`: it was not asked for").to_lowercase()];
            sections.push(Section { skipped, ..Section::default() });
        }
    }
    let header = Header {
        date,
        runs,
        machine: Machine::read(&bench.root, &bench.scratch, &bench.lineate),
        steal: steal.share(),
        peers: peers(&bench),
    };
    Ok(report::render(&header, &sections))
}

/// The versions of the peers.
fn peers(bench: &Bench) -> Vec<String> {
    let python = bench.python.iter().flat_map(|interpreter| python::versions(interpreter));
    python.chain(bench.redis.iter().map(|version| format!("Redis {version}"))).collect()
}

/// An error with all that caused it.
fn explained(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
