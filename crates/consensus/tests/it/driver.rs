//! The driver of a lone node: threads, a log that can be held up, a clock set by hand.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use lineate_consensus::{Applied, Body, Clock, Driver, Error, Handle, Options, Served, Survey, checkpoint};
use lineate_storage::log::{GroupState, LogBatch, LogEntry, LogFault, MemLog, RaftLog};
use lineate_types::{ErrorKind, GroupId, HasKind, TimestampUs};

use crate::machine::{HandClock, History, Machine, Trouble};

const META: GroupId = GroupId(0);
const SHARD: GroupId = GroupId(1);

/// A log whose appends wait while it is held.
#[derive(Default)]
struct HeldLog {
    log: MemLog,
    held: Mutex<bool>,
    freed: Condvar,
}

impl HeldLog {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.freed.notify_all();
    }
}

impl RaftLog for HeldLog {
    fn append(&self, batch: &LogBatch) -> lineate_storage::Result<()> {
        let held = self.held.lock().unwrap();
        drop(self.freed.wait_while(held, |held| *held).unwrap());
        self.log.append(batch)
    }

    fn groups(&self) -> Vec<GroupId> {
        self.log.groups()
    }

    fn state(&self, group: GroupId) -> Option<GroupState> {
        self.log.state(group)
    }

    fn entries(
        &self,
        group: GroupId,
        range: Range<u64>,
        max_bytes: usize,
    ) -> lineate_storage::Result<Vec<LogEntry>> {
        self.log.entries(group, range, max_bytes)
    }

    fn term(&self, group: GroupId, index: u64) -> Option<u64> {
        self.log.term(group, index)
    }
}

/// A clock that the raft thread must wait for while it is held.
struct HeldClock {
    clock: HandClock,
    held: Mutex<bool>,
    freed: Condvar,
}

impl HeldClock {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.freed.notify_all();
    }
}

impl Clock for HeldClock {
    fn now(&self) -> TimestampUs {
        if std::thread::current().name() == Some("raft") {
            drop(self.freed.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        }
        self.clock.now()
    }
}

/// A node with two groups. Its disk and the insides of its machines outlive it.
struct Node {
    log: Arc<HeldLog>,
    clock: HandClock,
    machines: [Machine; 2],
    options: Options,
    driver: Option<Driver>,
    handle: Handle,
}

impl Node {
    fn start(options: Options) -> Self {
        let machines = [Machine::default(), Machine::default()];
        Self::start_on(Arc::new(HeldLog::default()), HandClock::at(1_000_000_000), machines, options).unwrap()
    }

    fn start_on(
        log: Arc<HeldLog>,
        clock: HandClock,
        machines: [Machine; 2],
        options: Options,
    ) -> Result<Self, Error> {
        let groups = vec![machines[0].served(META), machines[1].served(SHARD)];
        let (driver, handle) = Driver::start(
            Arc::clone(&log) as Arc<dyn RaftLog>,
            Arc::new(clock.clone()),
            groups,
            1,
            options.clone(),
        )?;
        Ok(Self { log, clock, machines, options, driver: Some(driver), handle })
    }

    fn shutdown(&mut self) -> Result<(), Error> {
        self.driver.take().unwrap().shutdown()
    }

    fn restart(mut self) -> Self {
        self.shutdown().unwrap();
        self.clock.advance(10_000);
        Self::start_on(self.log, self.clock, self.machines, self.options).unwrap()
    }

