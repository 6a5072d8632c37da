//! The rule that time and randomness are arguments in the deterministic crates.

use super::Finding;
use crate::tree::Tree;

/// Crates whose sources have no clock and no randomness of their own.
const CRATES: [&str; 4] = ["types", "ledger", "segment", "state"];

/// What gives them away.
const WORDS: [&str; 6] =
    ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "rand::", "new_v4"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.texts {
        let Some(crate_name) = file.source_of().filter(|name| CRATES.contains(name)) else { continue };
        for (number, line) in file.lines() {
            for word in WORDS.into_iter().filter(|word| line.contains(word)) {
                let message =
                    format!("`{word}` in `{crate_name}`; take the time or the random bytes as an argument");
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
    fn a_clock_is_a_breach_where_time_is_an_argument() {
        let clock = "let now = SystemTime::now();\n";
        let tree = Tree::of(&[("crates/state/src/a.rs", clock), ("crates/node/src/a.rs", clock)]);
        assert_eq!(check(&tree).len(), 1);
    }
}
