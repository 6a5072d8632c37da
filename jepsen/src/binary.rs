//! The `lineate` binary that is put to the test: the one beside this program, built again where it is out of date.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

use crate::{Error, Result};

/// Names a binary to use as it is.
const OVERRIDE: &str = "LINEATE_BIN";
/// What the binary is made of, from the root of the checkout.
const SOURCES: [&str; 4] = ["crates", "proto", "Cargo.toml", "Cargo.lock"];

/// The binary; found once a process.
///
/// # Errors
/// It cannot be built.
pub fn lineate() -> Result<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(|| find().map_err(|error| error.chain())).clone().map_err(Error::Harness)
}

fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os(OVERRIDE) {
        return Ok(PathBuf::from(named));
    }
    let this = env::current_exe().map_err(|cause| Error::io("find", "this program", cause))?;
    // target/PROFILE/lineate-jepsen, or target/PROFILE/deps/it-HASH.
    let beside = this.parent().unwrap_or(Path::new("."));
    let profile = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    let binary = profile.join("lineate");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let built = fs::metadata(&binary).and_then(|found| found.modified()).ok();
    let changed = SOURCES.iter().filter_map(|source| newest(&root.join(source))).max();
    if built.zip(changed).is_none_or(|(built, changed)| built < changed) {
        build(root, profile)?;
    }
    Ok(binary)
}

fn build(root: &Path, profile: &Path) -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--quiet", "--locked", "--package", "lineate"]);
    if let Some(target) = profile.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let ended = cargo.status().map_err(|cause| Error::io("run", "cargo", cause))?;
    if !ended.success() {
        return Err(Error::Harness(format!("`cargo build -p lineate` ended with {ended}")));
    }
    Ok(())
}

/// When a source below a path was changed last. Tests are not part of the binary.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.ends_with("tests") {
        return None;
    }
    let found = fs::metadata(path).ok()?;
    if !found.is_dir() {
        return found.modified().ok();
    }
    let children = fs::read_dir(path).ok()?.filter_map(|child| child.ok());
    children.filter_map(|child| newest(&child.path())).max()
}
