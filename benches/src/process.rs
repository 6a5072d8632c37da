//! Programs that run beside this one and end with it: the server under test, the echo, Redis.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::Deserialize;

use crate::{Error, Result};

/// Bytes of a program's own words that go into an error.
const LAST_WORDS: usize = 2_000;
/// How long a program may take until it listens.
const START_TIME: Duration = Duration::from_secs(60);

/// A running program. Dropping it kills it: nothing it holds outlives a benchmark.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    address: String,
    process: process::Child,
    log: PathBuf,
}

/// What a server prints first, as JSON.
#[derive(Deserialize)]
struct Listening {
    address: String,
}

impl Child {
    /// Starts a program that prints `{"address": "HOST:PORT"}` as soon as it listens.
    ///
    /// # Errors
    /// It cannot be started, or ends before it listens.
    pub fn listening(name: &'static str, command: Command, directory: &Path) -> Result<Self> {
        let mut child = Self::start(name, command, directory, Stdio::piped())?;
        let output = child.process.stdout.take().ok_or_else(|| Error::program(name, "it has no output"))?;
        let (found, address) = mpsc::channel();
        thread::spawn(move || found.send(listening(BufReader::new(output))));
        match address.recv_timeout(START_TIME) {
            Ok(Some(address)) => child.address = address,
            Ok(None) => return Err(child.failure("it ended before it listened")),
            Err(_) => return Err(child.failure("it does not listen after a minute")),
        }
        Ok(child)
    }

    /// Starts a program that will listen at an address known before.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn at(name: &'static str, command: Command, directory: &Path, address: String) -> Result<Self> {
        let mut child = Self::start(name, command, directory, Stdio::null())?;
        child.address = address;
        Ok(child)
    }

    fn start(name: &'static str, mut command: Command, directory: &Path, output: Stdio) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let errors = File::create(&log).map_err(Error::file(&log))?;
        let process = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let process = process.map_err(Error::run(name))?;
        Ok(Self { name, address: String::new(), process, log })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// An error with the last it said.
    pub fn failure(&self, why: &str) -> Error {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let start = said.ceil_char_boundary(said.len().saturating_sub(LAST_WORDS));
        let last = said.get(start..).unwrap_or_default().trim();
        Error::program(self.name, if last.is_empty() { why.to_owned() } else { format!("{why}: {last}") })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the JSON document at the start of an output; none if the output ends before.
fn listening(mut output: impl BufRead) -> Option<String> {
    let mut text = String::new();
    while output.read_line(&mut text).is_ok_and(|bytes| bytes > 0) {
        if let Ok(listening) = serde_json::from_str::<Listening>(&text) {
            return Some(listening.address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_one_line_or_several() {
        let found = |output: &str| listening(output.as_bytes());
        assert_eq!(found("{\"address\": \"a:1\"}\nmore"), Some("a:1".into()));
        assert_eq!(found("{\n  \"address\": \"a:1\",\n  \"data_dir\": \"d\"\n}\n"), Some("a:1".into()));
        assert_eq!(found("{\n"), None);
    }

    #[test]
    fn a_program_that_ends_early_tells_its_last_words() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the port is taken >&2"]);
        let error = Child::listening("sh", command, directory.path()).expect_err("it ends");
        assert_eq!(error.to_string(), "`sh` failed: it ended before it listened: the port is taken");
    }
}
