//! Redis, with the newest row of every entity as a hash, and HMGET as the lookup: one for each view and entity, all of
//! a lookup in one write. Nothing is saved to disk.

use std::{
    io,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, mpsc, oneshot},
};

use super::resp;
use crate::{
    Error, Result,
    data::payments::{Keys, View, merchant_id},
    process::Child,
    scale::DataScale,
};

const PROGRAM: &str = "redis-server";
/// How long it may take until it listens.
const START_TIME: Duration = Duration::from_secs(10);
/// Commands sent at a time while the data is loaded, and rows made at a time.
const LOAD_COMMANDS: u64 = 1_000;
/// Requests under way on one connection.
const UNDER_WAY: usize = 2_048;

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    child: Child,
}

/// A connection that many may use at once: requests are pipelined, replies come in order.
#[derive(Debug)]
pub struct Connection {
    writer: Mutex<OwnedWriteHalf>,
    waiting: mpsc::Sender<Waiter>,
}

/// Commands to send together.
#[derive(Debug, Default)]
pub struct Pipeline {
    bytes: Vec<u8>,
    commands: usize,
}

/// Who waits for the replies to a pipeline.
struct Waiter {
    commands: usize,
    answer: oneshot::Sender<io::Result<usize>>,
}

/// The version of the Redis installed here; none if there is none.
pub fn version() -> Option<String> {
    let output = Command::new(PROGRAM).arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().find_map(|word| word.strip_prefix("v="))?.to_owned())
}

impl Redis {
    /// Starts one on a free loopback port.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(directory: &Path) -> Result<Self> {
        let free =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(broken)?;
        let mut command = Command::new(PROGRAM);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(free.port().to_string()).arg("--dir").arg(directory);
        let child = Child::at("redis-server", command, directory, free.to_string())?;
        let deadline = Instant::now() + START_TIME;
        while TcpStream::connect(child.address()).await.is_err() {
            if Instant::now() >= deadline {
                return Err(child.failure("it does not listen"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { child })
    }

    /// The process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.child.address()).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let (reader, writer) = stream.into_split();
        let (waiting, waiters) = mpsc::channel(UNDER_WAY);
        tokio::spawn(read(BufReader::new(reader), waiters));
        Ok(Connection { writer: Mutex::new(writer), waiting })
    }

    /// Stores the newest row of every entity of every view.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn load(&self, scale: &DataScale) -> Result<()> {
        let connection = self.connect().await?;
        for view in View::ALL {
            // The last round, whole: each entity once.
            let mut start = scale.rows_per_view.saturating_sub(view.entities(scale));
            while start < scale.rows_per_view {
                let end = scale.rows_per_view.min(start + LOAD_COMMANDS);
                let mut pipeline = Pipeline::default();
                let batch = view.batch(start..end, scale)?;
                for (index, row) in (start..end).enumerate() {
                    pipeline.store(view, view.keys(row, scale), &batch, index)?;
                }
                connection.send(pipeline).await?;
                start = end;
            }
        }
        Ok(())
    }
}

impl Pipeline {
    /// Asks for the features of one entity in every view.
    pub fn look_up(&mut self, keys: Keys) {
        for view in View::ALL {
            let key = key(view, keys);
            let mut words: Vec<&[u8]> = vec![b"HMGET", key.as_bytes()];
            words.extend(view.features().iter().map(|feature| feature.as_bytes()));
            self.push(&words);
        }
    }

    fn store(&mut self, view: View, keys: Keys, batch: &RecordBatch, row: usize) -> Result<()> {
        let mut words = vec!["HSET".to_owned(), key(view, keys)];
        for name in view.features() {
            let column = batch.column_by_name(name).filter(|column| column.is_valid(row));
            if let Some(column) = column {
                let text = ArrayFormatter::try_new(column, &FormatOptions::default())?.value(row).to_string();
                words.extend([(*name).to_owned(), text]);
            }
        }
        self.push(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        Ok(())
    }

    fn push(&mut self, words: &[&[u8]]) {
        resp::command(&mut self.bytes, words);
        self.commands += 1;
    }
}

impl Connection {
    /// Sends commands and waits for all replies. Says how many values they hold.
    ///
    /// # Errors
    /// The connection broke, or a command was refused.
    pub async fn send(&self, pipeline: Pipeline) -> Result<usize> {
        let (answer, answered) = oneshot::channel();
        let gone = || broken(io::ErrorKind::ConnectionAborted.into());
        {
            // Waiters queue in the order in which their commands are written.
            let mut writer = self.writer.lock().await;
            let waiter = Waiter { commands: pipeline.commands, answer };
            self.waiting.send(waiter).await.map_err(|_| gone())?;
            writer.write_all(&pipeline.bytes).await.map_err(broken)?;
        }
        answered.await.map_err(|_| gone())?.map_err(broken)
    }
}

/// Reads replies for those who wait, until nobody can any more or the connection breaks.
async fn read(mut from: BufReader<OwnedReadHalf>, mut waiters: mpsc::Receiver<Waiter>) {
    while let Some(waiter) = waiters.recv().await {
        let mut values = Ok(0);
        for _ in 0..waiter.commands {
            match (resp::reply(&mut from).await, &mut values) {
                (Ok(more), Ok(values)) => *values += more,
                (Err(cause), _) => values = Err(cause),
                (Ok(_), Err(_)) => {}
            }
        }
        // Whoever gave up does not mind.
        let _ = waiter.answer.send(values);
    }
}

fn key(view: View, keys: Keys) -> String {
    match view {
        View::CustomerActivity => format!("customer:{}", keys.customer),
        View::CardActivity => format!("card:{}:{}", keys.customer, keys.card),
        View::MerchantStats => format!("merchant:{}", merchant_id(keys.merchant)),
    }
}

fn broken(source: io::Error) -> Error {
    Error::Connection { peer: PROGRAM, source }
}
