//! Who may import whom: the table of the architecture, held as data and checked against every manifest.
//!
//! `[dependencies]` and `[build-dependencies]` count; `[dev-dependencies]` do not, tests may reach further. A
//! crate that is not in the table fails, so the table stays whole.

use std::path::Path;

use serde_json::Value;

use crate::{Error, process};

/// One row of the table.
struct Layer {
    /// The directory under `crates/`.
    name: &'static str,
    /// The crates of this workspace it may import.
    may_import: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer { name: "types", may_import: &[] },
    Layer { name: "storage", may_import: &["types"] },
    Layer { name: "ledger", may_import: &["types"] },
    Layer { name: "segment", may_import: &["types", "storage"] },
    Layer { name: "state", may_import: &["types", "storage", "ledger", "segment"] },
    Layer { name: "consensus", may_import: &["types", "storage"] },
    Layer { name: "node", may_import: &["types", "storage", "ledger", "segment", "state", "consensus"] },
    Layer { name: "query", may_import: &["types", "storage", "ledger", "segment", "state", "node"] },
    Layer { name: "proto", may_import: &["types"] },
    Layer {
        name: "server",
        may_import: &[
            "types",
            "storage",
            "ledger",
            "segment",
            "state",
            "consensus",
            "node",
            "query",
            "proto",
        ],
    },
    Layer { name: "client", may_import: &["types", "proto"] },
    Layer {
        name: "lineate",
        may_import: &[
            "types",
            "storage",
            "ledger",
            "segment",
            "state",
            "consensus",
            "node",
            "query",
            "proto",
            "server",
            "client",
        ],
    },
    Layer {
        name: "sim",
        may_import: &["types", "storage", "ledger", "segment", "state", "consensus", "node"],
    },
];

/// Packages from elsewhere that have one home, because the port around them is what makes them replaceable.
const HOMES: &[(&str, &[&str])] = &[
    ("sled", &["storage"]),
    ("redb", &["storage"]),
    ("raft", &["consensus"]),
    ("protobuf", &["consensus"]),
    ("slog", &["consensus"]),
    ("datafusion", &["query"]),
    ("tonic", &["proto", "server", "client"]),
    ("clap", &["lineate"]),
];

/// One dependency of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The directory of the crate that imports.
    pub from: String,
    /// The package it imports: `lineate-types`, `sled`.
    pub package: String,
}

/// Every breach of the table in the checkout, as messages.
///
/// # Errors
/// When `cargo metadata` cannot be run or read.
pub fn check(root: &Path) -> Result<Vec<String>, Error> {
    let (crates, imports) = read(root)?;
    Ok(breaches(&crates, &imports))
}

fn breaches(crates: &[String], imports: &[Import]) -> Vec<String> {
    let mut found = Vec::new();
    for name in crates {
        if layer(name).is_none() {
            found.push(format!("crate `{name}` has no layer; give it a row in xtask/src/layers.rs"));
        }
    }
    for Import { from, package } in imports {
        if let Some(to) = package.strip_prefix("lineate-").filter(|to| layer(to).is_some()) {
            let allowed = layer(from).map_or(&[][..], |layer| layer.may_import);
            if !allowed.contains(&to) {
                found.push(format!("`{from}` imports `{to}`, and may import only [{}]", allowed.join(", ")));
            }
        }
        let home = HOMES.iter().find(|(foreign, _)| foreign == package);
        if let Some((foreign, homes)) = home.filter(|(_, homes)| !homes.contains(&from.as_str())) {
            found.push(format!("`{from}` imports `{foreign}`, whose home is [{}]", homes.join(", ")));
        }
    }
    found
}

fn layer(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// The crates under `crates/`, and what they import, as cargo reads the manifests.
fn read(root: &Path) -> Result<(Vec<String>, Vec<Import>), Error> {
    const METADATA: [&str; 5] = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let unexpected = |why: String| Error::Output { program: "cargo metadata".into(), why };
    let text = process::capture(root, &program, &METADATA)?;
    let metadata: Value = serde_json::from_str(&text).map_err(|cause| unexpected(cause.to_string()))?;
    let packages = metadata["packages"].as_array().ok_or_else(|| unexpected("no packages".into()))?;

    let mut crates = Vec::new();
    let mut imports = Vec::new();
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let inside = manifest.parent().and_then(|directory| directory.strip_prefix(root.join("crates")).ok());
        let Some(from) = inside.and_then(Path::to_str) else { continue };
        crates.push(from.to_owned());
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["kind"].as_str() != Some("dev") {
                let package = dependency["name"].as_str().unwrap_or_default().to_owned();
                imports.push(Import { from: from.to_owned(), package });
            }
        }
    }
    if crates.is_empty() {
        return Err(unexpected("no package lies under crates/".into()));
    }
    Ok((crates, imports))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(from: &str, package: &str) -> Import {
        Import { from: from.into(), package: package.into() }
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Every row imports only rows that can themselves be built before it.
        let mut built: Vec<&str> = Vec::new();
        while built.len() < LAYERS.len() {
            let ready = |layer: &&Layer| {
                !built.contains(&layer.name) && layer.may_import.iter().all(|name| built.contains(name))
            };
            built.push(LAYERS.iter().find(ready).expect("a cycle among the layers").name);
        }
    }

    #[test]
    fn an_import_upwards_is_a_breach() {
        let crates = ["types".to_owned(), "storage".to_owned()];
        let imports = [import("storage", "lineate-types"), import("types", "lineate-storage")];
        assert_eq!(breaches(&crates, &imports), ["`types` imports `storage`, and may import only []"]);
    }

    #[test]
    fn a_crate_without_a_row_is_a_breach() {
        let found = breaches(&["mystery".to_owned()], &[import("mystery", "lineate-types")]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_package_with_a_home_stays_there() {
        let crates = ["storage".to_owned(), "server".to_owned()];
        let imports = [import("storage", "sled"), import("server", "sled"), import("server", "serde")];
        assert_eq!(breaches(&crates, &imports), ["`server` imports `sled`, whose home is [storage]"]);
    }
}
