//! What only a leader does: stamp and propose commands, close, answer reads, reserve times ahead.
//!
//! Proposals are staged and given to raft-rs together, before anything else happens to it: many commands make
//! one message per peer. Their indexes are known at once, since a leader's log grows by them alone.

use bytes::{Bytes, BytesMut};
use lineate_types::{DurationUs, TimestampUs};
use raft::eraftpb::{Entry, Message, MessageType};

use super::{
    effects::{ReadPoint, Refusal, Ticket},
    group::Group,
    reads::ReadBatch,
    times::{Mark, Stamp},
};
use crate::{Error, Result, codec::envelope};

/// Entries stamped and not yet given to raft-rs, and the traces of earlier ones.
#[derive(Default)]
pub(super) struct Staged {
    entries: Vec<Entry>,
    /// The index of the last ceiling this leader appended.
    ceiling_index: u64,
    /// When times were last asked for.
    used: Option<TimestampUs>,
}

impl Staged {
    /// To be called when the leadership ends: the entry may be replaced.
    pub(super) fn forget_ceiling(&mut self) {
        self.ceiling_index = 0;
    }
}

/// Reads that came to an end.
#[derive(Debug, Default)]
pub struct ReadsDone {
    /// Can be answered with the point.
    pub answered: Vec<(ReadBatch, ReadPoint)>,
    /// Will not be answered: the leadership they were asked under is over.
    pub lost: Vec<ReadBatch>,
}

/// A command on its way: its bytes in an envelope whose commit time is open.
#[derive(Debug)]
pub struct Draft(BytesMut);

impl Draft {
    /// A draft of a command, at most [`COMMAND_BYTES`](lineate_types::limits::COMMAND_BYTES) long.
    pub fn new(command: &[u8]) -> Self {
        Self(envelope::draft(command))
    }

    /// Bytes it takes in the log.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl Group {
    /// Stamps and proposes a command; a refused draft is given back.
    ///
    /// # Errors
    /// The outer error is fatal.
    pub fn propose(
        &mut self,
        now: TimestampUs,
        draft: Draft,
    ) -> Result<std::result::Result<Ticket, (Refusal, Draft)>> {
        if let Err(refusal) = self.check_leads() {
            return Ok(Err((refusal, draft)));
        }
        self.note_used(now);
        match self.times.stamp(now) {
            Stamp::Wait { until } => Ok(Err((Refusal::Wait { until }, draft))),
            Stamp::Exhausted => Err(Error::CorruptLog {
                group: self.id,
                found: "its times reached the end of time".to_owned(),
            }),
            Stamp::At { commit_time, ceiling } => {
                if let Some(at) = ceiling {
                    self.stage_ceiling(at);
                }
                let index = self.stage(envelope::stamp(draft.0, commit_time), Mark::Commit(commit_time));
                Ok(Ok(Ticket { index, term: self.term(), commit_time }))
            }
        }
    }

    /// Proposes to close the group at a time, unless that is on its way; [`Group::closed`] tells when it is
    /// done.
    pub fn close(&mut self, now: TimestampUs, at: TimestampUs) -> std::result::Result<(), Refusal> {
        self.check_leads()?;
        if self.times.closing() >= at {
            return Ok(());
        }
        if at > self.times.present(now) {
            return Err(Refusal::Wait { until: at });
        }
        self.stage(envelope::close(at), Mark::Closed(at));
        Ok(())
    }

    /// Opens a batch of reads; [`Group::reads_done`] tells when it can be answered. With `settle`, where the
    /// log cannot grow, no time is reserved for it: the answer may lie behind the clock.
    pub fn read(&mut self, now: TimestampUs, settle: bool) -> std::result::Result<ReadBatch, Refusal> {
        self.check_leads()?;
        if !self.node.raft.commit_to_current_term() {
            return Err(Refusal::NotYet);
        }
        self.note_used(now);
        let mut at_least = 0;
        if !settle {
            if let Some(at) = self.times.ceiling_for_read(now) {
                self.stage_ceiling(at);
            }
            if self.times.applied().ceiling < self.times.present(now) {
                at_least = self.staged.ceiling_index;
            }
        }
        let (batch, context) = self.reads.open(self.term(), at_least);
        self.node.read_index(context);
        Ok(batch)
    }

    /// The reads that came to an end. With `settle` none waits for a time to be reserved.
    pub fn reads_done(&mut self, now: TimestampUs, settle: bool) -> ReadsDone {
        let lost = self.reads.take_lost(self.leads(), self.term());
        let applied_index = self.applied_index();
        let ready = self.reads.take_ready(applied_index, settle);
        let committed = self.times.applied().commit;
        let answered = ready.into_iter().map(|batch| {
            let as_of = self.times.answer(now);
            (batch, ReadPoint { as_of, applied_index, committed })
        });
        ReadsDone { answered: answered.collect(), lost }
    }

    /// Raises the ceiling before it is reached, if the group was used in the last `warm`.
    pub fn keep_warm(&mut self, now: TimestampUs, warm: DurationUs) {
        if !self.is_warm(now, warm) || self.check_leads().is_err() {
            return;
        }
        if let Some(at) = self.times.ceiling_ahead(now) {
            self.stage_ceiling(at);
        }
    }

    /// When [`Group::keep_warm`] should be called next; none for a group that is not in use.
    pub fn warm_due(&self, now: TimestampUs, warm: DurationUs) -> Option<TimestampUs> {
        (self.leads() && self.is_warm(now, warm)).then(|| self.times.ceiling_due())
    }

    /// Lowers the ceiling to what this leader used, so that its successor need not wait; it is done when
    /// everything proposed is applied. Whatever is stamped afterwards raises it again.
    pub fn release(&mut self) {
        if self.check_leads().is_ok()
            && let Some(at) = self.times.released()
        {
            self.stage_ceiling(at);
        }
    }

    /// Gives the staged entries to raft-rs.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.staged.entries.is_empty() {
            return Ok(());
        }
        let message = Message {
            msg_type: MessageType::MsgPropose,
            from: self.peer,
            entries: std::mem::take(&mut self.staged.entries).into(),
            ..Message::default()
        };
        self.node.step(message).map_err(|source| Error::Raft { group: self.id, source })
    }

    pub(super) fn check_leads(&self) -> std::result::Result<(), Refusal> {
        // While it hands its leadership over, a leader proposes nothing.
        if self.leads() && self.node.raft.lead_transferee.is_none() {
            return Ok(());
        }
        Err(Refusal::NotLeader { leader: self.leader().filter(|leader| *leader != self.peer) })
    }

    /// Takes note that times are in use.
    pub(super) fn note_used(&mut self, now: TimestampUs) {
        self.staged.used = Some(now);
    }

    fn is_warm(&self, now: TimestampUs, warm: DurationUs) -> bool {
        self.staged.used.is_some_and(|used| now.saturating_sub(warm) < used)
    }

    fn stage_ceiling(&mut self, at: TimestampUs) {
        self.staged.ceiling_index = self.stage(envelope::ceiling(at), Mark::Ceiling(at));
    }

    fn stage(&mut self, data: Bytes, mark: Mark) -> u64 {
        self.staged.entries.push(Entry { data, ..Entry::default() });
        let index = self.node.raft.raft_log.last_index() + self.staged.entries.len() as u64;
        self.times.append(index, mark);
        index
    }
}
