//! One group inside the raft thread: the requests that wait, and the core they wait for.
//!
//! Requests are served in the order they came, kind by kind. One that finds no leader, or a time it must wait
//! for, stays at the head of its queue until [`Options::patience`](crate::Options::patience) is over.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use lineate_storage::blob::BlobInfo;
use lineate_types::{GroupId, HasKind, TimestampUs};

use super::{
    applier::Job,
    event::{CheckpointRest, Close, Read, Responder, Waiter},
};
use crate::{
    Applied, Committed, Error, Options, Result,
    core::{
        CutPlace, Draft, Effects, Group, GroupStatus, Outgoing, PeerMessage, Persist, ReadBatch, ReadGrant,
        Refusal,
    },
};

/// How often a request that waits for the clock is looked at: the clock may step.
const CLOCK_POLL: Duration = Duration::from_millis(10);

/// What a lane works with in one turn.
pub(super) struct Turn<'a> {
    pub(super) now: TimestampUs,
    pub(super) instant: Instant,
    pub(super) options: &'a Options,
    pub(super) disk_full: bool,
    pub(super) stopping: bool,
    pub(super) out: &'a mut Out,
}

/// What the turns of all lanes ask of the other threads and peers.
#[derive(Default)]
pub(super) struct Out {
    pub(super) writes: VecDeque<Write>,
    pub(super) jobs: Vec<Job>,
    pub(super) messages: Vec<Outgoing>,
    pub(super) checkpoints: Vec<(GroupId, CheckpointRest)>,
}

/// A write on its way to the log.
pub(super) struct Write {
    pub(super) group: GroupId,
    /// What to tell the core when it is durable; none for a cut.
    pub(super) number: Option<u64>,
    pub(super) batch: lineate_storage::log::GroupBatch,
}

/// One group inside the raft thread.
pub(super) struct Lane {
    id: GroupId,
    core: Group,
    drafts: VecDeque<(Draft, Waiter)>,
    /// Proposed and not yet committed, by index and term.
    proposed: BTreeMap<(u64, u64), Waiter>,
    new_reads: Vec<Read>,
    reads: BTreeMap<ReadBatch, Vec<Read>>,
    new_closes: VecDeque<Close>,
    closes: Vec<Close>,
    cut: Cutting,
    /// Bytes given out to be applied and not yet applied.
    backlog_bytes: usize,
    /// When to look for requests that waited too long.
    review: Option<Instant>,
    /// Something waits for the clock.
    waits_for_clock: bool,
}

/// A cut: asked for, then a checkpoint is begun, then finished, then the log is cut.
#[derive(Default)]
struct Cutting {
    waiting: Vec<Responder<GroupStatus>>,
    running: bool,
    /// Where the checkpoint was begun.
    place: Option<CutPlace>,
    /// It is over, and who waits for it is to be answered.
    ended: bool,
}

impl Lane {
    pub(super) fn new(id: GroupId, core: Group) -> Self {
        Self {
            id,
            core,
            drafts: VecDeque::new(),
            proposed: BTreeMap::new(),
            new_reads: Vec::new(),
            reads: BTreeMap::new(),
            new_closes: VecDeque::new(),
            closes: Vec::new(),
            cut: Cutting::default(),
            backlog_bytes: 0,
            review: None,
            waits_for_clock: false,
        }
    }

    pub(super) fn status(&self) -> GroupStatus {
        self.core.status()
    }

    /// Leave to answer reads in place until the next turn.
    pub(super) fn grant(&self) -> Option<ReadGrant> {
        self.core.grant()
    }

    /// Takes such a leave back, if it was given.
    pub(super) fn take_back(&mut self, grant: Option<ReadGrant>) {
        if let Some(grant) = grant {
            self.core.take_back(grant);
        }
    }

    pub(super) fn ticks(&self) -> bool {
        self.core.ticks()
    }

    pub(super) fn tick(&mut self) -> Result<()> {
        self.core.tick()
    }

    pub(super) fn step(&mut self, message: PeerMessage) -> Result<()> {
        self.core.step(message)
    }

    pub(super) fn propose(&mut self, draft: Draft, waiter: Waiter) {
        self.drafts.push_back((draft, waiter));
    }

    pub(super) fn read(&mut self, read: Read) {
        self.new_reads.push(read);
    }

    pub(super) fn close(&mut self, close: Close, now: TimestampUs, options: &Options) {
        let latest = now.saturating_add(options.max_offset);
        if close.at > latest && close.at > self.core.closed() {
            return close.reply.refuse(Error::CloseTooFar { group: self.id, at: close.at, latest });
        }
        self.new_closes.push_back(close);
    }

    pub(super) fn cut(&mut self, reply: Responder<GroupStatus>) {
        self.cut.waiting.push(reply);
    }

    /// A write of this group is durable.
    pub(super) fn persisted(&mut self, number: Option<u64>, out: &mut Out) -> Result<()> {
        match number {
            Some(number) => out.messages.extend(self.core.persisted(number)?),
            None => self.cut.ended = true,
        }
        Ok(())
    }

