//! Skips: a test or step that cannot run here says `skip` followed by an id in square brackets, a colon and the
//! reason. The ids are listed in `docs/skips.md`; one that is not there fails the gate.
//!
//! A Rust test reports its skip with `writeln!(std::io::stderr(), ..)`, which the test harness does not swallow.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// Where every skip is listed: a table whose first column is the id in backticks.
pub const LIST: &str = "docs/skips.md";

const MARK: &str = "skip[";

/// The ids reported in a text.
pub fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(MARK).filter_map(|(start, mark)| {
        let (id, _) = text.get(start + mark.len()..)?.split_once(']')?;
        let is_id =
            !id.is_empty() && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        is_id.then_some(id)
    })
}

/// The ids listed in `docs/skips.md`.
pub fn listed(tree: &Tree) -> BTreeSet<String> {
    let lines = tree.text(LIST).unwrap_or_default().lines();
    lines.filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(id, _)| id.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_count() {
        let text = ["a skip", "[one-1]: x, skip", "[Two], skip", "[], skip", "[three"].concat();
        assert_eq!(ids(&text).collect::<Vec<_>>(), ["one-1"]);
    }

    #[test]
    fn the_list_is_the_first_column_of_the_table() {
        let tree = Tree::of(&[(LIST, "| id | why |\n|---|---|\n| `no-disk` | `x` |\n| `b` | y |\n")]);
        assert_eq!(listed(&tree), ["b", "no-disk"].map(String::from).into());
    }
}
