//! Opening and closing a node, and proposing to its groups.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use lineate_consensus::{Clock, Driver, GroupStatus, Handle, ReadPoint, Reply, Served, StateMachine};
use lineate_state::{
    codec,
    meta::{MetaCommand, MetaMachine, MetaReply, MetaRequest},
    shard::{ShardCommand, ShardMachine, ShardReply, ShardRequest},
};
use lineate_storage::{
    DataDir, OpenMode,
    blob::{BlobStore, DirBlobs, Keeper, Lease},
    disk::{Disk, OsDisk},
    kv::{OrderedKv, SledKv, SledOptions},
    log::{FileLog, LogOptions},
};
use lineate_types::{ErrorKind, GroupId, HasKind, Hash, Principal, ShardId, TimestampUs, limits};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Span, field::Empty};

use crate::{
    Error, Result, SealedTexts, Shared,
    api::{NodeStatus, Options},
    checkpoint::rebuild_unless_it_fits,
    clock::HybridClock,
    compacting,
    disk_reserve::{DiskReserve, NewBlobs},
    disk_use::DiskUse,
    maintenance,
    online::{self, HotShard, Online, Plans},
    replica::Replica,
    segments::Segments,
    storing::Storing,
    uploads::{UploadSink, Uploads},
};

/// A running node. Cheap to clone; ends with [`Node::shutdown`].
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    dir: DataDir,
    log: Arc<FileLog>,
    /// What the files of the log may take.
    log_bytes: u64,
    blobs: Arc<dyn BlobStore>,
    reserve: DiskReserve,
    clock: Arc<HybridClock>,
    consensus: Handle,
    driver: Mutex<Option<Driver>>,
    /// What stores the state of the groups.
    storing: Mutex<Option<Storing>>,
    meta: Shared<MetaMachine>,
    shards: Vec<Shared<ShardMachine>>,
    online: Online,
    sealed_texts: SealedTexts,
    segments: Segments,
    keeper: Keeper,
    disk_use: DiskUse,
    sealing: tokio::sync::Mutex<()>,
    compacting: tokio::sync::Mutex<()>,
    manifests_changed: Notify,
    uploads: Uploads,
    changed: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
    background: Mutex<Vec<JoinHandle<()>>>,
}

/// The only peer of every group, until there are clusters.
const PEER: u64 = 1;
/// How often a group is asked whether it has caught up, each time as long as consensus is patient.
const CATCH_UP_ATTEMPTS: usize = 100;
const CATCH_UP_PAUSE: Duration = Duration::from_millis(100);
/// The part of what the Raft log may take that one of its files takes: the last file, of which nothing can be
/// given back, must be a small part.
const LOG_FILE_SHARE: u64 = 8;
/// Bytes of one file of the Raft log, at least.
const LOG_FILE_BYTES_MIN: u64 = 64 * 1024;
/// Bytes of the newest log entries kept in memory.
const LOG_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of pages sled keeps in memory.
const KV_CACHE_BYTES: u64 = 64 * 1024 * 1024;

impl Node {
    /// Opens the store in a directory, making it if there is none, and starts its groups.
    ///
    /// # Errors
    /// The directory is in use, of a newer release, or damaged.
    pub async fn open(options: Options) -> Result<Self> {
        Self::open_on(options, Arc::new(OsDisk)).await
    }

    /// As [`Node::open`], with the sealed texts on a disk of the caller's.
    pub(crate) async fn open_on(options: Options, sealed: Arc<dyn Disk>) -> Result<Self> {
        let inner = tokio::task::spawn_blocking(move || Inner::open(options, sealed)).await??;
        let node = Self { inner: Arc::new(inner) };
        node.catch_up().await?;
        node.settle_texts().await?;
        node.resume_loads().await?;
        let stop = &node.inner.stop;
        let tasks = [
            tokio::spawn(maintenance::run(node.clone(), stop.clone())),
            tokio::spawn(compacting::run(node.clone(), stop.clone())),
            tokio::spawn(online::run_folds(node.clone(), stop.clone())),
        ];
        node.inner.background.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(node)
    }

    /// A time at which a group can be read, at or above the one wanted unless commands that are being written keep it
    /// before that; the node's clock is there from then on.
    pub(crate) async fn read_point(&self, group: GroupId, wanted: TimestampUs) -> Result<ReadPoint> {
        let point = self.consensus().read_again(group, wanted).await?;
        self.inner.clock.observe(point.as_of);
        Ok(point)
    }