    /// The state machine applied everything up to a position.
    pub(super) fn applied(&mut self, reached: Applied, bytes: usize) -> Result<()> {
        self.backlog_bytes = self.backlog_bytes.saturating_sub(bytes);
        self.core.applied(reached)
    }

    /// The state machine began a checkpoint where it stands, which is what it last reported.
    pub(super) fn checkpoint_begun(&mut self, rest: CheckpointRest, out: &mut Out) {
        self.cut.place = self.core.cut_place();
        if self.cut.place.is_some() {
            out.checkpoints.push((self.id, rest));
        } else {
            self.cut.ended = true;
        }
    }

    /// The checkpoint is durable, or failed.
    pub(super) fn checkpointed(&mut self, outcome: lineate_storage::Result<BlobInfo>, out: &mut Out) {
        let cut = match outcome {
            Ok(checkpoint) => self.cut.place.take().and_then(|place| self.core.cut(place, checkpoint)),
            Err(error) => {
                let (group, reason, kind) = (self.id, error.to_string(), error.kind());
                let failed = || Error::Checkpoint { group, reason: reason.clone(), kind };
                self.cut.waiting.drain(..).for_each(|reply| reply.refuse(failed()));
                None
            }
        };
        match cut {
            Some(batch) => out.writes.push_back(Write { group: self.id, number: None, batch }),
            None => self.cut.ended = true,
        }
    }

    /// Answers who waits for a cut that is over, with a status that everybody can see by now.
    pub(super) fn finish_cut(&mut self, status: GroupStatus) {
        if std::mem::take(&mut self.cut.ended) {
            self.cut.running = false;
            self.cut.waiting.drain(..).for_each(|reply| reply.answer(Ok(status)));
        }
    }

    /// Lowers the ceiling of a leader that goes, and sends away who is not served yet.
    pub(super) fn release(&mut self) {
        self.drafts.drain(..).for_each(|(_, waiter)| waiter.reply.refuse(Error::Stopped));
        self.new_reads.drain(..).for_each(|read| read.reply.refuse(Error::Stopped));
        self.new_closes.drain(..).for_each(|close| close.reply.refuse(Error::Stopped));
        self.core.release();
    }

    /// Whether nothing of this group is on its way any more.
    pub(super) fn is_settled(&self) -> bool {
        let status = self.core.status();
        self.proposed.is_empty() && self.reads.is_empty() && status.applied == status.last_index
    }

    /// Does what can be done now.
    pub(super) fn turn(&mut self, turn: &mut Turn<'_>) -> Result<()> {
        self.waits_for_clock = false;
        if !turn.stopping {
            self.serve(turn)?;
            if !turn.disk_full {
                self.core.keep_warm(turn.now, turn.options.warm);
            }
        }
        while self.backlog_bytes < turn.options.apply_backlog_bytes {
            let Some(effects) = self.core.ready()? else { break };
            self.carry_out(effects, turn.out);
        }
        self.finish_reads(turn.now, turn.disk_full);
        self.finish_closes();
        self.begin_cut(turn);
        self.review(turn);
        Ok(())
    }

    /// When the next turn is due although nothing happens.
    pub(super) fn wake(&self, turn: &Turn<'_>) -> Option<Instant> {
        let until = |at: TimestampUs| {
            let micros = at.0.saturating_sub(turn.now.0).max(1_000);
            turn.instant + Duration::from_micros(u64::try_from(micros).unwrap_or(1_000))
        };
        let clock = self.waits_for_clock.then(|| turn.instant + CLOCK_POLL);
        let warm = (!turn.stopping)
            .then(|| self.core.warm_due(turn.now, turn.options.warm))
            .flatten()
            .map(|due| until(due).min(turn.instant + turn.options.patience));
        [clock, warm, self.review].into_iter().flatten().min()
    }

