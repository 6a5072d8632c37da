//! What differs between two versions of a service, in words.

use std::collections::BTreeMap;

use lineate_types::{Name, ServiceDefinition, ServiceFeature};

use super::Catalog;

/// One line for each view pinned to another version or found by other keys, then for each feature added or removed.
pub(super) fn differences(
    catalog: &Catalog,
    old: &ServiceDefinition,
    new: &ServiceDefinition,
) -> Vec<String> {
    let (was, is) = (by_alias(old), by_alias(new));
    let mut lines = Vec::new();
    for (alias, feature) in &is {
        let Some(before) = was.get(alias) else { continue };
        let view = |feature: &ServiceFeature| {
            catalog.view_by_id(feature.view).map_or_else(|| feature.view.to_string(), ToString::to_string)
        };
        if before.view != feature.view {
            lines.push(format!("{alias}: {} -> {}", view(before), view(feature)));
        }
        if before.keys != feature.keys {
            lines.push(format!("{alias}: keys {} -> {}", keys(before), keys(feature)));
        }
    }
    let column = |feature: &ServiceFeature| format!("{}__{}", feature.alias, feature.feature);
    let missing = |feature: &&ServiceFeature, from: &ServiceDefinition| {
        !from
            .features
            .iter()
            .any(|other| (&other.alias, &other.feature) == (&feature.alias, &feature.feature))
    };
    let added = new.features.iter().filter(|feature| missing(feature, old));
    lines.extend(added.map(|feature| format!("+ {}", column(feature))));
    let removed = old.features.iter().filter(|feature| missing(feature, new));
    lines.extend(removed.map(|feature| format!("- {}", column(feature))));
    if lines.is_empty() {
        lines.push("the order of its features".into());
    }
    lines
}

/// Any feature of each alias: all of one alias share view and keys.
fn by_alias(service: &ServiceDefinition) -> BTreeMap<&Name, &ServiceFeature> {
    service.features.iter().map(|feature| (&feature.alias, feature)).collect()
}

fn keys(feature: &ServiceFeature) -> String {
    let keys = feature.keys.iter().map(|mapping| format!("{}: {}", mapping.key, mapping.column));
    format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
}
