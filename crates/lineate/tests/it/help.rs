//! Help that teaches: every command says what it is for and shows how it is used.

use std::path::Path;

use crate::program::run_in;

const COMMANDS: [&str; 22] = [
    "demo",
    "init",
    "serve",
    "apply",
    "show",
    "ingest",
    "push",
    "get",
    "dataset",
    "dataset create",
    "dataset list",
    "dataset show",
    "dataset pull",
    "dataset verify",
    "model register",
    "model list",
    "model promote",
    "trace",
    "diff",
    "erase",
    "verify",
    "cluster",
];

#[test]
fn every_command_has_help_that_fits_a_screen() {
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = run_in(Path::new("."), &arguments, "").text();
        assert!(help.contains("Usage: lineate"), "{command}: {help}");
        assert!(help.lines().count() < 60, "{command}: {help}");
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(110), "{command}: {help}");
    }
}

#[test]
fn commands_that_take_much_show_examples() {
    for command in
        ["apply", "ingest", "push", "get", "dataset create", "model register", "trace", "verify", "serve"]
    {
        let arguments: Vec<&str> = command.split(' ').chain(["-h"]).collect();
        let help = run_in(Path::new("."), &arguments, "").text();
        assert!(help.contains(&format!("\n  lineate {command} ")), "{command}: {help}");
    }
}

#[test]
fn the_first_help_names_every_command_and_the_version_is_told() {
    let help = run_in(Path::new("."), &["--help"], "").text();
    for command in COMMANDS.iter().filter(|command| !command.contains(' ')) {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    assert!(run_in(Path::new("."), &["--version"], "").text().starts_with("lineate "));
}
