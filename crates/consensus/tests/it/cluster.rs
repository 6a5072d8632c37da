//! A cluster of bare cores in one thread: everything that happens is chosen by a seed.
//!
//! Messages of one pair of peers keep their order or are lost with all that follow them in the queue. A crash
//! loses the writes in flight, and whatever the state machine had not made durable, sometimes all of it. What is acknowledged,
//! answered and applied is checked as it happens; [`Cluster::check`] checks the whole at the end.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use lineate_consensus::{
    Committed, Options, ReadPoint,
    core::{
        CutPlace, Draft, Group, Outgoing, PeerMessage, Persist, ReadBatch, ReadGrant, Refusal, Ticket,
        checkpoint, founding,
    },
};
use lineate_storage::{
    Seed,
    blob::BlobInfo,
    log::{LogBatch, LogFault, MemLog, RaftLog},
};
use lineate_types::{DurationUs, GroupId, Hash, TimestampUs};

use crate::machine::History;

pub(crate) const GROUP: GroupId = GroupId(1);

/// One peer: its disk, and what runs on it.
pub(crate) struct Peer {
    pub(crate) id: u64,
    pub(crate) log: Arc<MemLog>,
    pub(crate) core: Group,
    /// Out between two pumps.
    grant: Option<ReadGrant>,
    pub(crate) history: History,
    /// What the state machine would find after a crash.
    durable: History,
    /// Its checkpoints, durable.
    blobs: BTreeMap<Hash, History>,
    /// Where a checkpoint was begun.
    cutting: Option<CutPlace>,
    writes: VecDeque<Persist>,
    jobs: VecDeque<Vec<Committed>>,
    tickets: BTreeMap<(u64, u64), Bytes>,
    /// Reads asked for, with the greatest commit time acknowledged by then.
    reads: BTreeMap<ReadBatch, TimestampUs>,
    closes: Vec<TimestampUs>,
    /// How far its clock is from the cluster's.
    pub(crate) skew_us: i64,
}

/// What a read was answered with.
#[derive(Debug, Clone, Copy)]
struct Answered {
    as_of: TimestampUs,
    applied_index: u64,
}

pub(crate) struct Cluster {
    pub(crate) peers: Vec<Peer>,
    pub(crate) seed: Seed,
    pub(crate) now_us: i64,
    options: Options,
    links: BTreeMap<(u64, u64), VecDeque<Bytes>>,
    broken: BTreeSet<(u64, u64)>,
    next_command: u64,
    /// Acknowledged commands: payload, index and commit time.
    acked: BTreeMap<Bytes, (u64, TimestampUs)>,
    answered: Vec<Answered>,
    /// Times the group was reported closed at, with the index applied by then.
    closed: Vec<(TimestampUs, u64)>,
    /// The agreed log: every peer must apply the same.
    agreed: BTreeMap<u64, Committed>,
    /// Terms and who led in them.
    leaders: BTreeMap<u64, u64>,
    crashes: usize,
    lost_reads: usize,
    /// Not being set up, nor coming to rest.
    is_running: bool,
    cuts: usize,
    /// Reads answered in place.
    in_place: usize,
    /// States that were lost and rebuilt from a checkpoint.
    rebuilt: usize,
}

impl Cluster {
    pub(crate) fn new(size: u64, seed: u64) -> Self {
        let options = Options::default();
        let voters: Vec<u64> = (1..=size).collect();
        let open = |id: u64| {
            let log = Arc::new(MemLog::new());
            log.append(&LogBatch::of(founding(GROUP, &voters))).unwrap();
            Peer::open(id, log, History::default(), BTreeMap::new(), &options)
        };
        Self {
            peers: voters.iter().map(|id| open(*id)).collect(),
            seed: Seed::new(seed),
            now_us: 1_000_000_000,
            options,
            links: BTreeMap::new(),
            broken: BTreeSet::new(),
            next_command: 0,
            acked: BTreeMap::new(),
            answered: Vec::new(),
            closed: Vec::new(),
            agreed: BTreeMap::new(),
            leaders: BTreeMap::new(),
            crashes: 0,
            lost_reads: 0,
            is_running: false,
            cuts: 0,
            in_place: 0,
            rebuilt: 0,
        }
    }

