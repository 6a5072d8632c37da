//! Three drivers in one process, connected by their outboxes: real threads, real elections.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use lineate_consensus::{Driver, Handle, Options, Outbox, Reply};
use lineate_storage::log::MemLog;
use lineate_types::GroupId;

use crate::machine::{HandClock, Machine};

const GROUP: GroupId = GroupId(1);
/// Far beyond what an election takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Hands frames straight to the other nodes.
struct Wire(Arc<[OnceLock<Handle>; 3]>);

impl Outbox for Wire {
    fn send(&mut self, peer: u64, frame: Bytes) {
        if let Some(handle) = self.0[peer as usize - 1].get() {
            handle.deliver(frame);
        }
    }
}

struct Nodes {
    handles: Arc<[OnceLock<Handle>; 3]>,
    drivers: Vec<Option<Driver>>,
    machines: Vec<Machine>,
    clock: HandClock,
}

impl Nodes {
    fn start() -> Self {
        let handles: Arc<[OnceLock<Handle>; 3]> = Arc::default();
        let clock = HandClock::at(1_000_000_000);
        let options = Options {
            tick: Duration::from_millis(10),
            patience: Duration::from_millis(500),
            apply_threads: 2,
            ..Options::default()
        };
        let mut nodes =
            Self { handles: Arc::clone(&handles), drivers: Vec::new(), machines: Vec::new(), clock };
        for peer in 1..=3 {
            let machine = Machine::default();
            let (driver, handle) = Driver::start_among(
                Arc::new(MemLog::new()),
                Arc::new(nodes.clock.clone()),
                vec![machine.served(GROUP)],
                peer,
                &[1, 2, 3],
                Box::new(Wire(Arc::clone(&handles))),
                options.clone(),
            )
            .unwrap();
            nodes.drivers.push(Some(driver));
            nodes.machines.push(machine);
            assert!(handles[peer as usize - 1].set(handle).is_ok());
        }
        nodes
    }

    /// Proposes to one node after the other until one answers.
    async fn propose(&self, command: &'static [u8]) -> (usize, Reply) {
        let started = Instant::now();
        loop {
            for (node, handle) in self.handles.iter().enumerate() {
                // A leader that waits for times another one reserved needs a clock that goes on.
                self.clock.advance(10_000);
                let handle = handle.get().unwrap();
                if let Ok(reply) = handle.propose(GROUP, Bytes::from_static(command)).await {
                    return (node, reply);
                }
            }
            assert!(started.elapsed() < DEADLINE, "nobody leads: {:?}", self.status());
        }
    }

    fn status(&self) -> Vec<lineate_consensus::GroupStatus> {
        self.handles.iter().flat_map(|handle| handle.get().unwrap().status()).collect()
    }
}

#[tokio::test]
async fn a_cluster_elects_a_leader_replicates_and_survives_the_loss_of_one() {
    let mut nodes = Nodes::start();
    let mut replies = Vec::new();
    let (leader, reply) = nodes.propose(b"one").await;
    replies.push(reply);
    let point = nodes.handles[leader].get().unwrap().read(GROUP).await;
    if let Ok(point) = point {
        assert!(point.as_of >= replies[0].commit_time);
    }
    nodes.drivers[leader].take().unwrap().shutdown().unwrap();
    let (next, reply) = nodes.propose(b"two").await;
    assert_ne!(next, leader);
    assert!(reply.commit_time > replies[0].commit_time);
    replies.push(reply);
    let last = replies[1].index;
    let started = Instant::now();
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    while others.iter().any(|node| nodes.machines[*node].history().applied.index < last) {
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
    for node in others {
        let history = nodes.machines[node].history();
        for reply in &replies {
            let applied = history.entries.iter().find(|entry| entry.index == reply.index).unwrap();
            assert_eq!(applied.commit_time, reply.commit_time);
        }
        nodes.drivers[node].take().unwrap().shutdown().unwrap();
    }
}
