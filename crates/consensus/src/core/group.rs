//! One group: raft-rs driven through its readies.

use std::{collections::VecDeque, sync::Arc};

use lineate_storage::{
    blob::BlobInfo,
    log::{Cut, GroupBatch, HardState, RaftLog},
};
use lineate_types::{GroupId, TimestampUs};
use raft::{
    RawNode, StateRole,
    eraftpb::{Entry, HardState as RaftHardState, Message, MessageType},
};

use super::{
    effects::{Effects, GroupStatus, Outgoing, Persist},
    journal,
    leader::Staged,
    reads::Reads,
    survey::{self, Survey},
    times::{LogTimes, Mark, Times},
    view::{self, LogView},
};
use crate::{
    Applied, Body, Committed, Error, Options, Result,
    codec::{
        envelope::{self, Envelope},
        message::{self, PeerMessage},
        record::{self, Record},
    },
};

/// Bytes of entries of one message, unless a single entry has more.
const MESSAGE_ENTRY_BYTES: u64 = 1024 * 1024;
/// Messages with entries on their way to one peer.
const MESSAGES_IN_FLIGHT: usize = 256;
/// Bytes of committed entries given out at once, unless a single entry has more.
const APPLY_BYTES: u64 = 16 * 1024 * 1024;
/// Committed entries not applied above which a peer does not campaign: raft-rs reads them all at once.
const CAMPAIGN_GAP: u64 = 256;

/// One group of one peer. See the [module](super) for how to drive it.
pub struct Group {
    pub(super) id: GroupId,
    pub(super) peer: u64,
    pub(super) node: RawNode<LogView>,
    pub(super) times: Times,
    pub(super) staged: Staged,
    pub(super) reads: Reads,
    record: Record,
    /// Of the entries given out to be applied.
    given_out: LogTimes,
    applied: Applied,
    /// What the entries from the cut up to the applied one take in the log.
    applied_bytes: u64,
    /// What was given out to be applied, ready by ready: the last index, and what the entries take in the log.
    unapplied: VecDeque<(u64, u64)>,
    /// Readies whose messages wait for a write, in order.
    awaiting: VecDeque<Awaiting>,
    /// The term and vote that are durable or on their way.
    written: (u64, u64),
}

/// Where the log of a group can be cut, and what must be remembered of the entries up to there.
#[derive(Debug, Clone, Copy)]
pub struct CutPlace {
    at: Applied,
    times: LogTimes,
    bytes: u64,
}

struct Awaiting {
    number: u64,
    writes: bool,
    messages: Vec<Message>,
}

impl Group {
    /// Opens a group that was founded, for a state machine that stands at `applied`.
    ///
    /// # Errors
    /// [`Error::UnknownGroup`] where it was never founded, [`Error::CorruptLog`] where the log contradicts
    /// itself or the state machine, [`Error::Options`] where `peer` has no vote.
    pub fn open(
        log: Arc<dyn RaftLog>,
        id: GroupId,
        peer: u64,
        applied: Applied,
        options: &Options,
    ) -> Result<Self> {
        let survey = Survey::of(&*log, id, applied)?;
        Self::open_surveyed(log, peer, survey, options)
    }

    /// Opens the group of a survey, since which its log must not have changed.
    ///
    /// # Errors
    /// [`Error::Options`] where `peer` has no vote.
    pub fn open_surveyed(
        log: Arc<dyn RaftLog>,
        peer: u64,
        survey: Survey,
        options: &Options,
    ) -> Result<Self> {
        let Survey { group: id, hard_state, record, cut, last_index, applied, times, applied_bytes, .. } =
            survey;
        let times = times.within(options.ceiling);
        if !record.voters.contains(&peer) {
            return Err(Error::Options {
                reason: format!(
                    "peer {peer} has no vote in group {id}, whose voters are {:?}",
                    record.voters
                ),
            });
        }
        let found = view::Found {
            hard_state: to_raft(hard_state),
            voters: record.voters.clone(),
            cut,
            last_index,
            applied: applied.index,
        };
        let view = LogView::new(id, log, found);
        let config = raft_config(peer, applied.index, options);
        let raft_failed = |source| Error::Raft { group: id, source };
        let node = RawNode::new(&config, view, &journal::logger(id)).map_err(raft_failed)?;
        let given_out = times.applied();
        Ok(Self {
            id,
            peer,
            node,
            times,
            staged: Staged::default(),
            reads: Reads::default(),
            record,
            given_out,
            applied,
            applied_bytes,
            unapplied: VecDeque::new(),
            awaiting: VecDeque::new(),
            written: (hard_state.term, hard_state.vote),
        })
    }