    /// Lets a number of things happen.
    pub(crate) fn run(&mut self, steps: usize) {
        self.is_running = true;
        for _ in 0..steps {
            self.now_us += self.seed.below(300) as i64;
            let peer = self.seed.below(self.peers.len() as u64) as usize;
            match self.seed.below(1_000) {
                0..200 => self.propose(peer),
                200..240 => self.read(peer),
                240..270 => self.read_in_place(peer),
                270..290 => self.close(peer),
                290..500 => self.write(peer, LogFault::None),
                500..650 => self.apply(peer),
                650..880 => self.deliver_any(),
                880..938 => self.tick_all(),
                938..950 => self.cut_some(peer),
                950..960 => self.break_link(),
                960..965 => self.isolate(peer),
                965..972 => self.broken.clear(),
                972..975 => self.let_others_lead(),
                975..985 => self.step_clock(peer),
                985..994 => self.make_durable(peer),
                994..996 => self.leave(peer),
                996..998 => {
                    let survives = self.seed.chance(500);
                    self.crash(peer, LogFault::SyncFails { survives });
                }
                _ => self.crash(peer, LogFault::None),
            }
            self.pump(peer);
        }
    }

    /// Ends all faults and lets the cluster come to rest: it must commit again.
    pub(crate) fn settle(&mut self) {
        self.is_running = false;
        self.broken.clear();
        for peer in &mut self.peers {
            peer.skew_us = 0;
        }
        let mut last = None;
        for round in 0..2_000 {
            self.now_us += 20_000;
            for peer in 0..self.peers.len() {
                self.tick(peer);
                self.pump(peer);
                self.write(peer, LogFault::None);
                self.pump(peer);
                self.apply(peer);
                self.pump(peer);
            }
            while self.links.values().any(|queue| !queue.is_empty()) {
                self.deliver_any();
            }
            if round == 1_000 {
                let leader = self.leader().expect("a healed cluster has a leader");
                self.propose(leader);
                self.read(leader);
                last = Some(self.next_command - 1);
            }
        }
        assert!(self.peers.iter().all(|peer| peer.reads.is_empty()), "every read comes to an end");
        let last = payload(last.unwrap());
        assert!(self.acked.contains_key(&last), "a healed cluster commits");
        let applied: Vec<_> = self.peers.iter().map(|peer| peer.history.applied).collect();
        assert!(applied.windows(2).all(|two| two[0] == two[1]), "all peers applied the same: {applied:?}");
    }

    /// The laws that need the whole run.
    pub(crate) fn check(&self) {
        for (payload, (index, commit_time)) in &self.acked {
            let entry = &self.agreed[index];
            assert_eq!(entry.commit_time, *commit_time);
            assert_eq!(
                entry.body,
                lineate_consensus::Body::Command(payload.clone()),
                "an acknowledged command stays"
            );
        }
        let commands = || {
            let is_command = |entry: &&Committed| matches!(entry.body, lineate_consensus::Body::Command(_));
            self.agreed.values().filter(is_command)
        };
        let mut last = TimestampUs::MIN;
        for entry in commands() {
            assert!(entry.commit_time > last, "commit times strictly increase");
            last = entry.commit_time;
        }
        for Answered { as_of, applied_index } in &self.answered {
            let late = commands().find(|entry| entry.index > *applied_index && entry.commit_time <= *as_of);
            assert!(late.is_none(), "answered at {as_of} and index {applied_index}, then came {late:?}");
        }
        for (at, index) in &self.closed {
            let late = commands().find(|entry| entry.index > *index && entry.commit_time <= *at);
            assert!(late.is_none(), "closed at {at} and index {index}, then came {late:?}");
        }
    }

