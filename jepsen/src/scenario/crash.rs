//! Crashes at random moments: SIGKILL, and where the disk can, loss of power and failing syncs.

use std::{
    fs,
    time::{Duration, Instant},
};

use lineate_client::Client;

use super::{Place, say};
use crate::{
    Error, Result,
    check::{self, Depth, Findings},
    history::{Fate, Shared},
    random::Random,
    server::{self, Server},
    table,
    workload::Workload,
};

/// Shards of the store: few, so that each has much to do.
const SHARDS: u16 = 4;
/// How long a server may live whose disk cannot sync.
const FAILED_SYNC_DEADLINE: Duration = Duration::from_secs(30);
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
    /// Training sets acknowledged.
    pub trainings: u64,
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
    FailedSync(Duration),
}

struct Run {
    place: Place,
    history: Shared,
    random: Random,
    summary: Summary,
}

/// Crashes a server again and again, checking what came back.
///
/// # Errors
/// A promise is broken. The directory is kept then, and named.
pub async fn run(place: Place, options: Options) -> Result<Summary> {
    server::make_store(&place.store(), SHARDS)?;
    let random = Random::new(options.seed);
    let mut run = Run { place, history: Shared::default(), random, summary: Summary::default() };
    match run.rounds(options).await {
        Ok(()) => Ok(run.summarize()),
        Err(error) => {
            say(&format!("the store is kept in {}", run.place.keep().display()));
            Err(error)
        }
    }
}

impl Run {
    async fn rounds(&mut self, options: Options) -> Result<()> {
        for round in 1..=options.crashes {
            let full = round % ROUNDS_BETWEEN_FULL_CHECKS == 0;
            let (server, client) = self.come_back(if full { Depth::All } else { Depth::Recent }).await?;
            let moment = self.moment(options.longest_life_ms);
            self.work_and_crash(server, &client, moment).await?;
            let lost = self.place.lose_power(&mut self.random)?;
            self.summary.crashes += 1;
            say(&format!("crash {round}: {moment:?}, lost {lost}; {}", self.progress()));
            self.look_at_log()?;
            self.lose_state()?;
            self.crash_during_recovery()?;
        }
        let (server, _) = self.come_back(Depth::All).await?;
        server.stop()?;
        let (server, _) = self.come_back(Depth::All).await?;
        server.stop()
    }

    /// Starts a server and checks the store.
    async fn come_back(&mut self, depth: Depth) -> Result<(Server, Client)> {
        let started = Instant::now();
        let server = Server::start(&self.place.store(), &self.place.log())?;
        self.summary.longest_start = self.summary.longest_start.max(started.elapsed());
        let client = server.client().await?;
        if self.summary.crashes == 0 {
            client.apply(table::definitions()).await.map_err(Error::asking("defining"))?;
        }
        let found = check::check(&client, &self.history, &mut self.random, depth).await?;
        let findings = &mut self.summary.findings;
        findings.unknown_done += found.unknown_done;
        findings.unknown_void += found.unknown_void;
        findings.partial += found.partial;
        findings.repeated += found.repeated;
        Ok((server, client))
    }

    fn moment(&mut self, longest_life_ms: u64) -> Moment {
        let random = &mut self.random;
        match random.below(100) {
            0..40 => Moment::After(random.pause_ms(5, longest_life_ms)),
            40..65 => Moment::DuringLoad(random.pause_ms(0, 60)),
            65..85 => Moment::DuringTraining(random.pause_ms(0, 150)),
            _ if self.place.is_lossy() => Moment::FailedSync(random.pause_ms(50, longest_life_ms)),
            _ => Moment::After(random.pause_ms(0, 100)),
        }
    }

    async fn work_and_crash(&mut self, mut server: Server, client: &Client, moment: Moment) -> Result<()> {
        let workload = Workload::start(&self.history, client, server.address(), &mut self.random);
        let moments = workload.moments();
        let warm_up = self.random.pause_ms(100, 800);
        match moment {
            Moment::After(pause) | Moment::FailedSync(pause) => tokio::time::sleep(pause).await,
            Moment::DuringLoad(pause) => {
                tokio::time::sleep(warm_up).await;
                soon(moments.loading.notified()).await;
                tokio::time::sleep(pause).await;
            }
            Moment::DuringTraining(pause) => {
                tokio::time::sleep(warm_up).await;
                soon(moments.training.notified()).await;
                tokio::time::sleep(pause).await;
            }
        }
        workload.expect_the_end();
        if matches!(moment, Moment::FailedSync(_)) {
            self.summary.failed_syncs += 1;
            self.place.fail_syncs();
            let ended = tokio::task::block_in_place(|| server.wait(FAILED_SYNC_DEADLINE))?;
            if ended.is_none() {
                return Err(Error::violation(format!(
                    "a server whose disk cannot sync still runs after {FAILED_SYNC_DEADLINE:?}"
                )));
            }
        }
        server.kill()?;
        workload.join().await
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

    fn progress(&self) -> String {
        let history = self.history.lock();
        format!("{} rows sent, {} known to be there", history.entered_rows(), history.present_rows())
    }

    fn summarize(&self) -> Summary {
        let history = self.history.lock();
        let mut summary = self.summary;
        summary.rows = history.present_rows();
        summary.batches = history.pushes.iter().filter(|push| push.fate == Fate::Done).count() as u64;
        summary.loads = history.loads.iter().filter(|load| load.fate == Fate::Done).count() as u64;
        summary.trainings =
            history.trainings.iter().filter(|training| training.fate == Fate::Done).count() as u64;
        summary.lookups = history.lookups;
        summary
    }
}

/// Waits for a moment that may have passed.
async fn soon(moment: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(Duration::from_secs(2), moment).await;
}