    /// Waits until every group leads and has applied what its log holds: before that, no manifest says which blobs
    /// are needed.
    async fn catch_up(&self) -> Result<()> {
        let groups = [GroupId::META].into_iter().chain(self.shard_ids().map(ShardId::group));
        for group in groups {
            let mut attempt = 1;
            while let Err(error) = self.read_point(group, TimestampUs::MIN).await {
                if error.kind() != ErrorKind::Unavailable || attempt == CATCH_UP_ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
                tokio::time::sleep(CATCH_UP_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Stops long work, the background work and the groups, and gives the directory free.
    ///
    /// # Errors
    /// A thread of the groups failed.
    pub async fn shutdown(&self) -> Result<()> {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        let tasks =
            std::mem::take(&mut *self.inner.background.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.await?;
        }
        let driver = self.inner.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let storing = self.inner.storing.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::task::spawn_blocking(move || {
            let ended = driver.map_or(Ok(()), Driver::shutdown);
            // After the last change.
            drop(storing);
            Ok(ended?)
        })
        .await?
    }

    /// Waits until the node must not work on, and says why. The process should end then.
    pub async fn failed(&self) -> String {
        self.inner.consensus.failed().await.reason
    }

    /// The meta group's state.
    pub fn meta(&self) -> &Shared<MetaMachine> {
        &self.inner.meta
    }

    /// A shard's state.
    pub(crate) fn shard(&self, shard: ShardId) -> &Shared<ShardMachine> {
        self.inner.shards.get(usize::from(shard.0)).expect("invariant: shard ids come from `shard_ids`")
    }

    /// Every shard, in order.
    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards()).map(ShardId)
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.inner.dir.shards()
    }

    /// The blobs, to read, and to finish what was begun.
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.inner.blobs
    }

    /// A lease, to write blobs of new data through: one that would touch what is kept free of the disk is refused.
    pub fn new_blobs(&self, lease: &Lease) -> NewBlobs {
        NewBlobs::new(lease.clone(), self.inner.reserve.clone())
    }

    /// The data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.inner.dir
    }

    /// Texts beside the log.
    pub fn sealed_texts(&self) -> &SealedTexts {
        &self.inner.sealed_texts
    }

