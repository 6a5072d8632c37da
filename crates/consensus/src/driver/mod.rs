//! The driver: threads around the synchronous core.
//!
//! One raft thread steps all groups, one log writer makes their entries durable, apply threads own the state
//! machines, and one thread finishes the checkpoints they begin. They talk through channels; no lock is held
//! across a sync. A failure or a panic of any of them ends the node: see [`Handle::failed`].

mod applier;
mod budget;
mod checkpointer;
mod event;
mod handle;
mod health;
mod lane;
mod raft_thread;
mod writer;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use crossbeam_channel::Sender;
use lineate_storage::log::{LogBatch, RaftLog};
use lineate_types::{GroupId, limits};

use self::{
    applier::{Applier, Appliers, Machine},
    budget::Budget,
    checkpointer::Checkpointer,
    event::Event,
    handle::{Gate, Shared},
    health::Health,
    lane::Lane,
    raft_thread::{RaftThread, State},
    writer::Writer,
};
use crate::{
    Applied, Clock, Error, Options, Outbox, Result, StateMachine,
    core::{Group, Survey, founding},
    ports::NoPeers,
};

pub use handle::{Handle, Reply};
pub use health::Failure;

/// A group that a node serves.
pub struct Served {
    /// The group.
    pub group: GroupId,
    /// Its state.
    pub machine: Box<dyn StateMachine>,
    /// What its log was found to hold, if it was read through already for the state as it stands.
    pub survey: Option<Survey>,
}

/// Runs the groups of one node. Dropping it asks the threads to stop without waiting for them.
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Driver {
    /// Starts the groups of a node that is their only voter. A group the log does not know is founded.
    ///
    /// Returns before the groups lead; requests wait for that, up to [`Options::patience`].
    ///
    /// # Errors
    /// Fails where the log and a state machine contradict each other, and where a thread cannot start.
    pub fn start(
        log: Arc<dyn RaftLog>,
        clock: Arc<dyn Clock>,
        groups: Vec<Served>,
        peer: u64,
        options: Options,
    ) -> Result<(Self, Handle)> {
        Self::start_among(log, clock, groups, peer, &[peer], Box::new(NoPeers), options)
    }

    /// Starts the groups of a node that shares them with other voters, the same in every group; all must be
    /// started with the same voters, `peer` among them. Frames of the others go to [`Handle::deliver`].
    ///
    /// # Errors
    /// As [`Driver::start`].
    pub fn start_among(
        log: Arc<dyn RaftLog>,
        clock: Arc<dyn Clock>,
        groups: Vec<Served>,
        peer: u64,
        voters: &[u64],
        outbox: Box<dyn Outbox>,
        options: Options,
    ) -> Result<(Self, Handle)> {
        options.check()?;
        if peer == 0 || !voters.contains(&peer) || voters.contains(&0) {
            return Err(Error::Options {
                reason: format!("peer {peer} must be above zero and among the voters {voters:?}"),
            });
        }
        let groups = by_id(groups)?;
        found(&*log, &groups, voters)?;
        let (cores, machines) = open(&log, groups, peer, &options)?;
        let (mailbox, events) = crossbeam_channel::unbounded();
        let gates = cores.iter().map(|(id, core)| (*id, Gate::new(core.status(), &options))).collect();
        let health = Arc::new(Health::new());
        let frames = Budget::new("bytes of frames", limits::PEER_FRAME_BYTES_QUEUED);
        let shared =
            Arc::new(Shared { mailbox: mailbox.clone(), health: Arc::clone(&health), gates, frames, clock });
        let mut driver = Self { shared: Arc::clone(&shared), threads: Vec::new() };

        let (writes, write_jobs) = crossbeam_channel::bounded(1);
        let mut writer =
            Writer { log, jobs: write_jobs, mailbox: mailbox.clone(), health: Arc::clone(&health) };
        driver.spawn("raft-log", move || writer.run())?;
        let appliers = driver.spawn_appliers(machines, &mailbox, &options)?;
        let (checkpoints, begun) = crossbeam_channel::unbounded();
        let mut checkpointer = Checkpointer { begun, mailbox: mailbox.clone(), health: Arc::clone(&health) };
        driver.spawn("raft-checkpoint", move || checkpointer.run())?;
        let mut raft = RaftThread {
            shared,
            events,
            options,
            outbox,
            lanes: cores.into_iter().map(|(id, core)| (id, Lane::new(id, core))).collect(),
            writer: writes,
            appliers,
            checkpoints,
            state: State::default(),
        };
        let ended = Arc::clone(&driver.shared);
        driver.spawn("raft", move || {
            let ran = catch_unwind(AssertUnwindSafe(|| raft.run()));
            match ran {
                Ok(Ok(())) => {}
                Ok(Err(error)) => ended.health.fail(Failure::of(&error)),
                Err(panic) => ended.health.fail(Failure::of_panic("raft", &*panic)),
            }
            ended.close_gates();
            // Requests in the lanes fail when they are dropped: only now, when the reason is known.
            ended.health.set_ended();
            drop(raft);
            Ok(())
        })?;
        let handle = Handle::new(Arc::clone(&driver.shared));
        Ok((driver, handle))
    }

    /// Stops taking requests, finishes what is on its way, hands back the commit times reserved ahead, and
    /// joins the threads. May wait for a sync of the log and for the state machines; do not call it from an
    /// async task.
    ///
    /// # Errors
    /// The failure that ended the node, if one did.
    pub fn shutdown(mut self) -> Result<()> {
        self.stop();
        for thread in std::mem::take(&mut self.threads) {
            if let Err(panic) = thread.join() {
                self.shared.health.fail(Failure::of_panic("consensus", &*panic));
            }
        }
        self.shared.health.failure().map_or(Ok(()), |failure| Err(failure.error()))
    }

    fn stop(&self) {
        // The raft thread is gone where it failed.
        drop(self.shared.mailbox.send(Event::Shutdown));
    }

    fn spawn_appliers(
        &mut self,
        groups: BTreeMap<GroupId, Machine>,
        mailbox: &Sender<Event>,
        options: &Options,
    ) -> Result<Appliers> {
        let threads = options.apply_threads.min(groups.len().max(1));
        let mut shares: Vec<BTreeMap<_, _>> = (0..threads).map(|_| BTreeMap::new()).collect();
        for (position, (id, machine)) in groups.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(position % threads) {
                share.insert(id, machine);
            }
        }
        let (mut senders, mut of_group) = (Vec::new(), BTreeMap::new());
        for machines in shares {
            let (jobs, taken) = crossbeam_channel::unbounded();
            of_group.extend(machines.keys().map(|id| (*id, senders.len())));
            senders.push(jobs);
            let health = Arc::clone(&self.shared.health);
            let mut applier = Applier { machines, jobs: taken, mailbox: mailbox.clone(), health };
            self.spawn("raft-apply", move || applier.run())?;
        }
        Ok(Appliers::new(senders, of_group))
    }

    /// Starts a thread whose error or panic ends the node.
    fn spawn(&mut self, name: &'static str, run: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let body = move || {
            let failure = match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => Failure::of(&error),
                Err(panic) => Failure::of_panic(name, &*panic),
            };
            shared.health.fail(failure);
            drop(shared.mailbox.send(Event::Failed));
        };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        self.threads.push(spawned.map_err(|source| Error::Thread { thread: name, source })?);
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn by_id(groups: Vec<Served>) -> Result<BTreeMap<GroupId, Served>> {
    let mut known = BTreeMap::new();
    for served in groups {
        let group = served.group;
        if known.insert(group, served).is_some() {
            return Err(Error::Options { reason: format!("group {group} is named twice") });
        }
    }
    Ok(known)
}

