//! A disk that is full: writes are refused, reads go on, and with space everything works again, without a restart.

use lineate_client::{
    Client,
    v1::{PushAck, Writer},
};
use lineate_types::{ErrorKind, HasKind};

use super::say;
use crate::{
    Error, Result,
    check::{self, Depth},
    history::Shared,
    http,
    random::Random,
    server::{self, Server},
    table,
    tmpfs::Tmpfs,
    workload::{Workload, loader, look_up, pusher, raw_store, train},
};

/// The disk: the preallocated file of the log, and some room.
const DISK_BYTES: u64 = 160 * 1024 * 1024;
/// Shards of the store.
const SHARDS: u16 = 2;
/// Batches that are tried on the full disk; the room in the log's file is used up by then.
const BATCHES: u64 = 400;
/// Rows of each.
const ROWS: u64 = 4_000;

/// What happened on the full disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Batches acknowledged while the disk was full: what had room still.
    pub acknowledged_while_full: u64,
    /// Batches refused.
    pub refused_pushes: u64,
    /// Loads refused.
    pub refused_loads: u64,
    /// Rows in the end.
    pub rows: u64,
}

/// Fills the disk under a server, and gives the space back.
///
/// # Errors
/// A promise is broken, or this machine cannot mount.
pub async fn run(seed: u64) -> Result<Summary> {
    let disk = Tmpfs::mount(DISK_BYTES)?;
    let logs = tempfile::tempdir().map_err(|cause| Error::io("make", "a temporary directory", cause))?;
    let log = logs.path().join("server.log");
    let mut random = Random::new(seed);
    let history = Shared::default();
    let mut summary = Summary::default();

    let directory = disk.path().join("store");
    server::make_store(&directory, SHARDS)?;
    let server = Server::start(&directory, &log)?;
    let client = server.client().await?;
    client.apply(table::definitions()).await.map_err(Error::asking("defining"))?;
    warm_up(&server, &client, &history, &mut random).await?;
    expect_health(&server, &client, READY).await?;

    let filler = disk.fill()?;
    say("the disk is full");
    let refusals = refuse(&server, &client, &history, &mut random, &mut summary).await;
    refusals.map_err(|error| Error::violation(format!("{}\n{}", error.chain(), server.last_words())))?;
    std::fs::remove_file(&filler).map_err(|cause| Error::io("remove", &filler, cause))?;
    say("the disk has space again");
    expect_health(&server, &client, READY).await?;

    // What was refused is sent again by the check, and must be accepted; what was acknowledged must be there.
    check::check(&client, &history, &mut random, Depth::Recent).await?;
    warm_up(&server, &client, &history, &mut random).await?;
    check::check(&client, &history, &mut random, Depth::All).await?;
    server.stop()?;
    let server = Server::start(&directory, &log)?;
    check::check(&server.client().await?, &history, &mut random, Depth::All).await?;
    summary.rows = history.lock().present_rows();
    server.stop()?;
    Ok(summary)
}

/// Lets everybody work for a while, undisturbed.
async fn warm_up(server: &Server, client: &Client, history: &Shared, random: &mut Random) -> Result<()> {
    let workload = Workload::start(history, client, server.address(), random);
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    workload.expect_the_end();
    workload.join().await
}