    fn serve(&mut self, turn: &Turn<'_>) -> Result<()> {
        while let Some((draft, waiter)) = self.drafts.pop_front() {
            match self.core.propose(turn.now, draft)? {
                Ok(ticket) => {
                    self.proposed.insert((ticket.index, ticket.term), waiter);
                }
                Err((Refusal::NotLeader { leader: leader @ Some(_) }, _)) => {
                    waiter.reply.refuse(Error::NotLeader { group: self.id, leader });
                }
                Err((refusal, draft)) => {
                    self.waits_for_clock |= matches!(refusal, Refusal::Wait { .. });
                    self.drafts.push_front((draft, waiter));
                    break;
                }
            }
        }
        while let Some(close) = self.new_closes.pop_front() {
            match self.core.close(turn.now, close.at) {
                Ok(()) => self.closes.push(close),
                Err(Refusal::NotLeader { leader: leader @ Some(_) }) => {
                    close.reply.refuse(Error::NotLeader { group: self.id, leader });
                }
                Err(refusal) => {
                    self.waits_for_clock |= matches!(refusal, Refusal::Wait { .. });
                    self.new_closes.push_front(close);
                    break;
                }
            }
        }
        if !self.new_reads.is_empty() {
            match self.core.read(turn.now, turn.disk_full) {
                Ok(batch) => {
                    self.reads.insert(batch, std::mem::take(&mut self.new_reads));
                }
                Err(Refusal::NotLeader { leader: leader @ Some(_) }) => {
                    let group = self.id;
                    let lost = |read: Read| read.reply.refuse(Error::NotLeader { group, leader });
                    self.new_reads.drain(..).for_each(lost);
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, effects: Effects, out: &mut Out) {
        let Effects { send, persist, apply } = effects;
        out.messages.extend(send);
        if let Some(Persist { number, batch }) = persist {
            out.writes.push_back(Write { group: self.id, number: Some(number), batch });
        }
        if apply.is_empty() {
            return;
        }
        let waiters = self.take_waiters(&apply);
        let bytes = apply.iter().map(Committed::bytes).sum();
        self.backlog_bytes += bytes;
        out.jobs.push(Job::Apply { group: self.id, entries: apply, waiters, bytes });
    }

    /// Who waits for these entries. Who waits at or before one of them for another term waits in vain.
    fn take_waiters(&mut self, entries: &[Committed]) -> Vec<(usize, Waiter)> {
        let mut found = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let passed = |(index, _): &(u64, u64)| *index <= entry.index;
            while let Some(first) = self.proposed.first_entry().filter(|first| passed(first.key())) {
                let (key, waiter) = first.remove_entry();
                if key == (entry.index, entry.term) {
                    found.push((position, waiter));
                } else {
                    let leader = self.core.status().leader;
                    waiter.reply.refuse(Error::NotLeader { group: self.id, leader });
                }
            }
        }
        found
    }

    fn finish_reads(&mut self, now: TimestampUs, settle: bool) {
        if self.reads.is_empty() {
            return;
        }
        let done = self.core.reads_done(now, settle);
        for (batch, point) in done.answered {
            for read in self.reads.remove(&batch).unwrap_or_default() {
                read.reply.answer(Ok(point));
            }
        }
        let leader = self.core.status().leader;
        for batch in done.lost {
            for read in self.reads.remove(&batch).unwrap_or_default() {
                read.reply.refuse(Error::NotLeader { group: self.id, leader });
            }
        }
    }

    fn finish_closes(&mut self) {
        if self.closes.is_empty() {
            return;
        }
        let (closed, leads, leader) = (self.core.closed(), self.core.leads(), self.core.status().leader);
        for close in self.closes.extract_if(.., |close| close.at <= closed || !leads) {
            if close.at <= closed {
                close.reply.answer(Ok(()));
            } else {
                close.reply.refuse(Error::NotLeader { group: self.id, leader });
            }
        }
    }

    fn begin_cut(&mut self, turn: &mut Turn<'_>) {
        if self.cut.running || turn.stopping || self.cut.waiting.is_empty() {
            return;
        }
        self.cut.running = true;
        turn.out.jobs.push(Job::Checkpoint { group: self.id });
    }

    /// Gives up on requests that waited too long.
    fn review(&mut self, turn: &Turn<'_>) {
        let waiting = !(self.drafts.is_empty()
            && !self.proposed.values().any(|waiter| waiter.reply.is_awaited())
            && self.new_reads.is_empty()
            && self.reads.is_empty()
            && self.new_closes.is_empty()
            && !self.closes.iter().any(|close| close.reply.is_awaited()));
        if !waiting {
            self.review = None;
            return;
        }
        let next = turn.instant + turn.options.patience / 4;
        match self.review {
            None => self.review = Some(next),
            Some(at) if at <= turn.instant => {
                self.give_up(turn);
                self.review = Some(next);
            }
            Some(_) => {}
        }
    }

    fn give_up(&mut self, turn: &Turn<'_>) {
        let group = self.id;
        let late = |since: Instant| turn.instant.duration_since(since) >= turn.options.patience;
        while let Some((_, waiter)) = self.drafts.pop_front_if(|(_, waiter)| late(waiter.since)) {
            waiter.reply.refuse(Error::NoQuorum { group });
        }
        for waiter in self.proposed.values_mut().filter(|waiter| late(waiter.since)) {
            let why =
                if turn.disk_full { "the raft log cannot be written" } else { "no quorum confirmed it" };
            waiter.reply.dismiss(Error::OutcomeUnknown { group, why });
        }
        let lost = |reply: Responder<_>| reply.refuse(Error::NoQuorum { group });
        self.new_reads.extract_if(.., |read| late(read.since)).for_each(|read| lost(read.reply));
        for reads in self.reads.values_mut() {
            reads.extract_if(.., |read| late(read.since)).for_each(|read| lost(read.reply));
        }
        self.reads.retain(|_, reads| !reads.is_empty());
        while let Some(close) = self.new_closes.pop_front_if(|close| late(close.since)) {
            close.reply.refuse(Error::NoQuorum { group });
        }
        for close in self.closes.iter_mut().filter(|close| late(close.since)) {
            close.reply.dismiss(Error::NoQuorum { group });
        }
    }
}
