//! The gate: its steps in order, and the table at its end.
//!
//! A new step is a row of [`STEPS`]. Cheap steps come first, so that most failures are told within seconds.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{Error, layers, process, programs, python, skips, tidy, tree::Tree};

/// What a step may use.
#[derive(Debug)]
pub struct Context {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Whether `cargo nextest` runs the tests, doc tests beside it. It hides what passing tests print, and so the
    /// skips they report.
    pub nextest: bool,
    /// What stands after `--`: passed on to the program a single step runs.
    pub arguments: Vec<String>,
}

/// How a step ended.
#[derive(Debug)]
pub enum Outcome {
    /// All is well, but these tests inside reported a skip.
    Passed {
        /// The lines that report it.
        skips: Vec<String>,
    },
    /// It cannot run here.
    Skipped {
        /// The reason, with the skip's id.
        reason: String,
    },
    /// Something is wrong.
    Failed {
        /// What, in a line.
        reason: String,
    },
}

/// A step of the gate.
pub struct Step {
    /// Its name, also a command of its own.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    run: fn(&Context) -> Result<Outcome, Error>,
}

/// The steps, in order.
pub const STEPS: &[Step] = &[
    Step { name: "fmt", about: "rustfmt finds nothing to change", run: fmt },
    Step { name: "tidy", about: "the rules of xtask/src/tidy hold", run: tidy_step },
    Step {
        name: "layers",
        about: "crates import only what the table in xtask/src/layers.rs allows",
        run: layers_step,
    },
    Step {
        name: "deny",
        about: "licences, sources and advisories of dependencies (needs cargo-deny)",
        run: deny,
    },
    Step { name: "clippy", about: "clippy has no warning, tests included", run: clippy },
    Step { name: "test", about: "all Rust tests", run: test },
    Step { name: "doc", about: "the documentation builds without a warning", run: doc },
    Step { name: "python", about: "the Python tests, in .venv (needs python3)", run: python_step },
    Step { name: "bench", about: "every benchmark works, tried once and tiny", run: bench },
];

/// The step of this name.
pub fn step(name: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.name == name)
}

/// Runs steps in order, stopping at the first failure unless told to go on; true if none failed.
pub fn run(context: &Context, steps: &[&Step], keep_going: bool) -> bool {
    let start = Instant::now();
    let listed = Tree::read(&context.root).map(|tree| skips::listed(&tree)).unwrap_or_default();
    let mut ended = Vec::new();
    for step in steps {
        println!("\n=== {}: {}", step.name, step.about);
        let step_start = Instant::now();
        let outcome = (step.run)(context).unwrap_or_else(|error| Outcome::Failed { reason: explain(&error) });
        let outcome = judge(outcome, &listed);
        let took = step_start.elapsed();
        println!("--- {}: {} in {}", step.name, outcome.word(), seconds(took));
        let failed = matches!(outcome, Outcome::Failed { .. });
        ended.push((step.name, outcome, took));
        if failed && !keep_going {
            break;
        }
    }
    summarize(steps, &ended, start.elapsed())
}

/// A skip with an unknown id, or without one, is a failure.
fn judge(outcome: Outcome, listed: &BTreeSet<String>) -> Outcome {
    let lines = match &outcome {
        Outcome::Passed { skips } => skips.as_slice(),
        Outcome::Skipped { reason } => std::slice::from_ref(reason),
        Outcome::Failed { .. } => &[],
    };
    let unknown = lines.iter().find(|line| !skips::ids(line).any(|id| listed.contains(id)));
    match unknown {
        Some(line) => {
            Outcome::Failed { reason: format!("a skip that {} does not list: {line}", skips::LIST) }
        }
        None => outcome,
    }
}

fn summarize(steps: &[&Step], ended: &[(&str, Outcome, Duration)], took: Duration) -> bool {
    println!("\n{:<8} {:<8} {:>8}", "step", "result", "seconds");
    for (name, outcome, took) in ended {
        println!("{name:<8} {:<8} {:>8.1}", outcome.word(), took.as_secs_f64());
    }
    for step in steps.get(ended.len()..).unwrap_or_default() {
        println!("{:<8} {:<8}", step.name, "not run");
    }
    for (name, outcome, _) in ended {
        match outcome {
            Outcome::Failed { reason } => println!("\n{name} failed: {reason}"),
            Outcome::Skipped { reason } => println!("\n{name}: {reason}"),
            Outcome::Passed { skips } => {
                for line in skips {
                    println!("\n{name}: {line}");
                }
            }
        }
    }
    let count = |word| ended.iter().filter(|(_, outcome, _)| outcome.word() == word).count();
    let (passed, skipped, failed) = (count("passed"), count("skipped"), count("failed"));
    let total = seconds(took);
    println!("\ngate: {passed} passed, {skipped} skipped, {failed} failed, of {} in {total}", steps.len());
    failed == 0
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Passed { .. } => "passed",
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. } => "failed",
        }
    }
}

