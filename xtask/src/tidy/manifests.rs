//! Rules about manifests. They are read line by line: the shapes these rules allow are all of one line.

use super::Finding;
use crate::tree::{TextFile, Tree};

/// The root manifest.
const ROOT: &str = "Cargo.toml";

fn members(tree: &Tree) -> impl Iterator<Item = &TextFile> {
    tree.ending("/Cargo.toml")
        .filter(|file| file.path.starts_with("crates/") || file.path.starts_with("xtask/"))
}

/// The lines of a manifest with their numbers and the section they stand in.
fn entries(file: &TextFile) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    file.lines().filter_map(move |(number, line)| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            return None;
        }
        (!line.is_empty() && !line.starts_with('#')).then_some((number, section, line))
    })
}

pub(super) fn versions(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in members(tree) {
        for (number, line) in file.lines() {
            if line.starts_with('[') && line.contains("dependencies.") {
                found.push(Finding::new(
                    &file.path,
                    number,
                    "write the dependency as one line, `name.workspace = true`",
                ));
            }
        }
        for (number, _, line) in entries(file).filter(|(_, section, _)| section.ends_with("dependencies")) {
            let from_workspace = line.contains(".workspace = true") || line.contains("workspace = true");
            if !from_workspace || line.contains("version") || line.contains("features = [") {
                let message = format!(
                    "`{line}`: versions and features stand in the root manifest; say `.workspace = true`"
                );
                found.push(Finding::new(&file.path, number, message));
            }
        }
    }
    found
}

pub(super) fn lints(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let takes_lints = |file: &TextFile| {
        entries(file).any(|(_, section, line)| section == "lints" && line == "workspace = true")
    };
    for file in members(tree).filter(|file| !takes_lints(file)) {
        found.push(Finding::new(&file.path, 0, "add `[lints] workspace = true`"));
    }
    let root = tree.texts.iter().find(|file| file.path == ROOT);
    let forbids = root.is_some_and(|file| {
        entries(file)
            .any(|(_, section, line)| section == "workspace.lints.rust" && line == "unsafe_code = \"forbid\"")
    });
    if !forbids {
        found.push(Finding::new(ROOT, 0, "[workspace.lints.rust] must say `unsafe_code = \"forbid\"`"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[lints]\nworkspace = true\n\n[dependencies]\n# why\nserde.workspace = true\n";

    fn lines(found: Vec<Finding>) -> Vec<(String, usize)> {
        found.into_iter().map(|finding| (finding.path, finding.line)).collect()
    }

    #[test]
    fn a_version_in_a_member_is_a_breach() {
        let bad = "[dependencies]\na = \"1\"\nb = { version = \"1\" }\nc.workspace = true\n\
                   d = { workspace = true, features = [\"x\"] }\n[dev-dependencies.e]\n";
        let tree = Tree::of(&[("crates/a/Cargo.toml", GOOD), ("crates/b/Cargo.toml", bad)]);
        let path = "crates/b/Cargo.toml".to_owned();
        let expected = [6, 2, 3, 5].map(|line| (path.clone(), line));
        assert_eq!(lines(versions(&tree)), expected);
    }

    #[test]
    fn a_member_outside_the_lints_is_a_breach() {
        let root = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
        let tree =
            Tree::of(&[(ROOT, root), ("crates/a/Cargo.toml", GOOD), ("xtask/Cargo.toml", "[package]\n")]);
        assert_eq!(lines(lints(&tree)), [("xtask/Cargo.toml".to_owned(), 0)]);
        let tree = Tree::of(&[(ROOT, "[workspace]\nunsafe_code = \"forbid\"\n")]);
        assert_eq!(lines(lints(&tree)), [(ROOT.to_owned(), 0)]);
    }
}
