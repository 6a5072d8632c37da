//! An apply thread: owns the state machines of its groups, applies what is committed, answers who waits.
//!
//! It also computes the chain of each group: a hash over all bytes that are applied, for which the raft thread, which
//! serves all groups, should not be held up.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crossbeam_channel::{Receiver, Sender};
use lineate_types::GroupId;

use super::{
    event::{CheckpointRest, Event, Reached, Waiter},
    handle::Reply,
    health::Health,
};
use crate::{Applied, BoxError, Committed, Error, Result, StateMachine};

/// Bytes of entries applied in one step of a state machine, unless a single job has more.
const STEP_BYTES: usize = 16 * 1024 * 1024;
/// Lists of jobs taken from the queue at once.
const STEP_JOBS: usize = 1_024;

/// What an apply thread is asked for.
pub(super) enum Job {
    /// To apply committed entries.
    Apply {
        group: GroupId,
        entries: Vec<Committed>,
        /// Who waits, by the position of the entry in `entries`; ascending.
        waiters: Vec<(usize, Waiter)>,
        bytes: usize,
    },
    /// To begin a checkpoint.
    Checkpoint { group: GroupId },
}

/// The way to the apply threads.
pub(super) struct Appliers {
    threads: Vec<Sender<Vec<Job>>>,
    /// Which of them has the group.
    of_group: BTreeMap<GroupId, usize>,
}

impl Appliers {
    pub(super) fn new(threads: Vec<Sender<Vec<Job>>>, of_group: BTreeMap<GroupId, usize>) -> Self {
        Self { threads, of_group }
    }

    /// Hands out jobs, to each thread all of its own at once.
    pub(super) fn send(&self, jobs: impl Iterator<Item = Job>) {
        let mut of_thread: BTreeMap<usize, Vec<Job>> = BTreeMap::new();
        for job in jobs {
            let (Job::Apply { group, .. } | Job::Checkpoint { group }) = &job;
            if let Some(thread) = self.of_group.get(group) {
                of_thread.entry(*thread).or_default().push(job);
            }
        }
        for (thread, jobs) in of_thread {
            if let Some(thread) = self.threads.get(thread) {
                // An apply thread is gone only after it failed, which ends the raft thread too.
                drop(thread.send(jobs));
            }
        }
    }
}

/// An apply thread.
pub(super) struct Applier {
    pub(super) machines: BTreeMap<GroupId, Machine>,
    pub(super) jobs: Receiver<Vec<Job>>,
    pub(super) mailbox: Sender<Event>,
    pub(super) health: Arc<Health>,
}

/// A state machine, and where it stands.
pub(super) struct Machine {
    pub(super) state: Box<dyn StateMachine>,
    pub(super) applied: Applied,
}

/// What one step applies to one group.
#[derive(Default)]
struct Step {
    entries: Vec<Committed>,
    waiters: VecDeque<(usize, Waiter)>,
    bytes: usize,
}

impl Applier {
    /// Applies until the raft thread is gone, or the node failed.
    pub(super) fn run(&mut self) -> Result<()> {
        while let Ok(first) = self.jobs.recv() {
            let mut steps: BTreeMap<GroupId, Step> = BTreeMap::new();
            let mut checkpoints = Vec::new();
            let mut bytes = 0;
            let rest = self.jobs.try_iter().take(STEP_JOBS);
            for jobs in std::iter::once(first).chain(rest) {
                for job in jobs {
                    match job {
                        Job::Checkpoint { group } => checkpoints.push(group),
                        Job::Apply { group, entries, waiters, bytes: more } => {
                            steps.entry(group).or_default().push(entries, waiters, more);
                            bytes += more;
                        }
                    }
                }
                if bytes >= STEP_BYTES {
                    break;
                }
            }
            if self.health.failure().is_some() {
                return Ok(());
            }
            let groups =
                steps.into_iter().map(|(group, step)| self.apply(group, step)).collect::<Result<Vec<_>>>()?;
            if !groups.is_empty() {
                self.tell(Event::Applied { groups });
            }
            for group in checkpoints {
                let begun = self.machine(group)?.state.checkpoint();
                let rest = begun.map_err(|source| Error::StateMachine { group, source })?;
                self.tell(Event::CheckpointBegun { group, rest: CheckpointRest(rest) });
            }
        }
        Ok(())
    }

    fn apply(&mut self, group: GroupId, step: Step) -> Result<Reached> {
        let Step { entries, mut waiters, bytes } = step;
        let failed = |source: BoxError| Error::StateMachine { group, source };
        let machine = self.machine(group)?;
        let reached = machine.applied.after(&entries);
        let replies = machine.state.apply(&entries, reached).map_err(failed)?;
        machine.applied = reached;
        if replies.len() != entries.len() {
            let (replies, entries) = (replies.len(), entries.len());
            return Err(failed(format!("it gave {replies} replies to {entries} entries").into()));
        }
        for (position, (entry, body)) in entries.iter().zip(replies).enumerate() {
            if let Some((_, waiter)) = waiters.pop_front_if(|(at, _)| *at == position) {
                let reply = Reply { commit_time: entry.commit_time, index: entry.index, body };
                waiter.reply.answer(Ok(reply));
            }
        }
        Ok(Reached { group, applied: reached, bytes })
    }

    fn machine(&mut self, group: GroupId) -> Result<&mut Machine> {
        self.machines.get_mut(&group).ok_or(Error::UnknownGroup { group })
    }

    fn tell(&self, event: Event) {
        // The raft thread is gone only when nobody needs to know.
        drop(self.mailbox.send(event));
    }
}

impl Step {
    fn push(&mut self, entries: Vec<Committed>, waiters: Vec<(usize, Waiter)>, bytes: usize) {
        let before = self.entries.len();
        self.waiters.extend(waiters.into_iter().map(|(position, waiter)| (before + position, waiter)));
        self.entries.extend(entries);
        self.bytes += bytes;
    }
}
