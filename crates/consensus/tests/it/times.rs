//! Commit times, ceilings, closes and reads of a lone voter, step by step.

use lineate_consensus::core::{Draft, Refusal};
use lineate_storage::log::{LogBatch, LogFault, RaftLog};
use lineate_types::TimestampUs;

use crate::cluster::Cluster;

/// A lone voter that leads.
fn lone() -> Cluster {
    let mut cluster = Cluster::new(1, 1);
    work(&mut cluster);
    assert_eq!(cluster.leader(), Some(0));
    cluster
}

/// Writes and applies until nothing is left to do.
fn work(cluster: &mut Cluster) {
    for _ in 0..10 {
        cluster.pump(0);
        cluster.write(0, LogFault::None);
        cluster.pump(0);
        cluster.apply(0);
    }
    cluster.pump(0);
}

fn propose(cluster: &mut Cluster) -> Result<TimestampUs, Refusal> {
    let now = cluster.clock(0);
    let proposed = cluster.peers[0].core.propose(now, Draft::new(b"x")).unwrap();
    proposed.map(|ticket| ticket.commit_time).map_err(|(refusal, _)| refusal)
}

fn read(cluster: &mut Cluster) -> TimestampUs {
    let now = cluster.clock(0);
    let batch = cluster.peers[0].core.read(now, false).unwrap();
    for _ in 0..10 {
        while let Some(effects) = cluster.peers[0].core.ready().unwrap() {
            assert!(effects.send.is_empty());
            if let Some(persist) = effects.persist {
                cluster.peers[0].log.append(&LogBatch::of(persist.batch)).unwrap();
                cluster.peers[0].core.persisted(persist.number).unwrap();
            }
            if !effects.apply.is_empty() {
                let peer = &mut cluster.peers[0];
                let reached = peer.core.position().after(&effects.apply);
                peer.history.apply(&effects.apply, reached);
                peer.core.applied(reached).unwrap();
            }
        }
    }
    let done = cluster.peers[0].core.reads_done(now, false);
    let (answered, point) = done.answered[0];
    assert_eq!(answered, batch);
    point.as_of
}

#[test]
fn a_command_is_stamped_by_the_clock_or_just_above_the_last() {
    let mut cluster = lone();
    let now = cluster.clock(0).0;
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(now)));
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(now + 1)));
    cluster.now_us -= 500;
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(now + 2)), "a clock that steps back changes nothing");
    cluster.now_us += 2_000;
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(now + 1_500)));
}

#[test]
fn a_read_is_answered_at_the_clock_and_no_command_comes_at_or_below_it() {
    let mut cluster = lone();
    let now = cluster.clock(0);
    assert_eq!(read(&mut cluster), now);
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(now.0 + 1)));
}

#[test]
fn a_read_is_answered_below_a_command_that_is_not_applied_yet() {
    let mut cluster = lone();
    read(&mut cluster);
    let pending = propose(&mut cluster).unwrap();
    cluster.now_us += 50;
    let now = cluster.clock(0);
    let batch = cluster.peers[0].core.read(now, false).unwrap();
    // The read is confirmed by the lone voter itself; the command still waits for the disk.
    let effects = cluster.peers[0].core.ready().unwrap().unwrap();
    assert!(effects.persist.is_some());
    let done = cluster.peers[0].core.reads_done(now, false);
    assert_eq!(done.answered[0].0, batch);
    assert_eq!(done.answered[0].1.as_of, TimestampUs(pending.0 - 1));
}

#[test]
fn after_a_crash_nothing_comes_at_or_below_an_answered_time_although_the_clock_steps_back() {
    let mut cluster = lone();
    let answered = read(&mut cluster);
    cluster.crash(0, LogFault::None);
    cluster.now_us -= 3_600_000_000;
    work(&mut cluster);
    let first = propose(&mut cluster).unwrap();
    assert!(first > answered, "{first:?} comes after {answered:?}");
}

#[test]
fn after_a_crash_the_first_command_waits_for_the_times_reserved_before() {
    let mut cluster = lone();
    propose(&mut cluster).unwrap();
    work(&mut cluster);
    cluster.crash(0, LogFault::None);
    cluster.now_us += 100;
    work(&mut cluster);
    let Err(Refusal::Wait { until }) = propose(&mut cluster) else { panic!("it must wait") };
    cluster.now_us = until.0 + 1;
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(until.0 + 1)));
}

#[test]
fn after_a_clean_stop_the_first_command_need_not_wait() {
    let mut cluster = lone();
    propose(&mut cluster).unwrap();
    read(&mut cluster);
    cluster.leave(0);
    cluster.now_us += 100;
    work(&mut cluster);
    let now = cluster.clock(0);
    assert_eq!(propose(&mut cluster), Ok(now));
}

#[test]
fn a_read_that_is_answered_while_the_leader_goes_stays_below_what_its_successor_stamps() {
    let mut cluster = lone();
    read(&mut cluster);
    let now = cluster.clock(0);
    let core = &mut cluster.peers[0].core;
    core.read(now, false).unwrap();
    core.release();
    // The read is confirmed, the lowered ceiling still waits for the disk.
    core.ready().unwrap().unwrap();
    cluster.now_us += 1_000;
    let later = cluster.clock(0);
    let done = cluster.peers[0].core.reads_done(later, false);
    assert_eq!(done.answered[0].1.as_of, now, "not above the ceiling the leader leaves behind");
}