    /// Whether time matters to this group: a lone voter needs no ticks.
    pub fn ticks(&self) -> bool {
        !self.is_alone()
    }

    /// Lets one tick pass.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn tick(&mut self) -> Result<()> {
        self.flush()?;
        if self.leads() || self.is_caught_up() {
            self.node.tick();
            self.refresh();
        }
        Ok(())
    }

    /// Takes a message of another peer.
    ///
    /// # Errors
    /// [`Error::Refused`] where the message is not for this peer or not from a voter: it was dropped. Any
    /// other error is fatal.
    pub fn step(&mut self, message: PeerMessage) -> Result<()> {
        self.flush()?;
        let PeerMessage { group, message } = message;
        let refuse = |reason: String| Err(Error::Refused { group, reason });
        if group != self.id || message.to != self.peer {
            return refuse(format!("it is for peer {} of group {group}", message.to));
        }
        if !self.record.voters.contains(&message.from) {
            return refuse(format!("peer {} has no vote", message.from));
        }
        let last_index = self.node.raft.raft_log.last_index();
        let claims_commit = message.msg_type == MessageType::MsgHeartbeat && message.term >= self.term();
        if claims_commit && message.commit > last_index {
            // A leader tells a follower only what the follower acknowledged.
            return Err(Error::CorruptLog {
                group,
                found: format!(
                    "it ends at index {last_index}, and the leader knows that it held {}; acknowledged entries are lost",
                    message.commit
                ),
            });
        }
        if message.msg_type == MessageType::MsgTimeoutNow && !self.is_caught_up() {
            return refuse("this peer is not caught up enough to lead".to_owned());
        }
        let stepped = self.node.step(message);
        self.refresh();
        match stepped {
            Ok(()) => Ok(()),
            Err(raft::Error::StepPeerNotFound | raft::Error::StepLocalMsg) => {
                refuse("raft does not know its sender or its type".to_owned())
            }
            Err(source) => Err(Error::Raft { group, source }),
        }
    }

    /// What there is to do, if anything.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn ready(&mut self) -> Result<Option<Effects>> {
        self.flush()?;
        self.campaign_alone()?;
        if !self.node.has_ready() {
            return Ok(None);
        }
        let mut ready = self.node.ready();
        let number = ready.number();
        for state in ready.take_read_states() {
            self.reads.confirm(&state.request_ctx, state.index);
        }
        let entries = ready.take_entries();
        self.note_entries(&entries)?;
        self.node.mut_store().append(number, &entries);
        let send = self.frames(ready.take_messages())?;
        let messages = ready.take_persisted_messages();
        let committed = ready.take_committed_entries();
        let persist = self.persist(number, &entries);
        self.node.advance_append_async(ready);
        let mut effects = Effects { send, persist, apply: self.give_out(committed)? };
        if effects.persist.is_none() && self.awaiting.is_empty() {
            self.node.on_persist_ready(number);
            effects.send.extend(self.frames(messages)?);
        } else {
            self.awaiting.push_back(Awaiting { number, writes: effects.persist.is_some(), messages });
        }
        Ok(Some(effects))
    }

    /// Takes note that the batches up to this number are durable, and gives the messages that waited for it.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn persisted(&mut self, number: u64) -> Result<Vec<Outgoing>> {
        self.flush()?;
        let mut done = number;
        let mut messages = Vec::new();
        let passed = |done: u64| move |next: &mut Awaiting| next.number <= done || !next.writes;
        while let Some(next) = self.awaiting.pop_front_if(passed(done)) {
            done = done.max(next.number);
            messages.extend(next.messages);
        }
        self.node.mut_store().set_persisted(done);
        self.node.on_persist_ready(done);
        self.frames(messages)
    }

    /// Where the state machine stands, as far as this group was told.
    pub fn position(&self) -> Applied {
        self.applied
    }

    /// Takes note that the state machine applied the entries up to this position.
    ///
    /// # Errors
    /// Any error is fatal.
    pub fn applied(&mut self, reached: Applied) -> Result<()> {
        self.flush()?;
        let index = reached.index;
        self.node.advance_apply_to(index);
        self.applied = reached;
        self.times.apply_to(index);
        while let Some((_, bytes)) = self.unapplied.pop_front_if(|(last, _)| *last <= index) {
            self.applied_bytes += bytes;
        }
        Ok(())
    }

    /// The closed time of the applied state.
    pub fn closed(&self) -> TimestampUs {
        self.times.applied().closed
    }

    /// What is known of the group now.
    pub fn status(&self) -> GroupStatus {
        let raft = &self.node.raft;
        GroupStatus {
            group: self.id,
            peer: self.peer,
            leader: self.leader(),
            leads: self.leads(),
            term: raft.term,
            commit: raft.raft_log.committed,
            applied: self.applied.index,
            last_index: raft.raft_log.last_index(),
            cut: self.node.store().cut().index,
            closed: self.closed(),
            log_bytes: self.applied_bytes,
            checkpoint: self.record.checkpoint,
        }
    }

    /// Where the log can be cut now: behind what is applied. None where nothing is, or the group has other
    /// voters, who may need the entries.
    pub fn cut_place(&self) -> Option<CutPlace> {
        let can_be_cut = self.is_alone() && self.applied.index > self.node.store().cut().index;
        let place = CutPlace { at: self.applied, times: self.times.applied(), bytes: self.applied_bytes };
        can_be_cut.then_some(place)
    }

    /// The batch that cuts the log at a place, behind a state that a durable blob holds; none where the log was
    /// cut there already. The state must stand at the place or after it, at an entry that was applied here.
    /// From this call on the entries behind the cut are not read any more, and [`Group::status`] names the new
    /// checkpoint. The earlier one is needed until the batch is durable: whoever removes it waits for that.
    pub fn cut(&mut self, place: CutPlace, checkpoint: BlobInfo) -> Option<GroupBatch> {
        let CutPlace { at, times, bytes } = place;
        let cut = Cut { index: at.index, term: at.term };
        if cut.index <= self.node.store().cut().index {
            return None;
        }
        self.record.times = times;
        self.record.chain = at.chain;
        self.record.checkpoint = Some(checkpoint);
        self.applied_bytes = self.applied_bytes.saturating_sub(bytes);
        self.node.mut_store().set_cut(cut);
        let conf = Some(record::encode(&self.record));
        Some(GroupBatch { conf, cut: Some(cut), ..GroupBatch::new(self.id) })
    }

    /// Whether this peer leads.
    pub fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    pub(super) fn leader(&self) -> Option<u64> {
        Some(self.node.raft.leader_id).filter(|leader| *leader != 0)
    }

    pub(super) fn term(&self) -> u64 {
        self.node.raft.term
    }

    pub(super) fn applied_index(&self) -> u64 {
        self.applied.index
    }

    pub(super) fn is_alone(&self) -> bool {
        self.record.voters == [self.peer]
    }

    fn is_caught_up(&self) -> bool {
        self.node.raft.raft_log.committed <= self.applied.index + CAMPAIGN_GAP
    }

    /// A lone voter leads as soon as its state machine caught up.
    fn campaign_alone(&mut self) -> Result<()> {
        let idle = self.node.raft.state == StateRole::Follower;
        if idle && self.is_alone() && self.node.raft.raft_log.committed == self.applied.index {
            self.node.campaign().map_err(|source| Error::Raft { group: self.id, source })?;
            self.refresh();
        }
        Ok(())
    }

    /// To be called after whatever may change who leads.
    fn refresh(&mut self) {
        self.times.set_leading(self.leads());
        if !self.leads() {
            self.staged.forget_ceiling();
        }
    }

    /// Takes note of the times of new entries. What a leader proposes is noted when it is proposed.
    fn note_entries(&mut self, entries: &[Entry]) -> Result<()> {
        if self.leads() {
            return Ok(());
        }
        for entry in entries {
            self.times.append(entry.index, Mark::of(&envelope::decode(&entry.data)?));
        }
        Ok(())
    }

    /// The write a ready asks for. A commit index alone is not worth one: it is found again.
    fn persist(&mut self, number: u64, entries: &[Entry]) -> Option<Persist> {
        let RaftHardState { term, vote, commit, .. } = self.node.raft.hard_state();
        if entries.is_empty() && self.written == (term, vote) {
            return None;
        }
        self.written = (term, vote);
        let hard_state = Some(HardState { term, vote, commit });
        let batch = GroupBatch { hard_state, entries: view::stored(entries), ..GroupBatch::new(self.id) };
        Some(Persist { number, batch })
    }

    /// Committed entries as the state machine sees them.
    fn give_out(&mut self, entries: Vec<Entry>) -> Result<Vec<Committed>> {
        if let Some(last) = entries.last() {
            self.node.mut_store().set_handed_out(last.index);
            let bytes = entries.iter().map(|entry| survey::log_bytes(&entry.data)).sum();
            self.unapplied.push_back((last.index, bytes));
        }
        entries.into_iter().map(|entry| self.give_out_one(entry)).collect()
    }

    fn give_out_one(&mut self, entry: Entry) -> Result<Committed> {
        let envelope = envelope::decode(&entry.data)?;
        let before = self.given_out;
        self.given_out.take(Mark::of(&envelope));
        let closed = self.given_out.closed;
        let (commit_time, body) = match envelope {
            Envelope::Command { commit_time, payload } => {
                if commit_time <= before.commit || commit_time <= closed || commit_time > before.ceiling {
                    return Err(self.out_of_order(entry.index, commit_time, before));
                }
                (commit_time, Body::Command(payload))
            }
            Envelope::Close { .. } => (closed, Body::Closed),
            Envelope::Ceiling { .. } | Envelope::Empty => (closed, Body::Empty),
        };
        let Entry { index, term, data, .. } = entry;
        Ok(Committed { index, term, commit_time, closed, body, data })
    }

    fn out_of_order(&self, index: u64, commit_time: TimestampUs, before: LogTimes) -> Error {
        Error::CorruptLog {
            group: self.id,
            found: format!(
                "entry {index} has commit time {commit_time}; it must be above {} and {}, and at most {}",
                before.commit, before.closed, before.ceiling
            ),
        }
    }

    fn frames(&self, messages: Vec<Message>) -> Result<Vec<Outgoing>> {
        let frame = |message: Message| {
            let frame = message::encode(self.id, &message)?;
            Ok(Outgoing { to: message.to, frame })
        };
        messages.into_iter().map(frame).collect()
    }
}

fn to_raft(hard_state: HardState) -> RaftHardState {
    let mut raft = RaftHardState::default();
    (raft.term, raft.vote, raft.commit) = (hard_state.term, hard_state.vote, hard_state.commit);
    raft
}

fn raft_config(peer: u64, applied: u64, options: &Options) -> raft::Config {
    raft::Config {
        id: peer,
        applied,
        heartbeat_tick: options.heartbeat_ticks,
        election_tick: options.election_ticks_min,
        min_election_tick: options.election_ticks_min,
        max_election_tick: options.election_ticks_max,
        max_size_per_msg: MESSAGE_ENTRY_BYTES,
        max_inflight_msgs: MESSAGES_IN_FLIGHT,
        check_quorum: true,
        pre_vote: true,
        // Proposals are bounded where they enter, so that a ticket once given is never dropped here.
        max_uncommitted_size: raft::NO_LIMIT,
        max_committed_size_per_ready: APPLY_BYTES,
        ..raft::Config::default()
    }
}