    /// Begins to take a file that a later request uses.
    ///
    /// # Errors
    /// Too many files wait, or the disk refuses.
    pub async fn upload(&self) -> Result<UploadSink<'_>> {
        self.inner.uploads.begin(self.now()).await
    }

    /// The files that wait to be used.
    pub fn uploads(&self) -> &Uploads {
        &self.inner.uploads
    }

    pub(crate) fn online(&self) -> &Online {
        &self.inner.online
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.inner.segments
    }

    /// Who uses blobs.
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.inner.keeper
    }

    /// Held while a frozen run is sealed, so that two tasks never write the same segment.
    pub(crate) fn sealing(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.sealing
    }

    /// Held while segments are merged: one compaction of a node takes enough memory and disk.
    pub(crate) fn compacting(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.compacting
    }

    /// Notified when there may be something to compact.
    pub(crate) fn manifests_changed(&self) -> &Notify {
        &self.inner.manifests_changed
    }

    pub(crate) fn consensus(&self) -> &Handle {
        &self.inner.consensus
    }

    /// The Raft log.
    pub(crate) fn log(&self) -> &FileLog {
        &self.inner.log
    }

    /// What the files of the Raft log may take, in bytes.
    pub(crate) fn log_bytes_limit(&self) -> u64 {
        self.inner.log_bytes
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.inner.changed
    }

    /// Cancelled when the node stops.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// Long work under way; the node stops after it.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Now, by the node's clock: at or after every time that was committed or answered at.
    pub fn now(&self) -> TimestampUs {
        self.inner.clock.now()
    }

    /// Refuses to take more data while the disk is nearly full: the rest of it is for finishing what was taken.
    ///
    /// # Errors
    /// Less is left than is kept free, or the operating system refuses to say how much.
    pub fn check_space(&self) -> Result<()> {
        self.check_space_for(0)
    }

    /// Refuses to write so many bytes where that would touch what is kept free.
    pub(crate) fn check_space_for(&self, bytes: u64) -> Result<()> {
        self.inner.reserve.grant(bytes).map(|_| ())
    }

    /// Proposes to the meta group and gives its answer with the commit time.
    ///
    /// # Errors
    /// It is refused, or it could not be replicated.
    pub async fn propose_meta(
        &self,
        principal: &Principal,
        command: MetaCommand,
    ) -> Result<(MetaReply, TimestampUs)> {
        let finishes_something = matches!(
            command,
            MetaCommand::CommitLoad(_)
                | MetaCommand::AbortLoad { .. }
                | MetaCommand::RecordSeal { .. }
                | MetaCommand::Erase(_)
        );
        if !finishes_something {
            self.check_space()?;
        }
        let agent = self.inner.sealed_texts.agent(principal).await?;
        let request = MetaRequest { agent, command };
        let commands = vec![(GroupId::META, Bytes::from(codec::encode(&request)))];
        let reply = only(self.propose_all(commands).await)?;
        match codec::decode("meta reply", &reply.body)? {
            MetaReply::Refused(refusal) => Err(refusal.into()),
            answer => Ok((answer, reply.commit_time)),
        }
    }

    pub(crate) async fn propose_shard(
        &self,
        principal: &Principal,
        shard: ShardId,
        command: ShardCommand,
    ) -> Result<ShardReply> {
        let agent = self.sealed_texts().agent(principal).await?;
        only(self.propose_shards(vec![(shard, for_shard(agent, command))]).await)
    }

    /// Proposes commands, as [`for_shard`] encodes them, that are written together. Each has an outcome of its own, in
    /// the order they are given in.
    pub(crate) async fn propose_shards(&self, commands: Vec<(ShardId, Bytes)>) -> Vec<Result<ShardReply>> {
        let commands = commands.into_iter().map(|(shard, command)| (shard.group(), command));
        let replies = self.propose_all(commands.collect()).await.into_iter();
        let replies = replies.map(|reply| match codec::decode("shard reply", &reply?.body)? {
            ShardReply::Refused(refusal) => Err(refusal.into()),
            answer => Ok(answer),
        });
        replies.collect()
    }

    async fn propose_all(&self, commands: Vec<(GroupId, Bytes)>) -> Vec<Result<Reply>> {
        let spans: Vec<Span> = commands
            .iter()
            .map(|(group, command)| {
                // OpenTelemetry has signed numbers; unsigned ones would become texts.
                tracing::debug_span!(
                    "propose", %group, term = Empty, bytes = command.len() as i64, index = Empty, commit_time_us = Empty
                )
            })
            .collect();
        let groups: Vec<GroupId> = commands.iter().map(|(group, _)| *group).collect();
        let replies = self.inner.consensus.propose_all(commands).await;
        for ((span, group), reply) in spans.iter().zip(groups).zip(&replies) {
            let Ok(reply) = reply else { continue };
            self.inner.clock.observe(reply.commit_time);
            if !span.is_disabled() {
                let led = self.groups().into_iter().find(|status| status.group == group);
                span.record("term", led.map(|status| status.term.cast_signed()));
                span.record("index", reply.index.cast_signed()).record("commit_time_us", reply.commit_time.0);
            }
        }
        replies.into_iter().map(|reply| Ok(reply?)).collect()
    }

    /// The state of every group, ascending. Never waits.
    pub fn groups(&self) -> Vec<GroupStatus> {
        self.inner.consensus.status()
    }

    /// The state of the node. May look at every file of the store: not for threads that serve.
    pub fn status(&self) -> NodeStatus {
        let mut status = NodeStatus {
            store: self.inner.dir.store_id().to_string(),
            data_dir: self.inner.dir.path().to_owned(),
            shards: self.shards(),
            groups: self.groups(),
            open_rows: 0,
            sealed_rows: 0,
            segments: 0,
            segment_bytes: 0,
            ledger_entries: self.meta().read().ledger().size(),
            disk: self
                .inner
                .disk_use
                .get(&self.inner.dir)
                .inspect_err(|error| tracing::warn!(%error, "the disk cannot be measured"))
                .ok(),
        };
        for shard in self.shard_ids() {
            for (_, history) in self.shard(shard).read().histories() {
                let frozen: usize = history.frozen.values().map(|run| run.rows.rows()).sum();
                status.open_rows += (frozen + history.open.as_ref().map_or(0, |run| run.rows.rows())) as u64;
                for sealed in history.sealed.values() {
                    status.segments += 1;
                    status.sealed_rows += sealed.segment.rows;
                    status.segment_bytes += sealed.segment.segment_bytes + sealed.segment.key_index_bytes;
                }
            }
        }
        status
    }
}

/// A command as it goes into the log of a shard.
pub(crate) fn for_shard(agent: Hash, command: ShardCommand) -> Bytes {
    codec::encode(&ShardRequest { agent, command }).into()
}

/// The outcome of a single command.
pub(crate) fn only<T>(outcomes: Vec<Result<T>>) -> Result<T> {
    let outcome = outcomes.into_iter().next();
    outcome.unwrap_or_else(|| Err(Error::Internal("a command has no outcome".into())))
}

