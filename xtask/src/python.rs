//! The virtual environment of the Python tests: `.venv`, made from `python/requirements.txt` and remade when that
//! file changes. Its packages are pinned; where they are downloaded from is the machine's affair.

use std::{fs, path::Path};

use crate::{Error, process, programs};

/// The pinned packages.
const REQUIREMENTS: &str = "python/requirements.txt";
/// The environment.
const ENVIRONMENT: &str = ".venv";
/// A copy of the requirements the environment was made from, written last.
const STAMP: &str = ".venv/requirements.txt";
/// Names the program to the tests.
const PROGRAM: &str = "LINEATE_BIN";
/// The oldest Python the pinned packages run on.
const OLDEST: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// Whether there is a Python that can make the environment.
pub fn exists(root: &Path) -> bool {
    process::works(root, "python3", &["-c", OLDEST])
}

/// Makes the environment if it is missing or older than its requirements.
///
/// # Errors
/// When Python cannot make it, or a package cannot be installed.
pub fn prepare(root: &Path) -> Result<(), Error> {
    let wanted = read(root, REQUIREMENTS)?;
    if read(root, STAMP).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    process::show(process::in_directory(root, "python3").args(["-m", "venv", "--clear", ENVIRONMENT]))?;
    process::show(interpreter(root).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--requirement",
        REQUIREMENTS,
    ]))?;
    let path = root.join(STAMP);
    fs::write(&path, wanted).map_err(|source| Error::File { path, source })
}

/// Builds the program and runs the tests under `python/` on it. Every skip is printed with its reason.
///
/// # Errors
/// When the program does not build or a test fails.
pub fn test(root: &Path, arguments: &[String]) -> Result<process::Finished, Error> {
    let mut pytest = interpreter(root);
    pytest.env(PROGRAM, programs::build(root)?.join("lineate"));
    process::show(pytest.args(["-m", "pytest", "python", "-rs"]).args(arguments))
}

fn interpreter(root: &Path) -> std::process::Command {
    process::in_directory(root, root.join(ENVIRONMENT).join("bin/python"))
}

fn read(root: &Path, path: &str) -> Result<String, Error> {
    let path = root.join(path);
    fs::read_to_string(&path).map_err(|source| Error::File { path, source })
}
