//! The rules of this repository, applied to it: the same checks as `cargo xtask tidy layers`, as tests.

use xtask::{layers, tidy, tree};

#[test]
fn crates_import_only_what_the_layers_allow() {
    let breaches = layers::check(&tree::root()).expect("cargo metadata runs");
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_checkout_is_tidy() {
    let checkout = tree::Tree::read(&tree::root()).expect("the checkout can be read");
    let report = tidy::check(&checkout);
    let breaches: Vec<_> =
        report.breaches.iter().map(|(rule, finding)| format!("{rule}: {finding}")).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = tidy::RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), tidy::RULES.len());
}