    pub(crate) fn counts(&self) -> [usize; 9] {
        let Self { acked, answered, closed, leaders, lost_reads, crashes, cuts, rebuilt, in_place, .. } =
            self;
        let [acked, answered, closed, terms] = [acked.len(), answered.len(), closed.len(), leaders.len()];
        [acked, answered, closed, terms, *lost_reads, *crashes, *cuts, *rebuilt, *in_place]
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |(_, peer): &(usize, &Peer)| peer.core.leads();
        let leaders = self.peers.iter().enumerate().filter(leads);
        leaders.max_by_key(|(_, peer)| peer.core.status().term).map(|(position, _)| position)
    }

    pub(crate) fn propose(&mut self, peer: usize) {
        let payload = payload(self.next_command);
        let now = self.clock(peer);
        let peer = &mut self.peers[peer];
        if let Ok(Ticket { index, term, .. }) = peer.turn().propose(now, Draft::new(&payload)).unwrap() {
            self.next_command += 1;
            peer.tickets.insert((index, term), payload);
        }
    }

    pub(crate) fn read(&mut self, peer: usize) {
        let now = self.clock(peer);
        let acked = self.acked.values().map(|(_, time)| *time).max().unwrap_or(TimestampUs::MIN);
        let peer = &mut self.peers[peer];
        if let Ok(batch) = peer.turn().read(now, false) {
            peer.reads.insert(batch, acked);
        }
    }

    /// A read at a moment when the group learns something and does nothing yet.
    fn read_between(&mut self, peer: usize) {
        if self.is_running {
            self.read_in_place(peer);
        }
    }

    /// A read that is answered at once or not at all.
    pub(crate) fn read_in_place(&mut self, peer: usize) {
        let now = self.clock(peer);
        let acked = self.acked.values().map(|(_, time)| *time).max().unwrap_or(TimestampUs::MIN);
        let peer = &mut self.peers[peer];
        let Some(grant) = &mut peer.grant else { return };
        if let Some(ReadPoint { as_of, applied_index, .. }) = grant.answer(now, TimestampUs::MIN) {
            assert!(as_of >= acked, "a read in place sees what was acknowledged before it");
            assert!(applied_index <= peer.history.applied.index);
            self.answered.push(Answered { as_of, applied_index });
            self.in_place += 1;
        }
    }

    fn close(&mut self, peer: usize) {
        let at = TimestampUs(self.clock(peer).0 - self.seed.below(2_000) as i64);
        let now = self.clock(peer);
        let peer = &mut self.peers[peer];
        match peer.turn().close(now, at) {
            Ok(()) => peer.closes.push(at),
            Err(Refusal::Wait { until }) => assert!(until > now),
            Err(_) => {}
        }
    }

    pub(crate) fn write(&mut self, position: usize, fault: LogFault) {
        let peer = &mut self.peers[position];
        let mut numbers = None;
        let mut batch = LogBatch::default();
        let some = 1 + self.seed.below(3);
        for Persist { number, batch: part } in peer.writes.drain(..(some as usize).min(peer.writes.len())) {
            numbers = Some(number);
            batch.parts.push(part);
        }
        let Some(number) = numbers else { return };
        peer.log.inject([fault]);
        if peer.log.append(&batch).is_ok() {
            let messages = peer.core.persisted(number).unwrap();
            self.read_between(position);
            self.send(position, messages);
        }
    }

    pub(crate) fn apply(&mut self, position: usize) {
        let peer = &mut self.peers[position];
        let Some(entries) = peer.jobs.pop_front() else { return };
        let reached = peer.core.position().after(&entries);
        peer.history.apply(&entries, reached);
        for entry in &entries {
            if let Some(known) = self.agreed.get(&entry.index) {
                assert_eq!(known, entry, "every peer applies the same log");
            }
            self.agreed.insert(entry.index, entry.clone());
            if let Some(payload) = peer.tickets.remove(&(entry.index, entry.term)) {
                self.acked.insert(payload, (entry.index, entry.commit_time));
            }
        }
        // Acknowledged, and the group does not know it yet.
        self.read_between(position);
        self.peers[position].core.applied(reached).unwrap();
        self.read_between(position);
    }

    pub(crate) fn tick(&mut self, peer: usize) {
        let now = self.clock(peer);
        let core = self.peers[peer].turn();
        core.keep_warm(now, DurationUs(10_000_000));
        if core.ticks() {
            core.tick().unwrap();
        }
    }

