//! The `lineate` binary: one command line for a store in this process and for a server.
//!
//! Invariants:
//! - every command but `serve` and `init` speaks to a node through `lineate-client` alone, so that an embedded
//!   store and a server run the same code and print the same;
//! - standard output carries the answer, in text or as one JSON document (rows: one object a line), nothing else;
//!   progress, logs and errors go to standard error;
//! - the exit code is 0 for done, 1 for failed or not verified, 2 for a wrong command line,
//!   130 for interrupted.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments on arguments are their help: `[@vN]` is no link"
)]

mod cli;
mod command;
mod entity;
mod error;
mod output;
mod rows;
mod session;
mod target;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Where it is refused, fewer segments and connections are open at once.
    let _ = lineate_storage::raise_descriptor_limit();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(refusal) => return cli::refuse(&refusal),
    };
    let format = cli.global.format;
    match command::run(cli) {
        Ok(command::Outcome::Done) => ExitCode::SUCCESS,
        Ok(command::Outcome::NotVerified) => ExitCode::FAILURE,
        Ok(command::Outcome::Interrupted) => ExitCode::from(command::INTERRUPTED),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output::failure::print(&error, format);
            ExitCode::from(error.exit_code())
        }
    }
}
