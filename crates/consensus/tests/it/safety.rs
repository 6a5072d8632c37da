//! The laws of a group under crashes, lost messages and stepping clocks, over many seeds.

use lineate_storage::log::LogFault;
use proptest::prelude::*;

use crate::cluster::Cluster;

/// Runs a seeded cluster through its faults, then lets it heal and checks everything.
fn survives(size: u64, seed: u64, steps: usize) -> Cluster {
    let mut cluster = Cluster::new(size, seed);
    cluster.run(steps);
    cluster.settle();
    cluster.check();
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_lone_voter_loses_no_acknowledged_command_and_keeps_its_times(seed in any::<u64>()) {
        survives(1, seed, 1_500);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn three_voters_lose_no_acknowledged_command_and_keep_their_times(seed in any::<u64>()) {
        survives(3, seed, 6_000);
    }
}

#[test]
fn a_run_reaches_what_it_is_meant_to_check() {
    for (size, steps, least) in
        [(1, 1_500, [300, 60, 20, 20, 0, 20, 15, 3, 200]), (3, 6_000, [300, 60, 20, 60, 60, 20, 0, 0, 0])]
    {
        let mut reached = [0; 9];
        for seed in 0..10 {
            let counts = survives(size, seed, steps).counts();
            reached.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let enough = reached.iter().zip(least).all(|(reached, least)| *reached >= least);
        assert!(
            enough,
            "{size} voters: commands, reads, closes, terms, lost reads, crashes, cuts, rebuilt, in place: {reached:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let cluster = survives(3, seed, 2_000);
        let histories: Vec<_> = cluster.peers.iter().map(|peer| peer.history.entries.clone()).collect();
        format!("{histories:?}")
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn a_new_leader_goes_on_above_the_times_of_the_old_one_although_its_clock_is_behind() {
    let mut cluster = Cluster::new(3, 1);
    cluster.settle();
    let old = cluster.leader().unwrap();
    for position in 0..3 {
        if position != old {
            // Further behind than the ceiling reaches ahead: nobody would wait for such a clock.
            cluster.peers[position].skew_us = -60_000_000;
        }
    }
    let last = cluster.peers[old].history.commands().last().map(|(time, _)| time).unwrap();
    for _ in 0..600 {
        cluster.now_us += 1_000;
        for position in (0..3).filter(|position| *position != old) {
            cluster.tick(position);
            cluster.pump(position);
            cluster.write(position, LogFault::None);
            cluster.apply(position);
            cluster.propose(position);
            cluster.pump(position);
        }
        cluster.deliver_any();
    }
    let new = cluster.leader().unwrap();
    assert_ne!(new, old);
    let history = &cluster.peers[new].history;
    let (time, _) = history.commands().last().unwrap();
    assert!(time > last);
    cluster.check();
}
