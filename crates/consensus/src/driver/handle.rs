//! The way into a running driver: cheap to clone, used from any task.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use crossbeam_channel::Sender;
use lineate_types::{GroupId, TimestampUs, limits};
use tokio::sync::oneshot;

use super::{
    budget::{Budget, Permit},
    event::{Close, Event, Permits, Proposal, Read, Responder, Waiter},
    health::{Failure, Health},
};
use crate::{
    Clock, Error, Options, Result,
    core::{Draft, GroupStatus, ReadGrant, ReadPoint},
};

/// The answer to a command: durable on a quorum and applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The commit time the leader gave it, unique in the group.
    pub commit_time: TimestampUs,
    /// Its index in the log of the group.
    pub index: u64,
    /// What the state machine replied.
    pub body: Bytes,
}

/// The way into a running [`Driver`](crate::Driver).
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) mailbox: Sender<Event>,
    pub(crate) health: Arc<Health>,
    pub(crate) gates: BTreeMap<GroupId, Gate>,
    pub(crate) frames: Arc<Budget>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Shared {
    /// Lets no read be answered in place any more.
    pub(crate) fn close_gates(&self) {
        for gate in self.gates.values() {
            gate.close();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("gates", &self.gates).finish_non_exhaustive()
    }
}

/// What guards the way into one group, and what is known of it.
#[derive(Debug)]
pub(crate) struct Gate {
    proposals: Arc<Budget>,
    bytes: Arc<Budget>,
    reads: Arc<Budget>,
    inside: Mutex<Inside>,
}

/// What the raft thread lets others see.
#[derive(Debug)]
struct Inside {
    status: GroupStatus,
    grant: Option<ReadGrant>,
}

impl Gate {
    pub(crate) fn new(status: GroupStatus, options: &Options) -> Self {
        Self {
            proposals: Budget::new("commands", options.proposals_in_flight),
            bytes: Budget::new("bytes of commands", options.proposal_bytes_in_flight),
            reads: Budget::new("reads", options.reads_in_flight),
            inside: Mutex::new(Inside { status, grant: None }),
        }
    }

    pub(crate) fn status(&self) -> GroupStatus {
        self.lock().status
    }

    /// Lets everybody see where the group stands, and answer reads from there.
    pub(crate) fn open(&self, status: GroupStatus, grant: Option<ReadGrant>) {
        *self.lock() = Inside { status, grant };
    }

    /// No read is answered in place any more; with what was answered so far.
    pub(crate) fn close(&self) -> Option<ReadGrant> {
        self.lock().grant.take()
    }

    fn read(&self, now: TimestampUs, at_least: TimestampUs) -> Option<ReadPoint> {
        self.lock().grant.as_mut()?.answer(now, at_least)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // What is set under it is set at once: whoever panicked left it whole.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes of a proposal.
type Answer = oneshot::Receiver<Result<Reply>>;

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Proposes a command and waits until it is durable on a quorum and applied.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`], [`Error::Stopped`] and [`Error::Failed`] leave the outcome open; after any
    /// other error nothing happened.
    pub async fn propose(&self, group: GroupId, command: Bytes) -> Result<Reply> {
        let (proposal, answer) = self.proposal(group, command)?;
        self.send(Event::Propose { proposals: vec![proposal] });
        self.answered(answer).await
    }

    /// Proposes commands that are written together, and waits for all of them. Each has an outcome of its own, as of
    /// [`Handle::propose`], in the order they are given in.
    pub async fn propose_all(&self, commands: Vec<(GroupId, Bytes)>) -> Vec<Result<Reply>> {
        let mut proposals = Vec::with_capacity(commands.len());
        let asked = commands.into_iter().map(|(group, command)| {
            let (proposal, answer) = self.proposal(group, command)?;
            proposals.push(proposal);
            Ok(answer)
        });
        let asked: Vec<Result<Answer>> = asked.collect();
        self.send(Event::Propose { proposals });
        let mut outcomes = Vec::with_capacity(asked.len());
        for answer in asked {
            outcomes.push(match answer {
                Ok(answer) => self.answered(answer).await,
                Err(error) => Err(error),
            });
        }
        outcomes
    }

    fn proposal(&self, group: GroupId, command: Bytes) -> Result<(Proposal, Answer)> {
        if command.len() > limits::COMMAND_BYTES {
            return Err(Error::CommandTooLarge { bytes: command.len(), limit: limits::COMMAND_BYTES });
        }
        let gate = self.gate(group)?;
        self.check_space()?;
        let permits = [take(group, &gate.proposals, 1)?, take(group, &gate.bytes, command.len())?];
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter { reply: Responder::new(sender, permits), since: Instant::now() };
        Ok((Proposal { group, draft: Draft::new(&command), waiter }, answer))
    }

    /// Asks for a point at which everything answered before this call can be read, and waits until the state
    /// machine is there. Answered in place where this node is the only voter and nothing is being applied; else
    /// it costs a round to a quorum, shared by all reads of the moment, and no sync unless the group was idle.
    ///
    /// # Errors
    /// As for any request; a read has no effects.
    pub async fn read(&self, group: GroupId) -> Result<ReadPoint> {
        self.read_again(group, TimestampUs::MIN).await
    }

    /// As [`Handle::read`], for somebody whom a point before `wanted` serves nothing: it is not answered in place
    /// then. Commands that are being written may keep the point before it nevertheless.
    ///
    /// # Errors
    /// As for [`Handle::read`].
    pub async fn read_again(&self, group: GroupId, wanted: TimestampUs) -> Result<ReadPoint> {
        let gate = self.gate(group)?;
        if let Some(point) = gate.read(self.shared.clock.now(), wanted) {
            return Ok(point);
        }
        let permit = take(group, &gate.reads, 1)?;
        let read = |reply| Read { reply, since: Instant::now() };
        self.ask([permit, None], |reply| Event::Read { group, read: read(reply) }).await
    }

    /// Closes a group at a time: afterwards no command gets a commit time at or below it. Waits for the clock
    /// where `at` lies a little ahead of it.
    ///
    /// # Errors
    /// [`Error::CloseTooFar`] where `at` lies further ahead than [`Options::max_offset`].
    pub async fn close(&self, group: GroupId, at: TimestampUs) -> Result<()> {
        let gate = self.gate(group)?;
        if gate.status().closed >= at {
            return self.alive();
        }
        self.check_space()?;
        let permit = take(group, &gate.reads, 1)?;
        let close = |reply| Close { at, reply, since: Instant::now() };
        self.ask([permit, None], |reply| Event::Close { group, close: close(reply) }).await
    }

    /// Writes the state of a group as a blob, cuts its log behind that, and gives what is known of the group
    /// then. The log of a group with other voters, who may need its entries, stays as it is.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where the blob cannot be written; else as for any request.
    pub async fn cut(&self, group: GroupId) -> Result<GroupStatus> {
        self.gate(group)?;
        self.check_space()?;
        self.ask([None, None], |reply| Event::Cut { group, reply }).await
    }

    /// Takes a frame another peer sent through its [`Outbox`](crate::Outbox). Never waits: when too many
    /// frames are queued, it is dropped, as a network would.
    pub fn deliver(&self, frame: Bytes) {
        let Some(permit) = self.shared.frames.take(frame.len()) else {
            tracing::debug!("dropped a frame of a peer, too many are queued");
            return;
        };
        // A driver that is gone needs no frames.
        drop(self.shared.mailbox.send(Event::Frame { frame, _permit: permit }));
    }

    /// Whether the last write to the log found the disk full, or no file descriptor: until there is one, the times of
    /// groups stand still.
    pub fn is_disk_full(&self) -> bool {
        self.shared.health.disk_full()
    }

    /// What is known of every group, ascending. Never waits.
    pub fn status(&self) -> Vec<GroupStatus> {
        self.shared.gates.values().map(Gate::status).collect()
    }

    /// Waits until the node fails; the process should then end. Pending for ever on a healthy node, also
    /// after its shutdown.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.shared.health.watch();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            if failure.changed().await.is_err() {
                // The sender lives in `self.shared`; it cannot be gone while `self` is borrowed.
                std::future::pending::<()>().await;
            }
        }
    }

    fn alive(&self) -> Result<()> {
        self.shared.health.failure().map_or(Ok(()), |failure| Err(failure.error()))
    }

    fn check_space(&self) -> Result<()> {
        if self.shared.health.disk_full() { Err(Error::DiskFull) } else { Ok(()) }
    }

    fn gate(&self, group: GroupId) -> Result<&Gate> {
        self.alive()?;
        self.shared.gates.get(&group).ok_or(Error::UnknownGroup { group })
    }

    async fn ask<T>(&self, permits: Permits, event: impl FnOnce(Responder<T>) -> Event) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        self.send(event(Responder::new(sender, permits)));
        self.answered(answer).await
    }

    fn send(&self, event: Event) {
        // Where the raft thread is gone, so are the responders in the event.
        drop(self.shared.mailbox.send(event));
    }

    async fn answered<T>(&self, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.shared.health.unanswered().await),
        }
    }
}

fn take(group: GroupId, budget: &Arc<Budget>, amount: usize) -> Result<Option<Permit>> {
    let busy = || Error::Busy { group, what: budget.what(), limit: budget.limit() };
    budget.take(amount).map(Some).ok_or_else(busy)
}
