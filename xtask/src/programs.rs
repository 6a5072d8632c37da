//! The programs of the workspace, built once for all steps that run them.
//!
//! They are built with the tests: for fewer packages cargo chooses fewer features of what they depend on, and builds
//! all of it again.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{Error, process};

/// Builds what there is to build, and says in which directory the programs are.
///
/// # Errors
/// Something does not build.
pub fn build(root: &Path) -> Result<PathBuf, Error> {
    process::show(process::cargo(root).args(["test", "--locked", "--workspace", "--no-run", "--quiet"]))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
    Ok(target.join("debug"))
}
