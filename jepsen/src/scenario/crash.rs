//! Crashes at random moments: SIGKILL, and where the disk can, loss of power and failing syncs.
//!
//! Some moments are aimed at: a load, a training set, a seal, a compaction. Whether a crash met a seal or a compaction
//! is not taken from the aim, but from what the next server is seen to have left to do.

use std::{
    fs,
    time::{Duration, Instant},
};

use lineate_client::Client;

use super::{Place, say};
use crate::{
    Error, Result,
    check::{self, CHECK, Depth, Findings},
    history::{Fate, Shared},
    random::Random,
    server::{self, Server},
    table,
    watch::{self, Watch},
    workload::Workload,
};

/// Shards of the store: few, so that each has much to do.
const SHARDS: u16 = 4;
/// How long a server may live whose disk cannot sync.
const FAILED_SYNC_DEADLINE: Duration = Duration::from_secs(30);
/// The exit code of such a server: that of a failure.
const FAILED: i32 = 1;
/// How long to wait for a load, a training set or a seal.
const SOON: Duration = Duration::from_secs(2);
/// How long the last server of a run may wait for its first training set.
const TRAINING_DEADLINE: Duration = Duration::from_secs(20);
/// How long to wait for a compaction: loads must have made enough segments before.
const COMPACTION_DEADLINE: Duration = Duration::from_secs(8);
/// How long a server that came back is only looked at: it ends the compactions that were under way.
const CATCHING_UP: Duration = Duration::from_millis(200);
/// Crashes among which everything must have happened.
const CRASHES_WITH_EVERYTHING: u32 = 10;
/// Crashes of which one must have cut off a seal, and one have met a compaction.
const CRASHES_THAT_MEET_EVERYTHING: u32 = 100;
/// Rounds between two checks of everything.
const ROUNDS_BETWEEN_FULL_CHECKS: u32 = 20;

/// How a run of crashes goes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many crashes.
    pub crashes: u32,
    /// What decides when and how.
    pub seed: u64,
    /// How long a server works before its crash, at most, in milliseconds.
    pub longest_life_ms: u64,
}

/// What a run of crashes did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Crashes.
    pub crashes: u32,
    /// Of these, while a server read its store back.
    pub during_recovery: u32,
    /// Of these, disks that stopped to sync.
    pub failed_syncs: u32,
    /// States that were lost besides, to be rebuilt from checkpoints and the log.
    pub lost_states: u32,
    /// What the Raft log took after the last crash, in bytes.
    pub log_bytes: u64,
    /// Rows acknowledged.
    pub rows: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Loads acknowledged.
    pub loads: u64,
    /// Training sets acknowledged to those at work; those of the checks are not among them.
    pub trainings: u64,
    /// Seals that the last training set was made from, as its lineage tells.
    pub seals: u64,
    /// Seals that a crash cut off: the segment was written, and not yet in the place of its run.
    pub cut_seals: u64,
    /// Compactions, at least.
    pub compactions: u64,
    /// Crashes that met a compaction: it had not ended when a server was last seen, milliseconds before, and had when
    /// the next one was first seen.
    pub met_compactions: u64,
    /// Lookups answered.
    pub lookups: u64,
    /// What the checks found out.
    pub findings: Findings,
    /// The longest time a server took to come back.
    pub longest_start: Duration,
}

/// What ends a server.
#[derive(Debug, Clone, Copy)]
enum Moment {
    After(Duration),
    DuringLoad(Duration),
    DuringTraining(Duration),
    DuringSeal(Duration),
    DuringCompaction(Duration),
    FailedSync(Duration),
}

struct Run {
    options: Options,
    place: Place,
    history: Shared,
    random: Random,
    summary: Summary,
    /// Segments, when a server was last looked at.
    segments: u64,
}

/// A server that came back, and who looks at it.
struct Life {
    server: Server,
    client: Client,
    watch: Watch,
}

/// Crashes a server again and again, checking what came back.
///
/// # Errors
/// A promise is broken. The directory is kept then, and named.
pub async fn run(place: Place, options: Options) -> Result<Summary> {
    server::make_store(&place.store(), SHARDS)?;
    let mut run = Run {
        options,
        place,
        history: Shared::default(),
        random: Random::new(options.seed),
        summary: Summary::default(),
        segments: 0,
    };
    let done = match run.rounds().await {
        Ok(()) => run.summarize(),
        Err(error) => Err(error),
    };
    match done {
        Ok(summary) => summary.met_everything().map(|()| summary),
        Err(error) => {
            say(&format!("the store is kept in {}", run.place.keep().display()));
            Err(error)
        }
    }
}

