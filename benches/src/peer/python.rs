//! Peers in Python: DuckDB and Polars, from `.venv` at the root of the checkout.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{Error, Result, data::Job};

/// Scripts in `benches/peers`.
pub const SCRIPTS: [&str; 2] = ["duckdb_asof.py", "polars_asof.py"];

/// What a peer did.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Answer {
    /// The engine: `DuckDB`.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// Rows of its training set.
    pub rows: u64,
    /// Seconds by step: read, join, write.
    pub seconds: BTreeMap<String, f64>,
    /// Processor seconds of all its threads in these steps.
    pub cpu_seconds: f64,
    /// Nulls by feature column.
    pub nulls: BTreeMap<String, u64>,
}

impl Answer {
    /// Seconds of all steps.
    pub fn total_s(&self) -> f64 {
        self.seconds.values().sum()
    }
}

/// The interpreter, its environment made if it is missing; none if there is no Python for it.
///
/// # Errors
/// The environment cannot be made.
pub fn prepare(root: &Path) -> Result<Option<PathBuf>> {
    if !xtask::python::exists(root) {
        return Ok(None);
    }
    xtask::python::prepare(root)?;
    Ok(Some(interpreter(root)))
}

/// The versions of the engines, as `DuckDB 1.0`; empty if they cannot be asked.
pub fn versions(interpreter: &Path) -> Vec<String> {
    const ASK: &str =
        "import duckdb, polars; print('DuckDB', duckdb.__version__); print('Polars', polars.__version__)";
    let output = Command::new(interpreter).args(["-c", ASK]).stdin(Stdio::null()).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

fn interpreter(root: &Path) -> PathBuf {
    root.join(".venv/bin/python")
}

/// Runs a peer once, in a process of its own.
///
/// # Errors
/// It fails, or answers something else than it should.
pub fn run(root: &Path, interpreter: &Path, script: &str, job: &Job, output: &Path) -> Result<Answer> {
    let mut command = Command::new(interpreter);
    command.env("PYTHONPATH", root.join("python")).arg(root.join("benches/peers").join(script));
    command.arg("--definitions").arg(&job.definitions).args(["--service", job.service]);
    command.arg("--spine").arg(&job.spine).arg("--output").arg(output);
    for log in &job.logs {
        command.arg("--log").arg(format!("{}={}", log.view, log.path.display()));
    }
    let done = command.stdin(Stdio::null()).output().map_err(Error::run(script))?;
    if !done.status.success() {
        return Err(Error::program(script, String::from_utf8_lossy(&done.stderr).trim()));
    }
    serde_json::from_slice(&done.stdout).map_err(|cause| Error::program(script, cause))
}
