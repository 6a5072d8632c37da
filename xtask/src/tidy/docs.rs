//! Rules about Markdown.

use super::Finding;
use crate::tree::Tree;

/// Where decisions live, and the page that lists them.
const DECISIONS: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

pub(super) fn decisions(tree: &Tree) -> Vec<Finding> {
    let index = tree.text(INDEX).unwrap_or_default();
    let pages = tree.ending(".md").filter(|file| file.path.starts_with(DECISIONS) && file.path != INDEX);
    pages
        .filter(|file| {
            let name = file.path.strip_prefix(DECISIONS).unwrap_or(&file.path);
            !index.contains(&format!("({name})"))
        })
        .map(|file| Finding::new(&file.path, 0, format!("add a line with a link to it to {INDEX}")))
        .collect()
}

pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.ending(".md") {
        let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (number, line) in file.lines() {
            for target in targets(line).filter(|target| is_relative(target)) {
                let leads = resolve(directory, target).is_some_and(|path| exists(tree, &path));
                if !leads {
                    found.push(Finding::new(
                        &file.path,
                        number,
                        format!("the link `{target}` leads nowhere"),
                    ));
                }
            }
        }
    }
    found
}

/// The targets of inline links: what stands between `](` and `)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(start, mark)| {
        let (target, _) = line.get(start + mark.len()..)?.split_once(')')?;
        Some(target.split_once('#').map_or(target, |(path, _)| path))
    })
}

fn is_relative(target: &str) -> bool {
    !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
}

/// The path a relative target means; none if it leaves the checkout.
fn resolve(directory: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let inside = format!("{path}/");
    path.is_empty() || tree.paths.iter().any(|known| known == path || known.starts_with(&inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_outside_the_index_is_a_breach() {
        let tree = Tree::of(&[
            (INDEX, "- [One](0001-one.md)\n"),
            ("docs/adr/0001-one.md", "# One\n"),
            ("docs/adr/0002-two.md", "# Two\n"),
        ]);
        let paths: Vec<_> = decisions(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["docs/adr/0002-two.md"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_a_breach() {
        let page = "[a](b.md) [up](../README.md#x) [dir](../docs) [web](https://a.b) [here](#x)\n[bad](c.md) [out](../../x)\n";
        let tree = Tree::of(&[("docs/a.md", page), ("docs/b.md", ""), ("README.md", "")]);
        let messages: Vec<_> = links(&tree).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages, ["the link `c.md` leads nowhere", "the link `../../x` leads nowhere"]);
    }
}
