//! Running the program.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| panic!("{cause}: {}", self.stdout))
    }

    /// Standard output of a run that succeeded.
    pub(crate) fn text(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Kind and message of the JSON error of a run that failed.
    pub(crate) fn error(&self) -> (String, String) {
        let document: Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|cause| panic!("{cause}: {}", self.stderr));
        let field = |name: &str| document["error"][name].as_str().unwrap_or_default().to_owned();
        (field("kind"), field("message"))
    }
}

/// Runs the program in a directory, without a server in the environment.
pub(crate) fn run_in(directory: &Path, arguments: &[&str], input: &str) -> Run {
    let mut child = command(directory, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // A program that fails early does not read its input.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Starts the program in a directory, without any input.
pub(crate) fn spawn_in(directory: &Path, arguments: &[&str]) -> Child {
    let mut command = command(directory, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("starts")
}

/// The program with these arguments, to be started.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineate"));
    command.args(arguments).current_dir(directory);
    command.env_remove("LINEATE_ADDR").env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command
}

/// A directory with the files of a small job.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

impl Place {
    /// The files: definitions, history, labels.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let place = Self { directory };
        place.write("weather.yaml", DEFINITIONS);
        place.write("history.csv", HISTORY);
        place.write("labels.csv", LABELS);
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    }

    /// Runs the program on the store `store` here.
    pub(crate) fn embedded(&self, arguments: &[&str]) -> Run {
        self.embedded_with(arguments, "")
    }

    /// The same with standard input.
    pub(crate) fn embedded_with(&self, arguments: &[&str], input: &str) -> Run {
        let all: Vec<&str> = ["--data-dir", "store"].iter().chain(arguments).copied().collect();
        run_in(self.path(), &all, input)
    }

    /// Runs a line of arguments on the store here and expects JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        let arguments: Vec<&str> = line.split(' ').chain(["--format", "json"]).collect();
        self.embedded(&arguments).json()
    }

    /// Makes the store, with the definitions and the history.
    pub(crate) fn prepare(&self) {
        self.embedded(&["init", "--shards", "2"]).text();
        self.json("apply weather.yaml");
        self.json("ingest weather history.csv");
    }
}

/// A server in a process of its own, ended when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
}

impl Serving {
    /// Serves the store `store` in a directory.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, &["--data-dir", "store", "--listen", "127.0.0.1:0"])
    }

    /// Serves with these options.
    pub(crate) fn start_with(directory: &Path, options: &[&str]) -> Self {
        Self::run(command(directory, &[&["serve", "--format", "json"], options].concat()))
    }

    /// Serves with these options in a process that may have so many files open, and can get no more.
    pub(crate) fn start_limited(directory: &Path, options: &[&str], descriptors: u32) -> Self {
        let serve = command(directory, &[&["serve", "--format", "json"], options].concat());
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]);
        shell.arg(serve.get_program()).args(serve.get_args()).current_dir(directory);
        shell.env_remove("LINEATE_ADDR").env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        Self::run(shell)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // The document spans lines; the address is in one of them.
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            Some(line.trim().strip_prefix("\"address\": \"")?.split('"').next()?.to_owned())
        });
        match address {
            Some(address) => Self { child, address },
            None => panic!("the server did not start: {:?}", child.wait_with_output()),
        }
    }

    /// Asks it to stop and waits for the end. Gives the exit code and the log.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("asks");
        assert!(asked.success());
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut stderr, &mut log).expect("reads");
        (self.child.wait().expect("ends").code(), log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            if let Some(mut stderr) = self.child.stderr.take() {
                let _ = std::io::Read::read_to_string(&mut stderr, &mut log);
            }
            eprintln!("the server's log:\n{log}");
        }
    }
}

const DEFINITIONS: &str = "\
project: flights
entities:
  - {name: airport, keys: [{name: origin, type: string}]}
views:
  - name: weather
    entity: airport
    event_time: event_timestamp
    created_time: created_timestamp
    ttl: 3h
    features: [{name: temp, type: float64}, {name: note, type: string}]
services:
  - name: delay_model
    features: [weather.temp, {view: weather, as: dest, features: [temp], keys: {origin: dest}}]
";

const HISTORY: &str = "\
origin,event_timestamp,created_timestamp,temp,note
JFK,2013-06-01T10:00:00Z,2013-06-01T10:15:00Z,20.5,calm
JFK,2013-06-01T11:00:00Z,2013-06-01T11:15:00Z,21.5,calm
JFK,2013-06-01T11:00:00Z,2013-06-02T09:00:00Z,99.5,corrected a day later
LGA,2013-06-01T11:00:00Z,2013-06-01T11:15:00Z,,
";

const LABELS: &str = "\
flight,origin,dest,event_timestamp,late
1,JFK,LGA,2013-06-01T11:30:00Z,true
2,LGA,JFK,2013-06-01T11:10:00Z,false
3,JFK,JFK,2013-06-01T15:00:00Z,
4,EWR,JFK,2013-06-03T00:00:00Z,true
";
