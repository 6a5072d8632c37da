//! The raft thread: takes what happened, gives every group concerned a turn, hands out what they ask for.
//!
//! It never waits for a disk or a state machine. While one batch is written, the next collects what all
//! groups want written, so that one sync serves whatever came meanwhile. A group nothing happens to costs
//! nothing; groups of one voter do not tick. Between its turns a lone voter's group is read at its gate, without
//! this thread: see [`ReadGrant`](crate::core::ReadGrant).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use lineate_storage::log::LogBatch;
use lineate_types::GroupId;

use super::{
    applier::Appliers,
    event::{CheckpointRest, Event},
    handle::{Gate, Shared},
    lane::{Lane, Out, Turn},
};
use crate::{Error, Options, Outbox, Result, core::PeerMessage};

/// Events taken before the groups get their turns.
const EVENTS_PER_ROUND: usize = 4_096;
/// Bytes of one append to the log, unless a single part has more.
const WRITE_BYTES: usize = 32 * 1024 * 1024;
/// How long a stopping node waits for what is on its way.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The raft thread.
pub(super) struct RaftThread {
    pub(super) shared: Arc<Shared>,
    pub(super) events: Receiver<Event>,
    pub(super) options: Options,
    pub(super) outbox: Box<dyn Outbox>,
    pub(super) lanes: BTreeMap<GroupId, Lane>,
    pub(super) writer: Sender<LogBatch>,
    pub(super) appliers: Appliers,
    pub(super) checkpoints: Sender<(GroupId, CheckpointRest)>,
    pub(super) state: State,
}

/// What the thread remembers from round to round.
#[derive(Default)]
pub(super) struct State {
    /// Groups something happened to.
    touched: BTreeSet<GroupId>,
    wakes: BTreeMap<GroupId, Instant>,
    next_tick: Option<Instant>,
    out: Out,
    /// What the log writer works on: the groups, and what to tell them.
    writing: Vec<(GroupId, Option<u64>)>,
    /// When to stop at the latest.
    stop_by: Option<Instant>,
}

impl RaftThread {
    /// Runs until the node stops.
    pub(super) fn run(&mut self) -> Result<()> {
        self.state.touched = self.lanes.keys().copied().collect();
        if self.lanes.values().any(Lane::ticks) {
            self.state.next_tick = Some(Instant::now() + self.options.tick);
        }
        loop {
            self.take_turns()?;
            self.hand_out();
            if self.is_done() {
                return Ok(());
            }
            if !self.take_events()? {
                return Ok(());
            }
            self.take_time()?;
        }
    }

    /// Waits for an event or for the time of one, and takes all there are; false to end at once.
    fn take_events(&mut self) -> Result<bool> {
        let first = match self.next_wake() {
            Some(at) => self.events.recv_deadline(at),
            None => self.events.recv().map_err(RecvTimeoutError::from),
        };
        let mut next = match first {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        };
        let mut taken = 0;
        while let Some(event) = next {
            if matches!(event, Event::Failed) {
                return Ok(false);
            }
            self.take(event)?;
            taken += 1;
            next = if taken < EVENTS_PER_ROUND { self.events.try_recv().ok() } else { None };
        }
        Ok(true)
    }

