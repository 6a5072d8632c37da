//! The rule that no test goes quiet: a skip has an id, and `docs/skips.md` lists exactly the ids in use.

use super::Finding;
use crate::{skips, tree::Tree};

/// How pytest is told not to run a test.
const PYTHON_SKIPS: [&str; 4] = ["pytest.skip(", "mark.skip", "importorskip(", "xfail"];
/// Lines after such a call in which its id stands.
const REASON_LINES: usize = 3;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let listed = skips::listed(tree);
    let mut used = Vec::new();
    let mut found = Vec::new();
    for file in tree.texts.iter().filter(|file| !file.path.ends_with(".md")) {
        for (number, line) in file.lines() {
            for id in skips::ids(line) {
                used.push(id);
                if !listed.contains(id) {
                    let message =
                        format!("the skip `{id}` is not in {}; add a row with its reason", skips::LIST);
                    found.push(Finding::new(&file.path, number, message));
                }
            }
            let is_call = file.path.ends_with(".py") && PYTHON_SKIPS.iter().any(|call| line.contains(call));
            if is_call
                && !file
                    .lines()
                    .skip(number - 1)
                    .take(REASON_LINES)
                    .any(|(_, line)| skips::ids(line).next().is_some())
            {
                found.push(Finding::new(
                    &file.path,
                    number,
                    "a skip without an id; its reason starts with `skip` and `[id]`",
                ));
            }
        }
    }
    for id in listed.iter().filter(|id| !used.contains(&id.as_str())) {
        found.push(Finding::new(skips::LIST, 0, format!("nothing reports the skip `{id}`; take it out")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    #[test]
    fn the_list_holds_exactly_the_skips_in_use() {
        let list = "| id | why |\n|---|---|\n| `used` | x |\n| `stale` | y |\n";
        let code = ["// skip", "[used]: x\n// skip", "[new]: y\n"].concat();
        let tree = Tree::of(&[(skips::LIST, list), ("a.rs", &code)]);
        expect_test::expect![[r#"
            a.rs:2: the skip `new` is not in docs/skips.md; add a row with its reason
            docs/skips.md: nothing reports the skip `stale`; take it out
        "#]]
        .assert_eq(&shown(check(&tree)));
    }

    #[test]
    fn a_python_skip_without_an_id_is_a_breach() {
        let with_id = ["pytest.skip(\n    \"skip", "[used]: no disk\")\n"].concat();
        let list = "| `used` | x |\n";
        let tree = Tree::of(&[(skips::LIST, list), ("a.py", &with_id), ("b.py", "pytest.skip(\"later\")\n")]);
        assert_eq!(check(&tree).iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["b.py"]);
    }
}
