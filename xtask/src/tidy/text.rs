//! Rules about every text file.
//!
//! The words they look for are spelled in two parts here, so that this file obeys its own rules.

use super::Finding;
use crate::tree::{TextFile, Tree};

/// Notes of unfinished work, as whole words.
const MARKERS: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("unimplemented", "!"),
    concat!("todo", "!"),
];

/// Roots of paths that exist on one machine only.
const MACHINE_ROOTS: [&str; 4] =
    [concat!("/ro", "ot"), concat!("/ho", "me"), concat!("/wo", "rk"), concat!("/Us", "ers")];

/// Words that occur where somebody's package mirror is written down.
const MIRRORS: [&str; 8] = [
    concat!("index", ".crates.io"),
    concat!("static", ".crates.io"),
    concat!("pypi", ".org/simple"),
    concat!("files.", "pythonhosted.org"),
    concat!("--index", "-url"),
    concat!("--extra-index", "-url"),
    concat!("--trusted", "-host"),
    concat!("replace", "-with"),
];

/// The only source a package of `Cargo.lock` has.
const PUBLIC_INDEX: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// Test data may end its lines as it likes: the bytes are the point.
fn is_test_data(file: &TextFile) -> bool {
    file.path.split('/').any(|part| part == "testdata" || part == "fixtures")
}

pub(super) fn blanks(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.texts.iter().filter(|file| !is_test_data(file)) {
        for (number, line) in file.lines() {
            if line.ends_with([' ', '\t', '\r']) {
                found.push(Finding::new(&file.path, number, "blanks at the end of the line"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            found.push(Finding::new(&file.path, file.lines().count(), "the last line has no line end"));
        }
    }
    found
}

pub(super) fn markers(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.texts {
        for (number, line) in file.lines() {
            for marker in MARKERS.into_iter().filter(|marker| has_word(line, marker)) {
                let message = format!("`{marker}`: finish it, or open an issue and leave the note out");
                found.push(Finding::new(&file.path, number, message));
            }
        }
    }
    found
}

pub(super) fn machines(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.texts {
        for (number, line) in file.lines() {
            for root in MACHINE_ROOTS.into_iter().filter(|root| has_path(line, root)) {
                let message = format!("`{root}` is a path of one machine; write it relative to the checkout");
                found.push(Finding::new(&file.path, number, message));
            }
        }
    }
    found
}

pub(super) fn registries(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.texts {
        for (number, line) in file.lines() {
            for mirror in MIRRORS.into_iter().filter(|mirror| line.contains(mirror)) {
                let message =
                    format!("`{mirror}` names a package mirror; that belongs to the machine's own settings");
                found.push(Finding::new(&file.path, number, message));
            }
            if file.path == "Cargo.lock" && line.starts_with("source = ") && line != PUBLIC_INDEX {
                found.push(Finding::new(
                    &file.path,
                    number,
                    "this package does not come from the public index",
                ));
            }
        }
    }
    found
}

/// Whether `word` occurs with no letter, digit or underscore on either side.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    occurs(line, word, |before, after| {
        let ends_open = word.ends_with('!') || !after.is_some_and(is_part);
        !before.is_some_and(is_part) && ends_open
    })
}

/// Whether a path begins with `root`: what stands before it is not part of a path, what follows ends its name.
fn has_path(line: &str, root: &str) -> bool {
    occurs(line, root, |before, after| {
        let inside_a_path = before.is_some_and(|c| c.is_alphanumeric() || "._-/}$~*)>".contains(c));
        let longer_name = after.is_some_and(|c| c.is_alphanumeric() || "_-.".contains(c));
        !inside_a_path && !longer_name
    })
}

fn occurs(line: &str, word: &str, holds: impl Fn(Option<char>, Option<char>) -> bool) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + word.len()..).and_then(|text| text.chars().next());
        holds(before, after)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::shown;
    use super::*;

    #[test]
    fn blanks_at_the_end_are_found_outside_test_data() {
        let tree = Tree::of(&[("a.md", "one \ntwo\t\nthree"), ("x/testdata/b.txt", "one \n"), ("empty", "")]);
        expect![[r#"
            a.md:1: blanks at the end of the line
            a.md:2: blanks at the end of the line
            a.md:3: the last line has no line end
        "#]]
        .assert_eq(&shown(blanks(&tree)));
    }

    #[test]
    fn each_marker_is_found_as_a_word() {
        for marker in MARKERS {
            assert!(has_word(&format!("// {marker}(x)"), marker), "{marker}");
            assert!(!has_word(&format!("a{marker}"), marker), "{marker}");
        }
        let tree = Tree::of(&[("a.rs", &format!("// {}: later\n", MARKERS[0]))]);
        assert_eq!(markers(&tree).len(), 1);
    }

    #[test]
    fn only_absolute_paths_of_a_machine_are_found() {
        let [root, home, work, _] = MACHINE_ROOTS;
        for line in
            [format!("cd {work}"), format!("\"{home}/me/x\""), format!("={root}/.ssh"), format!("({work}/a)")]
        {
            assert_eq!(machines(&Tree::of(&[("a.sh", &line)])).len(), 1, "{line}");
        }
        for line in [
            format!("https://h/v1{root}"),
            format!("$DIR{work}"),
            format!("..{home}"),
            format!("{work}ers/x"),
        ] {
            assert_eq!(machines(&Tree::of(&[("a.sh", &line)])).len(), 0, "{line}");
        }
    }

    #[test]
    fn mirrors_are_found_in_text_and_lock_file() {
        let lock = format!("{PUBLIC_INDEX}\nsource = \"sparse+https://mirror.example/index/\"\n");
        let requirements = format!("{} https://mirror.example\n", MIRRORS[4]);
        let tree = Tree::of(&[("Cargo.lock", &lock), ("requirements.txt", &requirements)]);
        let found = registries(&tree);
        assert_eq!(
            found.iter().map(|finding| (finding.path.as_str(), finding.line)).collect::<Vec<_>>(),
            [("Cargo.lock", 2), ("requirements.txt", 1)]
        );
    }
}