    /// Carries out what a core asks for, short of the disk and the state machine.
    pub(crate) fn pump(&mut self, position: usize) {
        while let Some(effects) = self.peers[position].turn().ready().unwrap() {
            self.send(position, effects.send);
            let peer = &mut self.peers[position];
            peer.writes.extend(effects.persist);
            if !effects.apply.is_empty() {
                peer.jobs.push_back(effects.apply);
            }
        }
        let now = self.clock(position);
        let peer = &mut self.peers[position];
        let status = peer.core.status();
        if status.leads {
            let leader = self.leaders.entry(status.term).or_insert(peer.id);
            assert_eq!(*leader, peer.id, "a term has one leader");
        }
        let applied_index = status.applied;
        let done = peer.turn().reads_done(now, false);
        for (batch, point) in done.answered {
            let acked = peer.reads.remove(&batch).unwrap();
            assert!(point.as_of >= acked, "a read sees what was acknowledged before it");
            assert_eq!(point.applied_index, applied_index);
            self.answered.push(Answered { as_of: point.as_of, applied_index });
        }
        for batch in done.lost {
            self.lost_reads += 1;
            peer.reads.remove(&batch).unwrap();
        }
        let closed = peer.core.closed();
        for at in peer.closes.extract_if(.., |at| *at <= closed) {
            self.closed.push((at, applied_index));
        }
        peer.grant = peer.core.grant();
    }

    pub(crate) fn deliver_any(&mut self) {
        let waiting: Vec<(u64, u64)> =
            self.links.iter().filter(|(_, queue)| !queue.is_empty()).map(|(link, _)| *link).collect();
        let Some(link) = waiting.get(self.seed.below(waiting.len() as u64) as usize) else { return };
        let frame = self.links.get_mut(link).unwrap().pop_front().unwrap();
        let position = self.peers.iter().position(|peer| peer.id == link.1).unwrap();
        self.peers[position].core.step(PeerMessage::decode(frame).unwrap()).unwrap();
        self.pump(position);
    }

    fn break_link(&mut self) {
        let size = self.peers.len() as u64;
        let link = (1 + self.seed.below(size), 1 + self.seed.below(size));
        self.links.remove(&link);
        if self.seed.chance(300) {
            self.broken.insert(link);
        }
    }

    /// Cuts a peer off, both ways.
    fn isolate(&mut self, peer: usize) {
        let id = self.peers[peer].id;
        for other in 1..=self.peers.len() as u64 {
            self.broken.extend([(id, other), (other, id)]);
        }
        self.links.retain(|(from, to), _| *from != id && *to != id);
    }

    /// Cuts the leader off for so long that it steps down and another may take over, with reads in flight.
    fn let_others_lead(&mut self) {
        let Some(leader) = self.leader() else { return };
        self.isolate(leader);
        for _ in 0..40 {
            self.read(leader);
            self.propose(leader);
            self.tick_all();
            for peer in 0..self.peers.len() {
                self.write(peer, LogFault::None);
                self.pump(peer);
                self.deliver_any();
            }
        }
    }

    fn tick_all(&mut self) {
        for peer in 0..self.peers.len() {
            self.tick(peer);
            self.pump(peer);
        }
    }

    fn step_clock(&mut self, peer: usize) {
        let far = self.seed.below(6_000_000) as i64;
        self.peers[peer].skew_us = far - 4_000_000;
    }

    pub(crate) fn make_durable(&mut self, peer: usize) {
        let peer = &mut self.peers[peer];
        peer.durable = peer.history.clone();
    }

    /// Begins a cut, or goes on with the one that is begun.
    fn cut_some(&mut self, position: usize) {
        let peer = &mut self.peers[position];
        match peer.cutting {
            None => peer.cutting = peer.core.cut_place(),
            // The power may fail between the two.
            Some(_) if self.seed.chance(200) => drop(peer.checkpoint()),
            Some(_) => self.cut(position),
        }
    }