impl Run {
    async fn rounds(&mut self) -> Result<()> {
        for round in 1..=self.options.crashes {
            let full = round % ROUNDS_BETWEEN_FULL_CHECKS == 0;
            let life = self.come_back(if full { Depth::All } else { Depth::Recent }).await?;
            let moment = self.moment();
            self.work_and_crash(life, moment).await?;
            let lost = self.place.lose_power(&mut self.random)?;
            self.summary.crashes += 1;
            say(&format!("crash {round}: {moment:?}, lost {lost}; {}", self.progress()));
            self.look_at_log()?;
            self.lose_state()?;
            self.crash_during_recovery()?;
        }
        let life = self.come_back(Depth::All).await?;
        self.stop(life)?;
        let life = self.come_back(Depth::All).await?;
        self.summary.seals = self.seals(&life.client).await?;
        self.stop(life)
    }

    /// Starts a server and checks the store.
    async fn come_back(&mut self, depth: Depth) -> Result<Life> {
        let started = Instant::now();
        let server = Server::start(&self.place.store(), &self.place.log())?;
        self.summary.longest_start = self.summary.longest_start.max(started.elapsed());
        let client = server.client().await?;
        let watch = Watch::start(&client, &self.place.log(), self.segments);
        self.let_catch_up(&watch).await;
        if self.summary.crashes == 0 {
            client.apply(table::definitions()).await.map_err(Error::asking("defining"))?;
        }
        let found = check::check(&client, &self.history, &mut self.random, depth).await?;
        let findings = &mut self.summary.findings;
        findings.unknown_done += found.unknown_done;
        findings.unknown_void += found.unknown_void;
        findings.partial += found.partial;
        findings.repeated += found.repeated;
        Ok(Life { server, client, watch })
    }

    /// Takes note of a compaction that was under way when the last server ended: nobody asks the new one for anything
    /// yet, so if it has fewer segments than the last one was seen with, a compaction ended in between.
    async fn let_catch_up(&mut self, watch: &Watch) {
        if self.summary.crashes == 0 {
            return;
        }
        tokio::time::sleep(CATCHING_UP).await;
        self.summary.met_compactions += u64::from(watch.seen().compactions() > 0);
    }

    /// Ends a server in order.
    fn stop(&mut self, life: Life) -> Result<()> {
        self.part(&life.watch);
        life.server.stop()
    }

    /// Keeps what was seen of a server that ends.
    fn part(&mut self, watch: &Watch) {
        self.segments = watch.seen().segments();
        self.summary.compactions += watch.seen().compactions();
    }

    fn moment(&mut self) -> Moment {
        let longest_life_ms = self.options.longest_life_ms;
        let random = &mut self.random;
        match random.below(100) {
            0..30 => Moment::After(random.pause_ms(5, longest_life_ms)),
            30..48 => Moment::DuringLoad(random.pause_ms(0, 60)),
            48..60 => Moment::DuringTraining(random.pause_ms(0, 150)),
            60..75 => Moment::DuringSeal(random.pause_ms(0, 10)),
            75..90 => Moment::DuringCompaction(random.pause_ms(0, 25)),
            _ if self.place.is_lossy() => Moment::FailedSync(random.pause_ms(50, longest_life_ms)),
            _ => Moment::After(random.pause_ms(0, 100)),
        }
    }

    async fn work_and_crash(&mut self, life: Life, moment: Moment) -> Result<()> {
        let Life { mut server, client, watch } = life;
        let workload = Workload::start(&self.history, &client, server.address(), &mut self.random);
        let (moments, seen) = (workload.moments(), watch.seen());
        let warm_up = self.random.pause_ms(100, 800);
        let pause = match moment {
            Moment::After(pause) | Moment::FailedSync(pause) => pause,
            Moment::DuringLoad(pause) => {
                tokio::time::sleep(warm_up).await;
                within(SOON, moments.loading.notified()).await;
                pause
            }
            Moment::DuringTraining(pause) => {
                tokio::time::sleep(warm_up).await;
                within(SOON, moments.training.notified()).await;
                pause
            }
            Moment::DuringSeal(pause) => {
                tokio::time::sleep(warm_up).await;
                within(SOON, seen.sealing.notified()).await;
                pause
            }
            Moment::DuringCompaction(pause) => {
                within(COMPACTION_DEADLINE, seen.compacted.notified()).await;
                pause
            }
        };
        tokio::time::sleep(pause).await;
        if self.summary.crashes + 1 == self.options.crashes {
            within(TRAINING_DEADLINE, self.first_training()).await;
        }
        workload.expect_the_end();
        if matches!(moment, Moment::FailedSync(_)) {
            self.summary.failed_syncs += 1;
            self.place.fail_syncs();
            let ended = tokio::task::block_in_place(|| server.wait(FAILED_SYNC_DEADLINE))?;
            match ended {
                Some(status) if status.code() == Some(FAILED) => {}
                Some(status) => {
                    return Err(Error::violation(format!(
                        "a server whose disk cannot sync ended with {status}, not with {FAILED}; its last words \
                         were:\n{}",
                        server.last_words()
                    )));
                }
                None => {
                    return Err(Error::violation(format!(
                        "a server whose disk cannot sync still runs after {FAILED_SYNC_DEADLINE:?}"
                    )));
                }
            }
        }
        server.kill()?;
        self.part(&watch);
        workload.join().await
    }

