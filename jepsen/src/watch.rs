//! What a server does by itself: seals, as its log tells them, and compactions, as its status does.
//!
//! A run of streamed rows is sealed in two steps: its segment is written, of which the log has a line, and a command
//! puts it in the place of the run. A run of which the log has two lines was cut off between the two. Nothing but a
//! compaction makes the segments of a store fewer, so each fall of their number is one at least; loads and seals that
//! end at the same time can hide one. What is counted is a lower bound therefore.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lineate_client::Client;
use tokio::{sync::Notify, task::JoinSet};

use crate::{Error, Result};

/// Which lines of a server's log are wanted: those of written runs besides the usual ones.
pub(crate) const LOG_FILTER: &str = "info,lineate_node::maintenance=debug";
/// What the line of a written run says; which run it is stands behind.
const RUN_WRITTEN: &str = "run sealed ";
/// Between two looks at the log.
const LOG_PAUSE: Duration = Duration::from_millis(1);
/// Between two looks at the status.
const STATUS_PAUSE: Duration = Duration::from_millis(3);

/// Looks at one server until it is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Seen>,
    _looking: JoinSet<()>,
}

/// What was seen of a server.
#[derive(Debug, Default)]
pub struct Seen {
    /// The segment of a run was written; the command that seals it is about to be sent.
    pub sealing: Notify,
    /// There are fewer segments than a moment before: the other shards are likely to be compacted next.
    pub compacted: Notify,
    segments: AtomicU64,
    compactions: AtomicU64,
}

/// Runs whose segments were written, as the log of all servers of a store tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunsWritten {
    /// Runs.
    pub runs: u64,
    /// Times that one had to be written again: its server had ended before it was sealed.
    pub again: u64,
}

impl Watch {
    /// Begins to look at a server that writes a log. `segments` is how many the server before had when it was last
    /// seen.
    pub fn start(client: &Client, log: &Path, segments: u64) -> Self {
        let seen = Arc::new(Seen { segments: segments.into(), ..Seen::default() });
        let mut looking = JoinSet::new();
        looking.spawn(read_log(log.to_owned(), seen.clone()));
        looking.spawn(read_status(client.clone(), seen.clone()));
        Self { seen, _looking: looking }
    }

    /// What was seen so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

impl Seen {
    /// Segments, when the server was last looked at.
    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::SeqCst)
    }

    /// Compactions, at least.
    pub fn compactions(&self) -> u64 {
        self.compactions.load(Ordering::SeqCst)
    }

    fn look(&self, segments: u64) {
        if segments < self.segments.swap(segments, Ordering::SeqCst) {
            self.compactions.fetch_add(1, Ordering::SeqCst);
            self.compacted.notify_waiters();
        }
    }
}

/// Reads what all servers of a store told of the runs they wrote.
///
/// # Errors
/// The log cannot be read.
pub fn runs_written(log: &Path) -> Result<RunsWritten> {
    let bytes = fs::read(log).map_err(|cause| Error::io("read", log, cause))?;
    Ok(count(&String::from_utf8_lossy(&bytes)))
}

fn count(log: &str) -> RunsWritten {
    let mut written: BTreeMap<[&str; 3], u64> = BTreeMap::new();
    for run in log.lines().filter_map(run_of) {
        *written.entry(run).or_default() += 1;
    }
    let lines: u64 = written.values().sum();
    let runs = written.len() as u64;
    RunsWritten { runs, again: lines - runs }
}

/// Shard, history and number of the run that a line tells of.
fn run_of(line: &str) -> Option<[&str; 3]> {
    let (_, run) = line.split_once(RUN_WRITTEN)?;
    let field = |name: &str| run.split_whitespace().find_map(|field| field.strip_prefix(name));
    Some([field("shard=")?, field("history=")?, field("number=")?])
}

/// Follows the log from its present end on.
async fn read_log(path: PathBuf, seen: Arc<Seen>) {
    let Ok(mut log) = File::open(path) else { return };
    if log.seek(SeekFrom::End(0)).is_err() {
        return;
    }
    let (mut unread, mut piece) = (String::new(), Vec::new());
    loop {
        piece.clear();
        if log.read_to_end(&mut piece).is_err() {
            return;
        }
        unread.push_str(&String::from_utf8_lossy(&piece));
        let lines = unread.rfind('\n').map_or(0, |end| end + 1);
        if unread.drain(..lines).as_str().lines().any(|line| run_of(line).is_some()) {
            seen.sealing.notify_waiters();
        }
        tokio::time::sleep(LOG_PAUSE).await;
    }
}

/// Asks for the status until the server is gone.
async fn read_status(client: Client, seen: Arc<Seen>) {
    while let Ok(status) = client.status().await {
        seen.look(status.segments);
        tokio::time::sleep(STATUS_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_written_twice_is_one_that_was_cut_off() {
        let line = |shard, number| {
            format!(
                "2026-01-01T00:00:00Z DEBUG seal{{shard={shard} history=1 rows=7}}: lineate_node::maintenance: \
                 run sealed shard={shard} history=1 number={number} rows=7\n"
            )
        };
        let log = [line(0, 1), line(1, 1), "INFO serving\n".into(), line(1, 1), line(0, 2)].concat();
        assert_eq!(count(&log), RunsWritten { runs: 3, again: 1 });
    }

    #[test]
    fn only_a_fall_of_the_segments_is_a_compaction() {
        let seen = Seen { segments: 9.into(), ..Seen::default() };
        for segments in [9, 13, 6, 6, 7, 5] {
            seen.look(segments);
        }
        assert_eq!((seen.segments(), seen.compactions()), (5, 2));
    }
}