/// Writes until everything is refused, and reads all the while.
async fn refuse(
    server: &Server,
    client: &Client,
    history: &Shared,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    expect_health(server, client, READ_ONLY).await?;
    let mut writer = None;
    for _ in 0..BATCHES {
        match push(server, client, history, random, &mut writer).await {
            Ok(()) => summary.acknowledged_while_full += 1,
            Err(error) => {
                is_full(&error)?;
                summary.refused_pushes += 1;
                writer = None;
            }
        }
        look_up(history, client, &[1, 2, 3]).await?;
        if summary.refused_pushes > 20 {
            break;
        }
    }
    if summary.refused_pushes == 0 {
        return Err(Error::violation("no push was refused on a full disk"));
    }
    for _ in 0..3 {
        let rows = history.lock().new_rows(2_000, random);
        let files = vec![("full.csv".to_owned(), table::csv(&rows))];
        history.lock().begin_load(files.clone(), rows);
        let loaded = async { loader::ingest(client, loader::upload(client, &files).await?).await };
        match loaded.await {
            Ok(_) => return Err(Error::violation("a load was accepted on a full disk")),
            Err(error) => is_full(&error)?,
        }
        summary.refused_loads += 1;
        look_up(history, client, &[1, 2, 3]).await?;
    }
    let labels = history.lock().labels(100, random);
    match train(client, history, "train", "event", &labels, None).await {
        Ok(_) => return Err(Error::violation("a training set was stored on a full disk")),
        Err(error) => is_full(&error)?,
    }
    expect_health(server, client, READ_ONLY).await
}

/// What a server says of its health.
#[derive(Debug, Clone, Copy)]
struct Expected {
    state: &'static str,
    writes: bool,
}

/// With space.
const READY: Expected = Expected { state: "ready", writes: true };
/// Without.
const READ_ONLY: Expected = Expected { state: "read_only", writes: false };

/// Holds what a server says of its health, by each of the ways it is asked, against what is promised in
/// docs/configuration.md: both probes answer 200 with the same document, since reads go on.
async fn expect_health(server: &Server, client: &Client, expected: Expected) -> Result<()> {
    let health = client.health().await.map_err(Error::asking("the health"))?;
    let told = (health.state.as_str(), health.reads, health.writes, health.reasons.is_empty());
    if told != (expected.state, true, expected.writes, expected.writes) {
        return Err(Error::violation(format!("the health should be {expected:?} and is {health:?}")));
    }
    for path in ["/health", "/health/ready"] {
        let page = http::get(server.address(), path).await?;
        let (told, reasons) = (&page.body, page.body["reasons"].as_array().map(Vec::len));
        let is_it = page.status == 200
            && told["state"] == expected.state
            && told["reads"] == true
            && told["writes"] == expected.writes
            && reasons.is_some_and(|reasons| (reasons == 0) == expected.writes)
            && told["available_bytes"].is_u64();
        if !is_it {
            return Err(Error::violation(format!("{path} should say {expected:?} and is {page:?}")));
        }
    }
    Ok(())
}

/// Pushes one large batch, under a writer that is opened where there is none.
async fn push(
    server: &Server,
    client: &Client,
    history: &Shared,
    random: &mut Random,
    writer: &mut Option<(Writer, u64)>,
) -> Result<()> {
    let (opened, sequence) = match writer.take() {
        Some((opened, sequence)) => (opened, sequence + 1),
        None => (client.open_writer(None).await.map_err(Error::asking("opening a writer"))?, 1),
    };
    let (index, request) = {
        let mut history = history.lock();
        let rows = history.new_rows(ROWS, random);
        let payload = table::arrow(&rows)?;
        let index = history.begin_push(opened, sequence, rows, payload);
        let request = history.pushes.get(index).map(pusher::request);
        (index, request.ok_or_else(|| Error::Harness("a push was not entered".into()))?)
    };
    let (requests, mut acks) = pusher::open(raw_store(server.address()).await?, Some(opened)).await?;
    requests.send(request).await.map_err(|_| Error::Harness("the push was closed".into()))?;
    let ack: PushAck = pusher::next(&mut acks).await?;
    if let Some(refusal) = ack.shards.iter().find_map(|shard| shard.error.clone()) {
        let source = lineate_client::Error::Refused(Box::new(refusal));
        return Err(Error::Request { doing: "pushing".into(), source });
    }
    history.lock().push_done(index, Some(ack));
    *writer = Some((opened, sequence));
    Ok(())
}

/// A refusal for lack of space says so.
fn is_full(error: &Error) -> Result<()> {
    match error.kind() {
        ErrorKind::ResourceExhausted => Ok(()),
        kind => Err(Error::violation(format!("a full disk is answered with {kind}: {}", error.chain()))),
    }
}