    /// Waits for the first training set of the run. A run without one would show nothing of them, so its last server
    /// lives until then.
    async fn first_training(&self) {
        while self.trainings() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Training sets that those at work have.
    fn trainings(&self) -> u64 {
        let history = self.history.lock();
        let trainings = history.trainings.iter().filter(|training| training.name != CHECK);
        trainings.filter(|training| training.fate == Fate::Done).count() as u64
    }

    /// Takes note of how large the Raft log is.
    fn look_at_log(&mut self) -> Result<()> {
        let log = self.place.store().join("log");
        let sizes =
            || -> std::io::Result<u64> { fs::read_dir(&log)?.map(|file| Ok(file?.metadata()?.len())).sum() };
        let bytes = sizes().map_err(|cause| Error::io("measure", &log, cause))?;
        self.summary.log_bytes = bytes;
        Ok(())
    }

    /// Sometimes what is stored of the state is lost altogether.
    fn lose_state(&mut self) -> Result<()> {
        let state = self.place.store().join("kv");
        if !self.random.percent(30) || !state.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&state).map_err(|cause| Error::io("remove", state, cause))?;
        self.summary.lost_states += 1;
        Ok(())
    }

    /// Sometimes a server does not even get to read its store back.
    fn crash_during_recovery(&mut self) -> Result<()> {
        while self.random.percent(25) {
            let server = Server::launch(&self.place.store(), &self.place.log())?;
            std::thread::sleep(self.random.pause_ms(0, 400));
            server.kill()?;
            self.place.lose_power(&mut self.random)?;
            self.summary.during_recovery += 1;
        }
        Ok(())
    }

    /// Counts the seals in the lineage of the newest training set over all rows: each run that was ever written as a
    /// segment is one of them, however often a crash came before its seal.
    async fn seals(&self, client: &Client) -> Result<u64> {
        let newest = {
            let history = self.history.lock();
            let datasets = history.trainings.iter().filter_map(|training| training.dataset.as_ref());
            datasets.filter(|dataset| dataset.name == CHECK).max_by_key(|dataset| dataset.version).cloned()
        };
        let seals = match newest {
            Some(dataset) => check::seals(client, &dataset).await?,
            None => 0,
        };
        let written = watch::runs_written(&self.place.log())?.runs;
        if seals != written {
            return Err(Error::violation(format!(
                "{written} runs were written as segments, and a training set over all rows was made from {seals} seals"
            )));
        }
        Ok(seals)
    }

    fn progress(&self) -> String {
        let history = self.history.lock();
        let Summary { compactions, met_compactions, .. } = self.summary;
        let (sent, there) = (history.entered_rows(), history.present_rows());
        format!(
            "{sent} rows sent, {there} known to be there, {compactions} compactions, {met_compactions} of them met"
        )
    }

    fn summarize(&self) -> Result<Summary> {
        let mut summary = self.summary;
        summary.trainings = self.trainings();
        let history = self.history.lock();
        summary.rows = history.present_rows();
        summary.batches = history.pushes.iter().filter(|push| push.fate == Fate::Done).count() as u64;
        summary.loads = history.loads.iter().filter(|load| load.fate == Fate::Done).count() as u64;
        summary.lookups = history.lookups;
        summary.cut_seals = watch::runs_written(&self.place.log())?.again;
        Ok(summary)
    }
}

impl Summary {
    /// A run of many crashes in which something never happened shows nothing about it.
    fn met_everything(&self) -> Result<()> {
        let counts = [
            ("load", self.loads, CRASHES_WITH_EVERYTHING),
            ("training set", self.trainings, CRASHES_WITH_EVERYTHING),
            ("seal", self.seals, CRASHES_WITH_EVERYTHING),
            ("compaction", self.compactions, CRASHES_WITH_EVERYTHING),
            ("seal that was cut off", self.cut_seals, CRASHES_THAT_MEET_EVERYTHING),
            ("compaction that was met", self.met_compactions, CRASHES_THAT_MEET_EVERYTHING),
        ];
        match counts.iter().find(|(_, count, crashes)| *count == 0 && self.crashes >= *crashes) {
            None => Ok(()),
            Some((what, ..)) => {
                Err(Error::Harness(format!("no {what} in {} crashes: {self:#?}", self.crashes)))
            }
        }
    }
}

/// Waits for a moment that may have passed, or never come.
async fn within(deadline: Duration, moment: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(deadline, moment).await;
}