/// Founds the groups the log does not know, with one sync.
fn found(log: &dyn RaftLog, groups: &BTreeMap<GroupId, Served>, voters: &[u64]) -> Result<()> {
    let mut batch = LogBatch::default();
    for (group, served) in groups.iter().filter(|(group, _)| log.state(**group).is_none()) {
        let applied = served.machine.applied();
        if applied != Applied::NOTHING {
            return Err(Error::CorruptLog {
                group: *group,
                found: format!("it is missing, and the state stands at index {}", applied.index),
            });
        }
        batch.parts.push(founding(*group, voters));
    }
    if !batch.is_empty() {
        log.append(&batch)?;
    }
    Ok(())
}

fn open(
    log: &Arc<dyn RaftLog>,
    groups: BTreeMap<GroupId, Served>,
    peer: u64,
    options: &Options,
) -> Result<(BTreeMap<GroupId, Group>, BTreeMap<GroupId, Machine>)> {
    let (mut cores, mut machines) = (BTreeMap::new(), BTreeMap::new());
    for (id, Served { machine: state, survey, .. }) in groups {
        let applied = state.applied();
        let survey = match survey.filter(|survey| survey.is_of(id, applied)) {
            Some(survey) => survey,
            None => Survey::of(&**log, id, applied)?,
        };
        let core = Group::open_surveyed(Arc::clone(log), peer, survey, options)?;
        machines.insert(id, Machine { state, applied: core.position() });
        cores.insert(id, core);
    }
    Ok((cores, machines))
}
