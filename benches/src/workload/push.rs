//! Pushes: rows in a stream, each batch durable before it is acknowledged.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use lineate_client::{Client, Rows, RowsPayload, ipc};
use tokio::{
    sync::{Barrier, Semaphore},
    task::JoinSet,
};

use super::{Bench, tell};
use crate::{
    Error, Result,
    data::payments::View,
    floor::disk::{self, Space},
    load::{CpuTime, Latency, Spread},
    report::{Section, Table, cell, figure, ratio, whole},
    scale::DataScale,
};

/// The view that is pushed to: two integer keys, five features.
const VIEW: View = View::CardActivity;
/// Writers that share a connection.
const WRITERS_PER_CONNECTION: usize = 16;

/// One run of some writers.
struct Pushed {
    rows_per_second: f64,
    batches_per_second: f64,
    latency: Latency,
    cpu_us_per_row: f64,
}

/// What the writers of one run share.
struct Run {
    batch_rows: u64,
    data: DataScale,
    next_row: AtomicU64,
    time: Duration,
    /// Writers open one after the other, and begin together.
    begin: Barrier,
}

/// One writer: at most one batch under way.
struct Writer {
    run: Arc<Run>,
    may_send: Semaphore,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    began: Option<Instant>,
    sent: Option<Instant>,
    last_ack: Option<Instant>,
    latency: Latency,
}

pub(super) async fn run(bench: &Bench) -> Result<Section> {
    let floors = floors(bench)?;
    let mut speed = Table::new(
        "Rows per second, each writer with one batch under way",
        &[
            "rows a batch",
            "writers",
            "rows/s",
            "batches/s",
            "batches per fsync of the floor",
            "ack p50 ms",
            "ack p99 ms",
            "p50, times fsync",
            "CPU us per row",
        ],
    );
    let fsync_ms = floors.first().map_or(0.0, |(_, p50, _)| p50.median);
    for &batch_rows in &bench.scale.push_batch_rows {
        for &writers in &bench.scale.push_writers {
            tell(&format!("push, {batch_rows} rows a batch, {writers} writers"));
            let runs = cell_of(bench, batch_rows as u64, writers).await?;
            let spread = |figure: fn(&Pushed) -> f64| Spread::of(runs.iter().map(figure));
            let p50 = spread(|run| run.latency.quantile_ms(0.5));
            let batches = spread(|run| run.batches_per_second);
            speed.row([
                whole(batch_rows as u64),
                whole(writers as u64),
                cell(spread(|run| run.rows_per_second)),
                cell(batches),
                figure(batches.median * fsync_ms / 1_000.0),
                cell(p50),
                cell(spread(|run| run.latency.quantile_ms(0.99))),
                ratio(p50.median, fsync_ms),
                figure(spread(|run| run.cpu_us_per_row).median),
            ]);
        }
    }
    Ok(section(speed, floors))
}

/// The fsync floor, beside the data of a server: what, p50 and p99 in milliseconds.
fn floors(bench: &Bench) -> Result<Vec<(&'static str, Spread, Spread)>> {
    let directory = tempfile::tempdir_in(&bench.scratch).map_err(Error::file(&bench.scratch))?;
    let mut floors = Vec::new();
    for (name, space) in
        [("at the end of a growing file", Space::Growing), ("into bytes written before", Space::Preallocated)]
    {
        let mut runs = Vec::new();
        for _ in 0..bench.scale.runs {
            runs.push(disk::appends(directory.path(), space, bench.scale.fsync_appends)?);
        }
        let spread = |share| Spread::of(runs.iter().map(|latency| latency.quantile_ms(share)));
        floors.push((name, spread(0.5), spread(0.99)));
    }
    Ok(floors)
}

/// All runs of one number of rows and of writers, on a server of their own.
async fn cell_of(bench: &Bench, batch_rows: u64, writers: usize) -> Result<Vec<Pushed>> {
    let server = bench.server(&bench.payments).await?;
    let clients = server.clients(writers.div_ceil(WRITERS_PER_CONNECTION)).await?;
    let mut next_row = 0;
    let mut runs = Vec::new();
    // One more than counts, to warm up.
    for number in 0..=bench.scale.runs {
        let time = if number == 0 { bench.scale.warm_up } else { bench.scale.loop_time };
        let run = Arc::new(Run {
            batch_rows,
            data: bench.scale.data,
            next_row: AtomicU64::new(next_row),
            time,
            begin: Barrier::new(writers),
        });
        let cpu = CpuTime::watch(server.child().id())?;
        let pushed = push(&run, &clients, writers, &cpu).await?;
        next_row = run.next_row.load(Ordering::Relaxed);
        if number > 0 {
            runs.push(pushed);
        }
    }
    Ok(runs)
}