    /// Cuts the log where a checkpoint was begun, or here.
    pub(crate) fn cut(&mut self, position: usize) {
        let peer = &mut self.peers[position];
        if peer.cutting.is_none() {
            peer.cutting = peer.core.cut_place();
        }
        // A cut goes its own way to the disk, between two writes; here it is written at once.
        if !peer.writes.is_empty() {
            return;
        }
        let checkpoint = peer.checkpoint();
        let cut = peer.cutting.take().and_then(|place| peer.core.cut(place, checkpoint));
        if let Some(batch) = cut {
            peer.log.append(&LogBatch::of(batch)).unwrap();
            self.cuts += 1;
        }
    }

    /// The power of a peer fails, perhaps in the middle of a write, and comes back.
    pub(crate) fn crash(&mut self, position: usize, fault: LogFault) {
        if fault != LogFault::None {
            self.write(position, fault);
        }
        let log = Arc::new(self.peers[position].log.crash());
        let history = match self.seed.chance(300) {
            true => self.rebuild(position, &log),
            false => self.peers[position].durable.clone(),
        };
        self.restart(position, log, history);
    }

    /// What a peer that lost its state begins with: the checkpoint its log names, if it was cut.
    fn rebuild(&mut self, position: usize, log: &MemLog) -> History {
        let Some(blob) = checkpoint(log, GROUP).unwrap() else { return History::default() };
        self.rebuilt += 1;
        self.peers[position].blobs[&blob.hash].clone()
    }

    /// A peer is stopped in order and started again.
    pub(crate) fn leave(&mut self, position: usize) {
        self.peers[position].turn().release();
        for _ in 0..20 {
            self.pump(position);
            self.write(position, LogFault::None);
            self.apply(position);
        }
        let peer = &self.peers[position];
        let (log, history) = (Arc::new(peer.log.crash()), peer.history.clone());
        self.restart(position, log, history);
    }

    pub(crate) fn restart(&mut self, position: usize, log: Arc<MemLog>, history: History) {
        self.crashes += 1;
        let Peer { id, skew_us, .. } = self.peers[position];
        let blobs = std::mem::take(&mut self.peers[position].blobs);
        self.links.retain(|(from, to), _| *from != id && *to != id);
        let mut peer = Peer::open(id, log, history, blobs, &self.options);
        peer.skew_us = skew_us;
        self.peers[position] = peer;
    }

    fn send(&mut self, position: usize, messages: Vec<Outgoing>) {
        let from = self.peers[position].id;
        for Outgoing { to, frame } in messages {
            if !self.broken.contains(&(from, to)) {
                self.links.entry((from, to)).or_default().push_back(frame);
            }
        }
    }

    pub(crate) fn clock(&self, peer: usize) -> TimestampUs {
        TimestampUs(self.now_us + self.peers[peer].skew_us)
    }
}

impl Peer {
    fn open(
        id: u64,
        log: Arc<MemLog>,
        history: History,
        blobs: BTreeMap<Hash, History>,
        options: &Options,
    ) -> Self {
        // Timeouts that differ by peer, and are the same in every run.
        let ticks = 10 + 3 * id as usize;
        let options = Options { election_ticks_min: ticks, election_ticks_max: ticks + 1, ..options.clone() };
        let core =
            Group::open(Arc::clone(&log) as Arc<dyn RaftLog>, GROUP, id, history.applied, &options).unwrap();
        Self {
            id,
            log,
            core,
            grant: None,
            durable: history.clone(),
            history,
            blobs,
            cutting: None,
            writes: VecDeque::new(),
            jobs: VecDeque::new(),
            tickets: BTreeMap::new(),
            reads: BTreeMap::new(),
            closes: Vec::new(),
            skew_us: 0,
        }
    }

    /// The core, with nothing answered behind its back.
    fn turn(&mut self) -> &mut Group {
        if let Some(grant) = self.grant.take() {
            self.core.take_back(grant);
        }
        &mut self.core
    }

    /// Makes the state durable, and a blob of it.
    fn checkpoint(&mut self) -> BlobInfo {
        self.durable = self.history.clone();
        let blob = self.history.blob();
        self.blobs.insert(blob.hash, self.history.clone());
        blob
    }
}

fn payload(number: u64) -> Bytes {
    number.to_string().into()
}
