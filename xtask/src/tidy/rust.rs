//! Rules about Rust files.

use super::Finding;
use crate::tree::Tree;

/// Lines a file has at most.
const LINES: usize = 800;
/// Lines from which a file is listed as long.
const LINES_LONG: usize = 500;

pub(super) fn length(tree: &Tree) -> Vec<Finding> {
    let message = |lines| format!("{lines} lines, at most {LINES}; split it by the nouns it holds");
    longer_than(tree, LINES).map(|(path, lines)| Finding::new(path, 0, message(lines))).collect()
}

/// Files longer than most, though not yet too long.
pub(super) fn long(tree: &Tree) -> Vec<Finding> {
    longer_than(tree, LINES_LONG)
        .map(|(path, lines)| Finding::new(path, 0, format!("{lines} lines")))
        .collect()
}

fn longer_than(tree: &Tree, most: usize) -> impl Iterator<Item = (&str, usize)> {
    let lengths = tree.ending(".rs").map(|file| (file.path.as_str(), file.lines().count()));
    lengths.filter(move |(_, lines)| *lines > most)
}

pub(super) fn header(tree: &Tree) -> Vec<Finding> {
    let sources =
        tree.ending(".rs").filter(|file| file.source_of().is_some() || file.path.starts_with("xtask/src/"));
    sources
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| {
            Finding::new(&file.path, 1, "starts without `//!`; say what this is and what it guarantees")
        })
        .collect()
}

pub(super) fn ignored(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.ending(".rs") {
        for (number, line) in file.lines() {
            if line.trim_start().starts_with("#[ignore") {
                let message = "an ignored test; run it, or report a skip with an id of docs/skips.md";
                found.push(Finding::new(&file.path, number, message));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_a_breach_and_one_near_it_a_warning() {
        let (near, over) = ("x\n".repeat(LINES), "x\n".repeat(LINES + 1));
        let tree = Tree::of(&[("a.rs", &near), ("b.rs", &over), ("c.md", &over), ("d.rs", "x\n")]);
        assert_eq!(length(&tree).iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["b.rs"]);
        assert_eq!(long(&tree).len(), 2);
    }

    #[test]
    fn a_source_without_a_header_is_a_breach_and_a_test_is_not() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "use x;\n"),
            ("crates/a/src/deep/good.rs", "//! A thing.\n"),
            ("crates/a/tests/it/main.rs", "use x;\n"),
            ("xtask/src/bad.rs", "fn f() {}\n"),
        ]);
        let paths: Vec<_> = header(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/a/src/lib.rs", "xtask/src/bad.rs"]);
    }

    #[test]
    fn an_ignored_test_is_a_breach() {
        let text = "#[test]\n    #[ignore = \"slow\"]\nfn f() {}\n";
        assert_eq!(ignored(&Tree::of(&[("a.rs", text)])).len(), 1);
    }
}
