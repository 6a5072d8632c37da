//! Tidy: rules about text that no compiler checks. Each rule is data: a name, why it exists, and a function from
//! the checkout to its findings.
//!
//! A rule that needs an exception holds it in a named constant beside it, with the reason.

mod determinism;
mod docs;
mod manifests;
mod rust;
mod skips;
mod text;

use std::fmt;

use crate::tree::Tree;

/// A place where the checkout breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A rule.
pub struct Rule {
    /// One word for it.
    pub name: &'static str,
    /// What it asks for, in a sentence.
    pub asks: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

/// What the rules found.
#[derive(Debug, Default)]
pub struct Report {
    /// Breaches: the gate fails on any.
    pub breaches: Vec<(&'static str, Finding)>,
    /// Files on their way to a breach.
    pub warnings: Vec<Finding>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule {
        name: "blanks",
        asks: "no blanks at the end of a line, a line end at the end of a file",
        check: text::blanks,
    },
    Rule { name: "markers", asks: "no notes of unfinished work", check: text::markers },
    Rule { name: "machines", asks: "no absolute path of somebody's machine", check: text::machines },
    Rule {
        name: "registries",
        asks: "no package mirror, not in text and not in the lock file",
        check: text::registries,
    },
    Rule { name: "length", asks: "a Rust file has at most 800 lines", check: rust::length },
    Rule { name: "header", asks: "every Rust source file starts with `//!`", check: rust::header },
    Rule { name: "ignored", asks: "no test is ignored", check: rust::ignored },
    Rule {
        name: "determinism",
        asks: "no clock and no randomness in the deterministic crates",
        check: determinism::check,
    },
    Rule {
        name: "versions",
        asks: "versions and features of dependencies stand in the root manifest only",
        check: manifests::versions,
    },
    Rule {
        name: "unsafe",
        asks: "the workspace forbids unsafe code, and every crate takes its lints",
        check: manifests::lints,
    },
    Rule {
        name: "decisions",
        asks: "every ADR is in the index of docs/adr/README.md",
        check: docs::decisions,
    },
    Rule {
        name: "links",
        asks: "every relative link of a Markdown file leads to a file",
        check: docs::links,
    },
    Rule { name: "skips", asks: "every skip has an id, listed in docs/skips.md", check: skips::check },
];

/// Applies every rule.
pub fn check(tree: &Tree) -> Report {
    let mut report = Report { breaches: Vec::new(), warnings: rust::long(tree) };
    for rule in RULES {
        report.breaches.extend((rule.check)(tree).into_iter().map(|finding| (rule.name, finding)));
    }
    report
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// The findings of a rule as text, one a line: what the tests of the rules compare.
#[cfg(test)]
fn shown(found: Vec<Finding>) -> String {
    found.iter().map(|finding| format!("{finding}\n")).collect()
}