    async fn propose(&self, command: &'static str) -> Result<lineate_consensus::Reply, Error> {
        self.handle.propose(SHARD, Bytes::from_static(command.as_bytes())).await
    }
}

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Lets other tasks and threads go on until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_command_is_answered_with_what_the_state_machine_replied() {
    let mut node = Node::start(Options::default());
    let first = node.propose("one").await.unwrap();
    let second = node.propose("two").await.unwrap();
    assert_eq!((&first.body[..], &second.body[..]), (&b"re:one"[..], &b"re:two"[..]));
    assert!(second.commit_time > first.commit_time && second.index > first.index);
    let meta = node.handle.propose(META, Bytes::from_static(b"three")).await.unwrap();
    assert_eq!(&meta.body[..], b"re:three");
    node.shutdown().unwrap();
    let applied: Vec<Bytes> =
        node.machines[1].history().commands().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(applied, ["one", "two"]);
}

#[tokio::test]
async fn commands_that_arrive_during_a_sync_share_the_next_one() {
    let mut node = Node::start(Options::default());
    node.propose("first").await.unwrap();
    node.log.hold(true);
    let mut answers = tokio::task::JoinSet::new();
    for number in 0..200_u32 {
        let (handle, group) = (node.handle.clone(), GroupId(number % 2));
        answers.spawn(async move { handle.propose(group, number.to_string().into()).await });
        tokio::task::yield_now().await;
    }
    // A cut, the first entry of the leader, a ceiling, and the commands; one more in the shard.
    let expected = [103, 104];
    until(|| node.handle.status().iter().map(|status| status.last_index).eq(expected)).await;
    let before = node.log.log.syncs();
    node.log.hold(false);
    let answers: Vec<_> = answers.join_all().await.into_iter().map(Result::unwrap).collect();
    let syncs = node.log.log.syncs() - before;
    assert!(syncs <= 4, "{syncs} syncs for 200 commands in two groups");
    let times: BTreeSet<_> = answers.iter().map(|reply| (reply.index, reply.commit_time)).collect();
    assert!(times.len() >= 100);
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_restart_goes_on_after_what_was_applied() {
    let node = Node::start(Options::default());
    node.propose("one").await.unwrap();
    let before = node.machines[1].history();
    let mut node = node.restart();
    let reply = node.propose("two").await.unwrap();
    assert!(reply.commit_time > before.commands().last().unwrap().0);
    node.shutdown().unwrap();
    let after = node.machines[1].history();
    assert_eq!(after.entries[..before.entries.len()], before.entries[..], "nothing is applied twice");
}

#[tokio::test]
async fn a_state_machine_that_lost_everything_is_given_the_whole_log_again() {
    let node = Node::start(Options::default());
    for command in ["one", "two", "three"] {
        node.propose(command).await.unwrap();
    }
    let before = node.machines[1].history();
    let Node { log, clock, mut driver, machines, options, .. } = node;
    driver.take().unwrap().shutdown().unwrap();
    clock.advance(10_000);
    let machines = [machines[0].clone(), Machine::default()];
    let mut node = Node::start_on(log, clock, machines, options).unwrap();
    node.handle.read(SHARD).await.unwrap();
    node.shutdown().unwrap();
    let after = node.machines[1].history();
    let commands = |history: &crate::machine::History| -> Vec<_> {
        history.commands().map(|(time, payload)| (time, payload.clone())).collect()
    };
    assert_eq!(commands(&after), commands(&before), "with the commit times they had");
}

#[tokio::test]
async fn a_survey_is_used_for_the_state_it_is_of_alone() {
    let mut node = Node::start(Options::default());
    node.propose("one").await.unwrap();
    node.shutdown().unwrap();
    let log = Arc::clone(&node.log) as Arc<dyn RaftLog>;
    for is_own in [false, true] {
        let History { applied, entries: before } = node.machines[1].history();
        let of = if is_own { applied } else { Applied::NOTHING };
        let survey = Some(Survey::of(&*log, SHARD, of).unwrap());
        let groups = vec![Served { survey, ..node.machines[1].served(SHARD) }];
        let clock = Arc::new(node.clock.clone());
        let (driver, handle) = Driver::start(log.clone(), clock, groups, 1, node.options.clone()).unwrap();
        handle.read(SHARD).await.unwrap();
        driver.shutdown().unwrap();
        let after = node.machines[1].history().entries;
        assert_eq!(after[..before.len()], before[..], "nothing is applied twice");
    }
}

#[tokio::test]
async fn a_read_sees_what_was_answered_before_it() {
    let mut node = Node::start(Options::default());
    for _ in 0..20 {
        let reply = node.propose("x").await.unwrap();
        let point = node.handle.read(SHARD).await.unwrap();
        assert!(point.as_of >= reply.commit_time && point.applied_index >= reply.index);
        assert!(node.machines[1].history().applied.index >= point.applied_index);
        let next = node.propose("y").await.unwrap();
        assert!(next.commit_time > point.as_of);
        node.clock.advance(100);
    }
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_lone_voter_is_read_without_its_raft_thread() {
    let clock = Arc::new(HeldClock {
        clock: HandClock::at(1_000_000),
        held: Mutex::default(),
        freed: Condvar::new(),
    });
    let machine = Machine::default();
    let (log, options) = (Arc::new(MemLog::new()), Options::default());
    let (driver, handle) =
        Driver::start(log, clock.clone(), vec![machine.served(SHARD)], 1, options).unwrap();
    let last = handle.propose(SHARD, Bytes::from_static(b"x")).await.unwrap();
    // The raft thread knows that it is applied, and rests, when it was asked once more.
    handle.read(SHARD).await.unwrap();
    until(|| handle.status()[0].applied == handle.status()[0].last_index).await;
    clock.hold(true);
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.propose(SHARD, Bytes::from_static(b"y")).await }
    });
    tokio::task::yield_now().await;
    let mut answered = TimestampUs::MIN;
    for _ in 0..100 {
        clock.clock.advance(10);
        let point = handle.read(SHARD).await.unwrap();
        assert_eq!(point.as_of, clock.clock.now(), "the clock of the moment");
        assert!(point.as_of > answered.max(last.commit_time) && point.applied_index >= last.index);
        answered = point.as_of;
    }
    clock.hold(false);
    let next = waiting.await.unwrap().unwrap();
    assert!(next.commit_time > answered, "what is stamped later comes after what was answered");
    driver.shutdown().unwrap();
    assert!(matches!(handle.read(SHARD).await, Err(Error::Stopped)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_beside_many_writers_miss_nothing_acknowledged_and_nothing_comes_below_them() {
    const WRITES: usize = 100;
    let mut node = Node::start(Options::default());
    let acknowledged = Arc::new(AtomicI64::new(i64::MIN));
    let answered = Arc::new(AtomicI64::new(i64::MIN));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (handle, clock) = (node.handle.clone(), node.clock.clone());
        let (acknowledged, answered) = (acknowledged.clone(), answered.clone());
        writers.spawn(async move {
            for _ in 0..WRITES {
                clock.advance(1);
                let before = answered.load(Ordering::SeqCst);
                let reply = handle.propose(SHARD, Bytes::from_static(b"x")).await.unwrap();
                assert!(reply.commit_time.0 > before, "{} was answered before", before);
                acknowledged.fetch_max(reply.commit_time.0, Ordering::SeqCst);
            }
        });
    }
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (handle, machine) = (node.handle.clone(), node.machines[1].clone());
        let (acknowledged, answered) = (acknowledged.clone(), answered.clone());
        let (is_over, mut points) = (is_over.clone(), Vec::new());
        readers.spawn(async move {
            while !is_over.load(Ordering::SeqCst) || points.is_empty() {
                let (before, last) = (acknowledged.load(Ordering::SeqCst), answered.load(Ordering::SeqCst));
                let point = handle.read(SHARD).await.unwrap();
                assert!(point.as_of.0 >= before.max(last), "{before} was acknowledged, {last} answered");
                assert!(machine.applied() >= point.applied_index);
                answered.fetch_max(point.as_of.0, Ordering::SeqCst);
                points.push(point);
                tokio::task::yield_now().await;
            }
            points
        });
    }
    writers.join_all().await;
    is_over.store(true, Ordering::SeqCst);
    let points = readers.join_all().await;
    node.shutdown().unwrap();
    let commands: Vec<(u64, TimestampUs)> = node.machines[1]
        .history()
        .entries
        .iter()
        .filter(|entry| matches!(entry.body, Body::Command(_)))
        .map(|entry| (entry.index, entry.commit_time))
        .collect();
    for point in points.into_iter().flatten() {
        let seen = commands.partition_point(|(index, _)| *index <= point.applied_index);
        let promised = commands.partition_point(|(_, time)| *time <= point.as_of);
        assert!(promised <= seen, "{point:?}: a command at or below it was applied later");
    }
}

#[tokio::test]
async fn a_closed_group_commits_only_above_the_closed_time() {
    let mut node = Node::start(Options::default());
    let now = lineate_consensus::Clock::now(&node.clock);
    node.handle.close(SHARD, now).await.unwrap();
    assert!(node.propose("x").await.unwrap().commit_time > now);
    node.handle.close(SHARD, now).await.unwrap();
    let closed = node.handle.status()[1].closed;
    assert_eq!(closed, now);
    let far = TimestampUs(now.0 + 60_000_000);
    let error = node.handle.close(SHARD, far).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let near = TimestampUs(now.0 + 100_000);
    let (handle, clock) = (node.handle.clone(), node.clock.clone());
    let closing = tokio::spawn(async move { handle.close(SHARD, near).await });
    node.propose("y").await.unwrap();
    assert!(!closing.is_finished(), "a close ahead of the clock waits for it");
    clock.advance(200_000);
    closing.await.unwrap().unwrap();
    assert!(node.propose("z").await.unwrap().commit_time > near);
    node.shutdown().unwrap();
    let bodies: Vec<Body> = node.machines[1].history().entries.into_iter().map(|entry| entry.body).collect();
    assert_eq!(bodies.iter().filter(|body| **body == Body::Closed).count(), 2);
}

#[tokio::test]
async fn too_much_in_flight_is_refused_and_accepted_again() {
    let mut node = Node::start(Options { proposals_in_flight: 2, ..Options::default() });
    node.propose("first").await.unwrap();
    node.log.hold(true);
    let handle = node.handle.clone();
    let waiting = tokio::spawn(async move {
        tokio::join!(
            handle.propose(SHARD, Bytes::from_static(b"1")),
            handle.propose(SHARD, Bytes::from_static(b"2"))
        )
    });
    until(|| node.handle.status()[1].last_index >= 6).await;
    let error = node.propose("3").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    node.log.hold(false);
    let (one, two) = waiting.await.unwrap();
    one.unwrap();
    two.unwrap();
    node.propose("4").await.unwrap();
    let error = node.handle.propose(SHARD, vec![0; 9 << 20].into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let error = node.handle.propose(GroupId(9), Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    node.shutdown().unwrap();
}

#[tokio::test]
async fn what_waits_for_a_disk_that_hangs_is_bounded_although_its_callers_were_sent_away() {
    let patience = Duration::from_millis(50);
    let mut node = Node::start(Options { patience, proposals_in_flight: 2, ..Options::default() });
    node.propose("first").await.unwrap();
    node.log.hold(true);
    for command in ["1", "2"] {
        let error = node.propose(command).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    }
    let error = node.propose("3").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    node.log.hold(false);
    until(|| node.machines[1].history().commands().count() == 3).await;
    // The raft thread hears of it a moment later, and a busy machine may be slower than the patience here.
    let begun = Instant::now();
    while let Err(error) = node.propose("4").await {
        assert!(begun.elapsed() < DEADLINE, "{error}");
    }
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_needs_no_restart() {
    let mut node = Node::start(Options::default());
    let last = node.propose("before").await.unwrap();
    node.handle.cut(META).await.unwrap();
    node.log.log.set_full(true);
    let handle = node.handle.clone();
    let stuck = tokio::spawn(async move { handle.propose(SHARD, Bytes::from_static(b"stuck")).await });
    // The disk is known to be full when a write was tried; a cut that has nothing to do writes nothing.
    while node.handle.cut(META).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = node.propose("refused").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    node.clock.advance(60_000_000);
    let point = node.handle.read(SHARD).await.unwrap();
    assert!(point.as_of >= last.commit_time, "reads go on, at a time reserved before");
    node.log.log.set_full(false);
    assert_eq!(&stuck.await.unwrap().unwrap().body[..], b"re:stuck");
    let reply = node.propose("after").await.unwrap();
    assert!(reply.commit_time > point.as_of);
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_command_stuck_on_a_full_disk_is_reported_as_unknown() {
    let mut node = Node::start(Options { patience: Duration::from_millis(100), ..Options::default() });
    node.propose("before").await.unwrap();
    node.log.log.set_full(true);
    let error = node.propose("stuck").await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    node.log.log.set_full(false);
    until(|| node.machines[1].history().commands().any(|(_, payload)| payload == "stuck")).await;
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_failed_sync_ends_the_node() {
    let mut node = Node::start(Options::default());
    node.propose("before").await.unwrap();
    node.log.log.inject([LogFault::SyncFails { survives: false }]);
    let error = node.propose("x").await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    let failure = node.handle.failed().await;
    assert!(failure.reason.contains("the sync of an append failed"), "{}", failure.reason);
    assert!(matches!(node.handle.read(SHARD).await, Err(Error::Failed { .. })));
    assert!(matches!(node.propose("y").await, Err(Error::Failed { .. })));
    assert!(node.shutdown().is_err());
}

#[tokio::test]
async fn a_state_machine_that_fails_or_panics_ends_the_node() {
    for (trouble, says) in [
        (Trouble::Fails, "its disk is gone"),
        (Trouble::Panics, "panicked: a broken invariant"),
        (Trouble::TooFewReplies, "it gave 0 replies"),
    ] {
        let mut node = Node::start(Options::default());
        node.propose("before").await.unwrap();
        node.machines[1].0.lock().unwrap().trouble = trouble;
        let error = node.propose("x").await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{error}");
        let failure = node.handle.failed().await;
        assert!(failure.reason.contains(says), "{}", failure.reason);
        assert!(node.shutdown().is_err());
    }
}

#[tokio::test]
async fn a_cut_log_starts_again_and_keeps_its_times() {
    let node = Node::start(Options::default());
    let now = lineate_consensus::Clock::now(&node.clock);
    node.handle.close(SHARD, now).await.unwrap();
    for _ in 0..300 {
        node.propose("x").await.unwrap();
    }
    assert!(node.handle.status()[1].log_bytes > 300 * 64);
    let status = node.handle.cut(SHARD).await.unwrap();
    assert!(status.cut > 300, "cut at {} of {}", status.cut, status.applied);
    assert_eq!(node.handle.status()[1], status, "everybody sees what the caller was told");
    assert_eq!(node.log.state(SHARD).unwrap().cut.index, status.cut);
    assert_eq!(checkpoint(&*node.log, SHARD).unwrap(), status.checkpoint);
    assert_eq!(checkpoint(&*node.log, META).unwrap(), None);
    let last = node.machines[1].history().commands().last().map(|(time, _)| time).unwrap();
    let mut node = node.restart();
    let reply = node.propose("y").await.unwrap();
    assert!(reply.commit_time > last);
    let again = node.handle.status()[1];
    assert_eq!(again.closed, now, "the closed time is behind the cut");
    assert_eq!((again.cut, again.checkpoint), (status.cut, status.checkpoint));
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_state_that_is_lost_after_a_cut_goes_on_from_the_checkpoint_the_log_names() {
    let node = Node::start(Options::default());
    for number in 0..50 {
        node.propose("x").await.unwrap();
        if number % 20 == 19 {
            node.handle.cut(SHARD).await.unwrap();
        }
    }
    let before = node.machines[1].history();
    let Node { log, clock, mut driver, machines, options, .. } = node;
    driver.take().unwrap().shutdown().unwrap();
    clock.advance(10_000);
    let blob = checkpoint(&*log, SHARD).unwrap().unwrap();
    let rebuilt = Machine::default();
    let found = machines[1].0.lock().unwrap().blobs[&blob.hash].clone();
    rebuilt.0.lock().unwrap().history = found;
    let mut node = Node::start_on(log, clock, [machines[0].clone(), rebuilt], options).unwrap();
    node.handle.read(SHARD).await.unwrap();
    node.shutdown().unwrap();
    let after = node.machines[1].history();
    assert_eq!(after.entries[..before.entries.len()], before.entries[..]);
}

#[tokio::test]
async fn a_checkpoint_that_fails_cuts_nothing_and_stops_nothing() {
    let mut node = Node::start(Options::default());
    node.propose("x").await.unwrap();
    node.machines[1].0.lock().unwrap().trouble = Trouble::CheckpointFails;
    let error = node.handle.cut(SHARD).await.unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    assert_eq!((node.handle.status()[1].cut, node.handle.status()[1].checkpoint), (1, None));
    node.machines[1].0.lock().unwrap().trouble = Trouble::None;
    node.propose("y").await.unwrap();
    let status = node.handle.cut(SHARD).await.unwrap();
    assert!(status.cut > 1 && status.log_bytes == 0, "{status:?}");
    assert_eq!(node.handle.cut(SHARD).await.unwrap().checkpoint, status.checkpoint, "nothing new to cut");
    node.shutdown().unwrap();
}

#[tokio::test]
async fn a_stopped_node_answers_nothing() {
    let mut node = Node::start(Options::default());
    node.propose("x").await.unwrap();
    node.shutdown().unwrap();
    assert!(matches!(node.propose("y").await, Err(Error::Stopped)));
    assert!(matches!(node.handle.read(SHARD).await, Err(Error::Stopped)));
}

#[tokio::test]
async fn a_state_machine_without_its_log_is_refused() {
    let mut node = Node::start(Options::default());
    node.propose("x").await.unwrap();
    node.shutdown().unwrap();
    let fresh = Arc::new(HeldLog::default());
    let refused = Node::start_on(fresh, node.clock.clone(), node.machines.clone(), Options::default());
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Corrupt);
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    for options in [
        Options { apply_threads: 0, ..Options::default() },
        Options { election_ticks_max: 10, ..Options::default() },
        Options { proposals_in_flight: 0, ..Options::default() },
    ] {
        assert!(options.check().is_err(), "{options:?}");
    }
    assert!(Options::default().check().is_ok());
}