#[test]
fn a_read_after_a_ceiling_was_lowered_stays_below_it_until_a_higher_one_is_applied() {
    let mut cluster = lone();
    read(&mut cluster);
    cluster.now_us += 1_000;
    let now = cluster.clock(0);
    let core = &mut cluster.peers[0].core;
    core.release();
    let lowered = core.ready().unwrap().unwrap().persist.unwrap();
    cluster.peers[0].log.append(&LogBatch::of(lowered.batch)).unwrap();
    // The read raises it again, which a crash forgets.
    let core = &mut cluster.peers[0].core;
    core.read(now, false).unwrap();
    core.ready().unwrap().unwrap();
    let answered = core.reads_done(now, false).answered[0].1.as_of;
    cluster.make_durable(0);
    cluster.crash(0, LogFault::None);
    cluster.now_us -= 3_600_000_000;
    work(&mut cluster);
    let first = propose(&mut cluster).unwrap();
    assert!(first > answered, "{first:?} comes after {answered:?}");
}

#[test]
fn a_read_answered_late_stays_below_the_ceiling_that_a_crash_leaves_behind() {
    let mut cluster = lone();
    let asked = cluster.clock(0);
    cluster.peers[0].core.read(asked, false).unwrap();
    let write = |cluster: &mut Cluster| {
        while let Some(effects) = cluster.peers[0].core.ready().unwrap() {
            if let Some(persist) = effects.persist {
                cluster.peers[0].log.append(&LogBatch::of(persist.batch)).unwrap();
                cluster.peers[0].core.persisted(persist.number).unwrap();
            }
            if !effects.apply.is_empty() {
                let peer = &mut cluster.peers[0];
                let reached = peer.core.position().after(&effects.apply);
                peer.history.apply(&effects.apply, reached);
                peer.core.applied(reached).unwrap();
            }
        }
    };
    write(&mut cluster);
    let late = TimestampUs(asked.0 + 3_600_000_000);
    let answered = cluster.peers[0].core.reads_done(late, false).answered[0].1.as_of;
    assert!(answered > asked && answered < late, "answered at the ceiling, not at the clock");
    cluster.make_durable(0);
    cluster.crash(0, LogFault::None);
    cluster.now_us -= 3_600_000_000;
    work(&mut cluster);
    assert!(propose(&mut cluster).unwrap() > answered);
}

#[test]
fn a_command_after_a_read_in_place_comes_above_it_although_the_clock_steps_back() {
    let mut cluster = lone();
    read(&mut cluster);
    work(&mut cluster);
    let core = &mut cluster.peers[0].core;
    let mut grant = core.grant().unwrap();
    let later = TimestampUs(cluster.now_us + 1_000);
    let answered = grant.answer(later, TimestampUs::MIN).unwrap().as_of;
    assert_eq!(answered, later);
    core.take_back(grant);
    cluster.now_us -= 3_600_000_000;
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(answered.0 + 1)));
}

#[test]
fn a_read_in_place_stays_below_the_ceiling_that_a_crash_leaves_behind() {
    let mut cluster = lone();
    read(&mut cluster);
    work(&mut cluster);
    let mut grant = cluster.peers[0].core.grant().unwrap();
    let mut answer = |at: i64| grant.answer(TimestampUs(at), TimestampUs::MIN);
    assert_eq!(answer(cluster.now_us + 3_600_000_000), None, "it must reserve times first");
    let mut answered = TimestampUs::MIN;
    while let Some(point) = answer(cluster.now_us) {
        answered = point.as_of;
        cluster.now_us += 100_000;
    }
    cluster.make_durable(0);
    cluster.crash(0, LogFault::None);
    cluster.now_us -= 3_600_000_000;
    work(&mut cluster);
    assert!(propose(&mut cluster).unwrap() > answered);
}

#[test]
fn a_group_is_read_in_place_only_while_all_that_is_committed_is_applied() {
    let mut cluster = Cluster::new(1, 1);
    assert_eq!(cluster.peers[0].core.grant(), None, "it does not lead yet");
    work(&mut cluster);
    assert!(cluster.peers[0].core.grant().is_some());
    propose(&mut cluster).unwrap();
    cluster.pump(0);
    assert!(cluster.peers[0].core.grant().is_some(), "nobody was told of the command yet");
    cluster.write(0, LogFault::None);
    cluster.pump(0);
    assert_eq!(cluster.peers[0].core.grant(), None, "the command may be answered any time now");
    cluster.apply(0);
    cluster.pump(0);
    assert!(cluster.peers[0].core.grant().is_some());
    let mut three = Cluster::new(3, 1);
    three.settle();
    assert!(three.peers.iter().all(|peer| peer.core.grant().is_none()), "others must be asked");
}

#[test]
fn a_close_keeps_later_commands_above_it_and_waits_for_the_clock() {
    let mut cluster = lone();
    let now = cluster.clock(0);
    let ahead = TimestampUs(now.0 + 10);
    assert_eq!(cluster.peers[0].core.close(now, ahead), Err(Refusal::Wait { until: ahead }));
    assert_eq!(cluster.peers[0].core.close(now, now), Ok(()));
    assert_eq!(propose(&mut cluster), Ok(TimestampUs(now.0 + 1)));
    work(&mut cluster);
    assert_eq!(cluster.peers[0].core.closed(), now);
}

#[test]
fn a_group_in_use_reserves_times_ahead_and_an_idle_one_does_not() {
    let mut cluster = lone();
    read(&mut cluster);
    let mut seconds = |seconds: usize| {
        let before = cluster.peers[0].core.status().last_index;
        for _ in 0..seconds {
            cluster.now_us += 1_000_000;
            cluster.tick(0);
            work(&mut cluster);
        }
        cluster.peers[0].core.status().last_index - before
    };
    let warm = seconds(10);
    assert!((3..=10).contains(&warm), "{warm} ceilings in 10 s");
    assert_eq!(seconds(3600), 0, "an idle group writes nothing");
}