/// One run: all writers push until the time is over, then everything sent is awaited.
async fn push(run: &Arc<Run>, clients: &[Client], writers: usize, cpu: &CpuTime) -> Result<Pushed> {
    let mut tasks = JoinSet::new();
    for client in clients.iter().cycle().take(writers) {
        tasks.spawn(write(run.clone(), client.clone()));
    }
    let (mut rows, mut latency) = (0, Latency::default());
    let (mut began, mut ended): (Option<Instant>, Option<Instant>) = (None, None);
    while let Some(done) = tasks.join_next().await {
        let (written, kept) = done.map_err(|cause| Error::program("a writer", cause))??;
        rows += written;
        latency.add(&kept.latency);
        began = began.into_iter().chain(kept.began).min();
        ended = ended.max(kept.last_ack);
    }
    let seconds = began.zip(ended).map_or(f64::NAN, |(began, ended)| (ended - began).as_secs_f64());
    Ok(Pushed {
        rows_per_second: rows as f64 / seconds,
        batches_per_second: latency.count() as f64 / seconds,
        cpu_us_per_row: cpu.used_s()? / rows as f64 * 1e6,
        latency,
    })
}

/// Rows acknowledged, and what was kept of it.
async fn write(run: Arc<Run>, client: Client) -> Result<(u64, Kept)> {
    let writer = Arc::new(Writer { run, may_send: Semaphore::new(1), kept: Mutex::default() });
    let acknowledged = writer.clone();
    let summary =
        client.push(VIEW.name(), writer.clone().batches(), move |_| acknowledged.acknowledged()).await?;
    let kept = std::mem::take(&mut *writer.kept());
    Ok((summary.rows, kept))
}

impl Writer {
    /// Batches, each one when the one before is acknowledged, until the time is over.
    fn batches(self: Arc<Self>) -> impl Stream<Item = io::Result<Rows>> {
        stream::unfold(self, |writer| async move { writer.next().await.map(|rows| (rows, writer)) })
    }

    async fn next(&self) -> Option<io::Result<Rows>> {
        let began = self.kept().began;
        let began = match began {
            Some(began) => began,
            None => {
                self.run.begin.wait().await;
                *self.kept().began.insert(Instant::now())
            }
        };
        self.may_send.acquire().await.ok()?.forget();
        if began.elapsed() >= self.run.time {
            return None;
        }
        let first = self.run.next_row.fetch_add(self.run.batch_rows, Ordering::Relaxed);
        let rows = self.run.rows(first);
        self.kept().sent = Some(Instant::now());
        Some(rows)
    }

    fn acknowledged(&self) {
        let now = Instant::now();
        let mut kept = self.kept();
        if let Some(sent) = kept.sent.take() {
            kept.latency.record(now - sent);
        }
        kept.last_ack = Some(now);
        drop(kept);
        self.may_send.add_permits(1);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn rows(&self, first: u64) -> io::Result<Rows> {
        let batch = VIEW.streamed(first..first + self.batch_rows, &self.data).map_err(io::Error::other)?;
        let payload = RowsPayload::ArrowIpc(ipc::encode(&batch).map_err(io::Error::other)?);
        Ok(Rows { payload, first_row: first + 1 })
    }
}

fn section(speed: Table, floors: Vec<(&'static str, Spread, Spread)>) -> Section {
    let mut floor =
        Table::new("The floor: 4 KiB written, then fdatasync", &["where", "p50 ms", "p99 ms", "per second"]);
    for (name, p50, p99) in floors {
        floor.row([name.to_owned(), cell(p50), cell(p99), figure(1_000.0 / p50.median)]);
    }
    Section {
        title: "Pushes".into(),
        paragraphs: vec![
            "Arrow batches of new rows, in order of time, to a view with two integer keys and five features. A batch \
             is split over all shards its rows hash to and is acknowledged when every part is in the synced Raft log \
             and applied, so that a lookup sees it. Ours includes making and encoding the rows in the load generator. \
             Each number of rows and writers has a server of its own, warmed up before."
                .into(),
            "*Batches per fsync of the floor*: how many batches are acknowledged in the time of one fdatasync of the \
             growing file (p50). Above 1, batches share their fsyncs."
                .into(),
        ],
        tables: vec![speed, floor],
        ..Section::default()
    }
}