impl Inner {
    /// Reads the store back and starts its groups.
    fn open(options: Options, sealed: Arc<dyn Disk>) -> Result<Self> {
        let mode = match options.shards {
            Some(shards) => OpenMode::Create { shards, store_id: uuid::Uuid::new_v4() },
            None => OpenMode::Existing,
        };
        let dir = DataDir::open(&options.data_dir, mode)?;
        let log_bytes = options.log_bytes.max(LOG_FILE_SHARE * LOG_FILE_BYTES_MIN);
        let log_options = LogOptions {
            store_id: *dir.store_id().as_bytes(),
            file_bytes: log_bytes / LOG_FILE_SHARE,
            cache_bytes: LOG_CACHE_BYTES,
        };
        let (log, recovery) = FileLog::open(&dir.log_dir(), log_options)?;
        let log = Arc::new(log);
        tracing::debug!(?recovery, "raft log opened");
        let (kv, report) =
            SledKv::open_or_quarantine(&dir.kv_dir(), &SledOptions { cache_bytes: KV_CACHE_BYTES })?;
        if report.quarantined.is_some() {
            tracing::warn!(
                ?report,
                "damaged state was moved aside and is rebuilt from checkpoints and the log"
            );
        }
        let kv: Arc<dyn OrderedKv> = Arc::new(kv);
        let blobs: Arc<dyn BlobStore> = Arc::new(DirBlobs::open(&dir.blobs_dir(), &dir.tmp_dir())?);
        let sealed_texts = SealedTexts::open_on(sealed, &dir.sealed_dir())?;
        let changed = Arc::new(Notify::new());
        let shard_groups = (0..dir.shards()).map(|shard| ShardId(shard).group());
        let mut surveys = BTreeMap::new();
        for group in [GroupId::META].into_iter().chain(shard_groups) {
            let survey = rebuild_unless_it_fits(log.as_ref(), kv.as_ref(), blobs.as_ref(), group)?;
            surveys.extend(survey.map(|survey| (group, survey)));
        }
        let mut served = |group: GroupId, machine: Box<dyn StateMachine>| Served {
            group,
            machine,
            survey: surveys.remove(&group),
        };

        let storing = Storing::start()?;
        let (replica, meta) = Replica::<MetaMachine>::restore(
            kv.clone(),
            &storing,
            blobs.clone(),
            GroupId::META,
            changed.clone(),
        )?;
        let plans = Plans::new(&meta.read());
        let replica = replica.followed_by(plans.follower());
        let mut groups = vec![served(GroupId::META, Box::new(replica))];
        let mut shards = Vec::with_capacity(usize::from(dir.shards()));
        let mut hot = Vec::with_capacity(usize::from(dir.shards()));
        let folds = Arc::new(Notify::new());
        for shard in (0..dir.shards()).map(ShardId) {
            let (replica, machine) = Replica::<ShardMachine>::restore(
                kv.clone(),
                &storing,
                blobs.clone(),
                shard.group(),
                changed.clone(),
            )?;
            let of_shard = options.cache_bytes / usize::from(dir.shards()).max(1);
            let view = Arc::new(HotShard::new(&machine.read(), of_shard, folds.clone()));
            hot.push(view.clone());
            let replica = replica.followed_by(move |machine: &ShardMachine| view.follow(machine));
            groups.push(served(shard.group(), Box::new(replica)));
            shards.push(machine);
        }
        let clock = Arc::new(HybridClock::new(options.clock));
        let reserve = DiskReserve::new(dir.path().to_owned(), options.disk);
        let (driver, consensus) =
            Driver::start(log.clone(), clock.clone(), groups, PEER, lineate_consensus::Options::default())?;
        Ok(Self {
            sealed_texts,
            segments: Segments::new(
                blobs.clone(),
                limits::open_segments(lineate_storage::descriptor_limit()),
            ),
            keeper: Keeper::new(blobs.clone(), {
                let changed = changed.clone();
                move || changed.notify_one()
            }),
            disk_use: DiskUse::default(),
            sealing: tokio::sync::Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            manifests_changed: Notify::new(),
            uploads: Uploads::new(dir.tmp_dir(), reserve.clone()),
            dir,
            log,
            log_bytes,
            blobs,
            reserve,
            clock,
            consensus,
            driver: Mutex::new(Some(driver)),
            storing: Mutex::new(Some(storing)),
            meta,
            shards,
            online: Online::new(plans, hot, folds),
            changed,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            background: Mutex::new(Vec::new()),
        })
    }
}
