//! `cargo xtask`: reads the command line and runs the steps it names. `cargo xtask --help` teaches.

#![expect(clippy::print_stdout, reason = "a task runner speaks on stdout")]

use std::process::ExitCode;

use xtask::{
    gate::{self, Context, STEPS, Step},
    tidy, tree,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Request::parse(&words) {
        Ok(Request::Help) => {
            println!("{}", help());
            ExitCode::SUCCESS
        }
        Ok(Request::Run { context, steps, keep_going }) => match gate::run(&context, &steps, keep_going) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(1),
        },
        Err(why) => {
            eprintln!("{why}\n`cargo xtask --help` lists the commands");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
enum Request {
    Help,
    Run { context: Context, steps: Vec<&'static Step>, keep_going: bool },
}

impl Request {
    fn parse(words: &[String]) -> Result<Self, String> {
        let (own, passed_on) = match words.iter().position(|word| word == "--") {
            Some(at) => (words.get(..at).unwrap_or_default(), words.get(at + 1..).unwrap_or_default()),
            None => (words, &[][..]),
        };
        let mut context = Context { root: tree::root(), nextest: false, arguments: passed_on.to_vec() };
        let mut steps: Vec<&'static Step> = Vec::new();
        let mut keep_going = false;
        let mut whole_gate = false;
        for word in own {
            match word.as_str() {
                "help" | "-h" | "--help" => return Ok(Self::Help),
                "ci" => whole_gate = true,
                "--keep-going" => keep_going = true,
                "--nextest" => context.nextest = true,
                name => {
                    let known =
                        gate::step(name).ok_or_else(|| format!("`{name}` is not a command or option"))?;
                    steps.push(known);
                }
            }
        }
        match (whole_gate, steps.is_empty()) {
            (true, false) => return Err("`ci` runs every step; name it alone".into()),
            (true, true) => steps = STEPS.iter().collect(),
            (false, true) => return Ok(Self::Help),
            (false, false) => {}
        }
        if !context.arguments.is_empty() && steps.len() != 1 {
            return Err("what stands after `--` goes to one step; name exactly one".into());
        }
        Ok(Self::Run { context, steps, keep_going })
    }
}

fn help() -> String {
    let steps: String = STEPS.iter().map(|step| format!("  {:<9} {}\n", step.name, step.about)).collect();
    let rules: String =
        tidy::RULES.iter().map(|rule| format!("  {:<11} {}\n", rule.name, rule.asks)).collect();
    format!(
        "\
The tasks of this repository.

  cargo xtask ci [--keep-going] [--nextest]     the whole gate: every step below, in order
  cargo xtask STEP...  [-- ARGUMENTS]           some steps; ARGUMENTS go to the program of a single step

Steps, cheapest first; the gate stops at the first that fails unless told to keep going:
{steps}
Rules of `tidy`:
{rules}
Options:
  --keep-going  run the steps after a failed one too
  --nextest     run the tests with cargo-nextest, doc tests beside it; skips of tests are then not listed

Examples:
  cargo xtask fmt tidy layers                   what to run before a commit
  cargo xtask test -- -p lineate-segment        the tests of one crate
  cargo xtask python -- -k oracle               some Python tests

A step that cannot run here is skipped, named in the table at the end with its reason; docs/skips.md lists
every skip there is, and one that is not listed fails. Exit code: 0 passed, 1 failed, 2 wrong usage."
    )
}
