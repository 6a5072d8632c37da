//! The command line: what can be written, and what is answered to what cannot.

use std::{env, io::Write, path::PathBuf, process::ExitCode};

use clap::{
    Args, Parser,
    builder::styling::{AnsiColor, Styles},
    error::ErrorKind,
};

use crate::{
    command::Command,
    output::{Format, failure},
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Cyan.on_default().bold())
    .usage(AnsiColor::Cyan.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::White.on_default().dimmed());

const EXAMPLES: &str = "\
\u{1b}[1;36mA first tour:\u{1b}[0m
  lineate demo                                            the whole job on generated data
  lineate --data-dir store apply features.yaml            define entities, views and services
  lineate --data-dir store ingest weather weather.parquet load history
  lineate --data-dir store get delay_model --entity origin=JFK
  lineate --data-dir store dataset create delays --spine labels.parquet --service delay_model
  lineate --data-dir store trace dataset:delays           what it was made from

With a server (`lineate serve --data-dir store`) the same commands take --addr, or nothing at all \
for 127.0.0.1:7401. Exit codes: 0 done, 1 failed or not verified, 2 wrong usage, 130 interrupted.";

/// A feature store and lineage database: features as they were known, and proof of where they came from.
#[derive(Debug, Parser)]
#[command(name = "lineate", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command, before or after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Use the store in this directory, in this process; init, apply, serve and demo make one if there is none
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Use the server there [env: LINEATE_ADDR] [default: 127.0.0.1:7401]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) addr: Option<String>,
    /// text or json; trace also knows tree, dot and prov-json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub(crate) format: Format,
}

/// Answers a command line that cannot be run: help and version are no errors.
pub(crate) fn refuse(refusal: &clap::Error) -> ExitCode {
    let wanted = matches!(
        refusal.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if !wanted && asks_for_json(env::args()) {
        failure::print_usage_json(refusal);
    } else {
        // A closed pipe cannot be told anything.
        let _ = refusal.print();
        let _ = std::io::stderr().flush();
    }
    match refusal.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

/// Whether a command line that does not parse asks for JSON, which its error should then be.
fn asks_for_json(arguments: impl Iterator<Item = String>) -> bool {
    let mut previous = String::new();
    for argument in arguments {
        if argument == "--format=json" || (previous == "--format" && argument == "json") {
            return true;
        }
        previous = argument;
    }
    false
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_go_before_or_after_the_command() {
        for line in [
            "lineate --data-dir d --format json get s --entity k=v",
            "lineate get --data-dir d s --entity k=v --format json",
            "lineate --format json dataset list --data-dir d",
            "lineate dataset --data-dir d list --format json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(cli.global.data_dir, Some("d".into()), "{line}");
            assert_eq!(cli.global.format, Format::Json, "{line}");
        }
    }

    #[test]
    fn json_is_recognised_in_lines_that_do_not_parse() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(str::to_owned));
        assert!(asks("lineate --format json nonsense"));
        assert!(asks("lineate nonsense --format=json"));
        assert!(!asks("lineate json --format text"));
    }
}