fn fmt(context: &Context) -> Result<Outcome, Error> {
    cargo(context, &["fmt", "--all", "--", "--check"])
}

fn tidy_step(context: &Context) -> Result<Outcome, Error> {
    let tree = Tree::read(&context.root)?;
    let report = tidy::check(&tree);
    for warning in &report.warnings {
        println!("long: {warning}");
    }
    for (rule, finding) in &report.breaches {
        println!("{rule}: {finding}");
    }
    println!("{} files, {} rules", tree.paths.len(), tidy::RULES.len());
    Ok(found(report.breaches.len()))
}

fn layers_step(context: &Context) -> Result<Outcome, Error> {
    let breaches = layers::check(&context.root)?;
    for breach in &breaches {
        println!("{breach}");
    }
    Ok(found(breaches.len()))
}

fn deny(context: &Context) -> Result<Outcome, Error> {
    if !process::works(&context.root, "cargo-deny", &["--version"]) {
        let reason = "skip[no-cargo-deny]: cargo-deny is not installed".to_owned();
        return Ok(Outcome::Skipped { reason });
    }
    cargo(context, &["deny", "--locked", "check"])
}

fn clippy(context: &Context) -> Result<Outcome, Error> {
    cargo(context, &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn test(context: &Context) -> Result<Outcome, Error> {
    // Arguments may name packages, which cargo overlooks beside `--workspace`.
    let all: &[&str] = if context.arguments.is_empty() { &["--workspace"] } else { &[] };
    let run = |words: &[&str]| {
        let mut command = process::cargo(&context.root);
        process::show(command.args(words).arg("--locked").args(all).args(&context.arguments))
    };
    if !context.nextest {
        return run(&["test"]).map(|finished| Outcome::Passed { skips: finished.skips });
    }
    let mut finished = run(&["nextest", "run", "--no-fail-fast"])?;
    finished.skips.extend(run(&["test", "--doc"])?.skips);
    Ok(Outcome::Passed { skips: finished.skips })
}

fn doc(context: &Context) -> Result<Outcome, Error> {
    let mut command = process::cargo(&context.root);
    command.args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    let finished = process::show(command.args(&context.arguments))?;
    Ok(Outcome::Passed { skips: finished.skips })
}

fn python_step(context: &Context) -> Result<Outcome, Error> {
    if !python::exists(&context.root) {
        let reason = "skip[no-python3]: no python3 of 3.11 or later with the venv module".to_owned();
        return Ok(Outcome::Skipped { reason });
    }
    python::prepare(&context.root)?;
    let finished = python::test(&context.root, &context.arguments)?;
    Ok(Outcome::Passed { skips: finished.skips })
}

fn bench(context: &Context) -> Result<Outcome, Error> {
    let programs = programs::build(&context.root)?;
    let mut smoke = process::in_directory(&context.root, programs.join("lineate-bench"));
    smoke.arg("smoke").arg("--lineate").arg(programs.join("lineate")).args(&context.arguments);
    let finished = process::show(&mut smoke)?;
    Ok(Outcome::Passed { skips: finished.skips })
}

fn cargo(context: &Context, arguments: &[&str]) -> Result<Outcome, Error> {
    let finished = process::show(process::cargo(&context.root).args(arguments).args(&context.arguments))?;
    Ok(Outcome::Passed { skips: finished.skips })
}

fn found(breaches: usize) -> Outcome {
    match breaches {
        0 => Outcome::Passed { skips: Vec::new() },
        1 => Outcome::Failed { reason: "1 breach, shown above".into() },
        count => Outcome::Failed { reason: format!("{count} breaches, shown above") },
    }
}

/// An error with what caused it.
pub fn explain(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// The root of a checkout and nothing asked for.
impl From<&Path> for Context {
    fn from(root: &Path) -> Self {
        Self { root: root.to_path_buf(), nextest: false, arguments: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_that_is_not_listed_fails() {
        let listed = BTreeSet::from(["known".to_owned()]);
        let line = |id: &str| ["a: skip", "[", id, "]: why"].concat();
        let word = |outcome| judge(outcome, &listed).word();
        assert_eq!(word(Outcome::Skipped { reason: line("known") }), "skipped");
        assert_eq!(word(Outcome::Skipped { reason: line("unknown") }), "failed");
        assert_eq!(word(Outcome::Skipped { reason: "no id".into() }), "failed");
        assert_eq!(word(Outcome::Passed { skips: vec![line("known"), line("unknown")] }), "failed");
    }

    #[test]
    fn the_names_of_steps_are_unique() {
        let names: BTreeSet<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
    }
}