    fn take(&mut self, event: Event) -> Result<()> {
        let stopping = self.state.stop_by.is_some();
        match event {
            event if stopping && is_request(&event) => turn_away(event),
            Event::Propose { proposals } => {
                for proposal in proposals {
                    if let Some(lane) = self.touch(proposal.group) {
                        lane.propose(proposal.draft, proposal.waiter);
                    }
                }
            }
            Event::Read { group, read } => {
                if let Some(lane) = self.touch(group) {
                    lane.read(read);
                }
            }
            Event::Close { group, close } => {
                let now = self.shared.clock.now();
                self.state.touched.insert(group);
                if let Some(lane) = self.lanes.get_mut(&group) {
                    lane.close(close, now, &self.options);
                }
            }
            Event::Cut { group, reply } => {
                if let Some(lane) = self.touch(group) {
                    lane.cut(reply);
                }
            }
            Event::Frame { frame, .. } => return self.take_frame(frame),
            Event::Persisted => {
                for (group, number) in std::mem::take(&mut self.state.writing) {
                    self.state.touched.insert(group);
                    if let Some(lane) = self.lanes.get_mut(&group) {
                        lane.persisted(number, &mut self.state.out)?;
                    }
                }
            }
            Event::Applied { groups } => {
                for reached in groups {
                    if let Some(lane) = self.touch(reached.group) {
                        lane.applied(reached.applied, reached.bytes)?;
                    }
                }
            }
            Event::CheckpointBegun { group, rest } => {
                self.state.touched.insert(group);
                if let Some(lane) = self.lanes.get_mut(&group) {
                    lane.checkpoint_begun(rest, &mut self.state.out);
                }
            }
            Event::Checkpointed { group, outcome } => {
                self.state.touched.insert(group);
                if let Some(lane) = self.lanes.get_mut(&group) {
                    lane.checkpointed(outcome, &mut self.state.out);
                }
            }
            Event::Shutdown => self.stop(),
            Event::Failed => {}
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: bytes::Bytes) -> Result<()> {
        let message = match PeerMessage::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "dropped a frame of a peer");
                return Ok(());
            }
        };
        let Some(lane) = self.touch(message.group()) else { return Ok(()) };
        match lane.step(message) {
            Err(error @ Error::Refused { .. }) => {
                tracing::debug!(%error, "dropped a message of a peer");
                Ok(())
            }
            stepped => stepped,
        }
    }

    fn touch(&mut self, group: GroupId) -> Option<&mut Lane> {
        self.state.touched.insert(group);
        self.lanes.get_mut(&group)
    }

    fn stop(&mut self) {
        if self.state.stop_by.is_some() {
            return;
        }
        self.state.stop_by = Some(Instant::now() + self.options.patience.min(LAST_WAIT));
        self.close_gates();
        self.lanes.values_mut().for_each(Lane::release);
        self.state.touched.extend(self.lanes.keys());
    }

    /// Lets no read be answered in place until the groups had their turns.
    fn close_gates(&mut self) {
        for (group, lane) in &mut self.lanes {
            lane.take_back(self.shared.gates.get(group).and_then(Gate::close));
        }
    }

    fn is_done(&self) -> bool {
        let Some(stop_by) = self.state.stop_by else { return false };
        let settled = self.state.writing.is_empty()
            && self.state.out.writes.is_empty()
            && self.lanes.values().all(Lane::is_settled);
        settled || Instant::now() >= stop_by
    }

    /// Ticks and wakes whose time has come.
    fn take_time(&mut self) -> Result<()> {
        let instant = Instant::now();
        if let Some(at) = self.state.next_tick
            && at <= instant
        {
            // Ticks missed in a pause of the process are not made up for: peers would be suspected wrongly.
            self.state.next_tick = Some(instant + self.options.tick);
            for (group, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.ticks()) {
                lane.tick()?;
                self.state.touched.insert(*group);
            }
        }
        let due = self.state.wakes.extract_if(.., |_, at| *at <= instant).map(|(group, _)| group);
        self.state.touched.extend(due);
        Ok(())
    }

    fn next_wake(&self) -> Option<Instant> {
        let wakes = self.state.wakes.values().copied();
        wakes.chain(self.state.next_tick).chain(self.state.stop_by).min()
    }

    fn take_turns(&mut self) -> Result<()> {
        if self.state.touched.is_empty() {
            return Ok(());
        }
        let mut turn = Turn {
            now: self.shared.clock.now(),
            instant: Instant::now(),
            options: &self.options,
            disk_full: self.shared.health.disk_full(),
            stopping: self.state.stop_by.is_some(),
            out: &mut self.state.out,
        };
        for group in std::mem::take(&mut self.state.touched) {
            let Some(lane) = self.lanes.get_mut(&group) else { continue };
            let gate = self.shared.gates.get(&group);
            lane.take_back(gate.and_then(Gate::close));
            lane.turn(&mut turn)?;
            match lane.wake(&turn) {
                Some(at) => self.state.wakes.insert(group, at),
                None => self.state.wakes.remove(&group),
            };
            let status = lane.status();
            if let Some(gate) = gate {
                gate.open(status, lane.grant().filter(|_| !turn.stopping));
            }
            lane.finish_cut(status);
        }
        Ok(())
    }

    fn hand_out(&mut self) {
        for message in self.state.out.messages.drain(..) {
            self.outbox.send(message.to, message.frame);
        }
        self.appliers.send(self.state.out.jobs.drain(..));
        for checkpoint in self.state.out.checkpoints.drain(..) {
            // The thread is gone only after it failed, which ends this one too.
            drop(self.checkpoints.send(checkpoint));
        }
        if !self.state.writing.is_empty() || self.state.out.writes.is_empty() {
            return;
        }
        let mut batch = LogBatch::default();
        let mut bytes = 0_usize;
        let room = |bytes: usize| move |_: &mut super::lane::Write| bytes < WRITE_BYTES;
        while let Some(write) = self.state.out.writes.pop_front_if(room(bytes)) {
            bytes += write.batch.entries.iter().map(|entry| entry.payload.len()).sum::<usize>();
            self.state.writing.push((write.group, write.number));
            batch.parts.push(write.batch);
        }
        // The log writer is gone only after it failed, which ends this thread too.
        drop(self.writer.send(batch));
    }
}

/// Whether this is what a stopping node turns away.
fn is_request(event: &Event) -> bool {
    matches!(event, Event::Propose { .. } | Event::Read { .. } | Event::Close { .. } | Event::Cut { .. })
}

fn turn_away(event: Event) {
    match event {
        Event::Propose { proposals } => {
            proposals.into_iter().for_each(|proposal| proposal.waiter.reply.refuse(Error::Stopped));
        }
        Event::Read { read, .. } => read.reply.refuse(Error::Stopped),
        Event::Close { close, .. } => close.reply.refuse(Error::Stopped),
        Event::Cut { reply, .. } => reply.refuse(Error::Stopped),
        _ => {}
    }
}
