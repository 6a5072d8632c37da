//! A `lineate serve` process: started, waited for, killed.
//!
//! Its log is kept; a panic in it is a broken promise, however well the process seemed to go on.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use lineate_client::Client;

use crate::{Error, Result, binary, watch};

/// How long a server may take to read its store back.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// How long a server may take to end in order.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// What the Raft log may take: as little as can be, so that it is cut under every fault.
const LOG_BYTES: &str = "512KiB";
/// Bytes of a log that are shown.
const LAST_WORDS: u64 = 4096;

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Child,
    log: PathBuf,
    address: String,
}

impl Server {
    /// Starts a server on a directory and waits until it listens.
    ///
    /// # Errors
    /// It ends instead, or takes too long.
    pub fn start(directory: &Path, log: &Path) -> Result<Self> {
        let mut starting = Self::launch(directory, log)?;
        let address = starting.wait_for_address()?;
        starting.address = address;
        Ok(starting)
    }

    /// Starts a server and does not wait: to kill it while it reads its store back.
    ///
    /// # Errors
    /// There is no binary.
    pub fn launch(directory: &Path, log: &Path) -> Result<Self> {
        let writer = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|cause| Error::io("write", log, cause))?;
        let binary = binary::lineate()?;
        let process = Command::new(&binary)
            .arg("serve")
            .arg("--data-dir")
            .arg(directory)
            .args(["--listen", "127.0.0.1:0", "--format", "json"])
            .env("RUST_BACKTRACE", "1")
            .env("NO_COLOR", "1")
            .env("LINEATE_LOG_BYTES", LOG_BYTES)
            .env("LINEATE_LOG", watch::LOG_FILTER)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(writer)
            .spawn()
            .map_err(|cause| Error::io("run", binary, cause))?;
        Ok(Self { process, log: log.to_owned(), address: String::new() })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A connection to it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn client(&self) -> Result<Client> {
        Client::connect(&self.address).await.map_err(Error::asking("connecting"))
    }

    /// Kills it, at once and without a word (SIGKILL).
    ///
    /// # Errors
    /// It had panicked before.
    pub fn kill(mut self) -> Result<()> {
        self.end_now();
        self.complain_of_panics()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It does not end, or not well.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        asked.map_err(|cause| Error::io("run", "kill", cause))?;
        let ended = self.wait(STOP_DEADLINE)?;
        self.complain_of_panics()?;
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Error::violation(format!("a server asked to end ended with {status}"))),
            None => Err(Error::violation(format!("a server asked to end did not within {STOP_DEADLINE:?}"))),
        }
    }

    /// Waits until it ends by itself; none if it does not in time.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(&mut self, most: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + most;
        loop {
            let ended = self.process.try_wait().map_err(|cause| Error::io("wait for", "a server", cause))?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    fn complain_of_panics(&self) -> Result<()> {
        let log = fs::read(&self.log).map_err(|cause| Error::io("read", &self.log, cause))?;
        let log = String::from_utf8_lossy(&log);
        match log.lines().find(|line| line.contains("panicked at")) {
            Some(line) => {
                Err(Error::violation(format!("the server panicked: {line}\n{}", self.last_words())))
            }
            None => Ok(()),
        }
    }

    fn wait_for_address(&mut self) -> Result<String> {
        let Some(output) = self.process.stdout.take() else {
            return Err(Error::Harness("a server without an output".into()));
        };
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the server never waits for somebody to read.
        thread::spawn(move || {
            let mut document = String::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                document.push_str(&line);
                if let Ok(value) = serde_json::from_str::<serde_json::Value>(&document) {
                    document.clear();
                    let _ = sender.send(value);
                }
            }
        });
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            match receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(value) => {
                    let address = value["address"].as_str().map(str::to_owned);
                    return address.ok_or_else(|| self.failed(format!("it said {value}")));
                }
                Err(_) if Instant::now() >= deadline => {
                    return Err(self.failed(format!("it was silent for {START_DEADLINE:?}")));
                }
                Err(_) => {}
            }
            if let Some(status) = self.wait(Duration::ZERO)?
                && receiver.recv_timeout(Duration::from_millis(200)).is_err()
            {
                return Err(self.failed(format!("it ended with {status}")));
            }
        }
    }

    fn failed(&self, why: String) -> Error {
        Error::Start { why, log: self.last_words() }
    }

    fn end_now(&mut self) {
        // It may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_now();
    }
}

/// Runs a command of the binary to its end.
///
/// # Errors
/// There is no binary.
pub fn run<Argument: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = Argument>,
) -> Result<Output> {
    let binary = binary::lineate()?;
    let ran = Command::new(&binary).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output();
    ran.map_err(|cause| Error::io("run", binary, cause))
}

/// Makes a store of few shards, so that a workload of seconds fills them.
///
/// # Errors
/// The binary refuses.
pub fn make_store(directory: &Path, shards: u16) -> Result<()> {
    let path = directory.as_os_str().to_owned();
    let shards = shards.to_string();
    let made = run([
        "init".as_ref(),
        "--data-dir".as_ref(),
        path.as_os_str(),
        "--shards".as_ref(),
        shards.as_ref(),
    ])?;
    if made.status.success() {
        return Ok(());
    }
    Err(Error::Harness(format!("no store could be made: {}", String::from_utf8_lossy(&made.stderr))))
}
