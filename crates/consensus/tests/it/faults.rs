//! Logs and state machines that contradict each other are refused.

use std::sync::Arc;

use lineate_consensus::{
    Applied, Error, Options, Standing, checkpoint,
    core::{Group, founding},
    standing,
};
use lineate_storage::log::{Cut, GroupBatch, HardState, LogBatch, LogEntry, LogFault, MemLog, RaftLog};
use lineate_types::{ErrorKind, HasKind, Hash};

use crate::cluster::{Cluster, GROUP};

fn open(log: &Arc<MemLog>, applied: Applied) -> Result<Group, Error> {
    Group::open(Arc::clone(log) as Arc<dyn RaftLog>, GROUP, 1, applied, &Options::default())
}

fn founded() -> Arc<MemLog> {
    let log = Arc::new(MemLog::new());
    log.append(&LogBatch::of(founding(GROUP, &[1]))).unwrap();
    log
}

fn refused(log: &Arc<MemLog>, applied: Applied) -> String {
    let error = open(log, applied).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    error.to_string()
}

/// A position whose chain is of no log.
fn at(index: u64, term: u64) -> Applied {
    Applied { index, term, chain: Hash::of(b"no log") }
}

#[test]
fn a_state_beyond_the_log_is_refused() {
    let text = refused(&founded(), at(9, 1));
    assert!(text.contains("acknowledged entries are lost"), "{text}");
}

#[test]
fn a_state_of_another_term_is_refused() {
    let log = founded();
    let entries = vec![LogEntry { index: 2, term: 2, payload: bytes::Bytes::new() }];
    log.append(&LogBatch::of(GroupBatch { entries, ..GroupBatch::new(GROUP) })).unwrap();
    let text = refused(&log, at(2, 1));
    assert!(text.contains("other entries"), "{text}");
    assert!(matches!(standing(&*log, GROUP, at(2, 1)).unwrap(), Standing::Foreign));
}

/// A lone voter that applied some hundred commands, proposed `apart` from each other.
fn worked(apart_us: i64) -> Cluster {
    let mut cluster = Cluster::new(1, 3);
    for _ in 0..300 {
        cluster.now_us += apart_us;
        cluster.propose(0);
        cluster.pump(0);
        cluster.write(0, LogFault::None);
        cluster.pump(0);
        cluster.apply(0);
    }
    cluster
}

#[test]
fn a_state_that_other_entries_made_is_refused_although_it_stands_at_the_same_index_and_term() {
    let [mut one, mut other] = [10, 11].map(worked);
    for cut in [false, true] {
        if cut {
            one.cut(0);
            other.cut(0);
        }
        let [own, foreign] = [&one, &other].map(|cluster| cluster.peers[0].history.applied);
        assert_eq!((own.index, own.term), (foreign.index, foreign.term));
        let log = &one.peers[0].log;
        assert_eq!(log.state(GROUP).unwrap().cut.index > 200, cut);
        assert!(matches!(standing(&**log, GROUP, own).unwrap(), Standing::Fits(_)));
        assert!(open(log, own).is_ok());
        assert!(matches!(standing(&**log, GROUP, foreign).unwrap(), Standing::Foreign));
        let text = refused(log, foreign);
        assert!(text.contains("other entries") && text.contains(&foreign.chain.to_string()), "{text}");
        for cluster in [&mut one, &mut other] {
            cluster.propose(0);
            cluster.pump(0);
            cluster.write(0, LogFault::None);
            cluster.pump(0);
            cluster.apply(0);
        }
    }
}

#[test]
fn a_state_behind_the_cut_is_refused() {
    let mut cluster = worked(10);
    cluster.cut(0);
    let peer = &mut cluster.peers[0];
    let applied = peer.history.applied;
    assert!(open(&peer.log, applied).is_ok());
    let standing = standing(&*peer.log, GROUP, at(5, 2)).unwrap();
    assert!(matches!(standing, Standing::Behind { cut } if cut == applied.index));
    let text = refused(&peer.log, at(5, 2));
    assert!(text.contains("must be rebuilt"), "{text}");
    let text = refused(&peer.log, Applied::NOTHING);
    assert!(text.contains("must be rebuilt"), "{text}");
}

#[test]
fn a_cut_that_names_no_checkpoint_is_refused() {
    let log = founded();
    let entries = vec![LogEntry { index: 2, term: 1, payload: bytes::Bytes::new() }];
    log.append(&LogBatch::of(GroupBatch { entries, ..GroupBatch::new(GROUP) })).unwrap();
    let cut = Some(Cut { index: 2, term: 1 });
    log.append(&LogBatch::of(GroupBatch { cut, ..GroupBatch::new(GROUP) })).unwrap();
    let text = refused(&log, at(2, 1));
    assert!(text.contains("names no checkpoint"), "{text}");
    assert_eq!(checkpoint(&*log, GROUP).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_log_whose_disk_lied_is_refused_when_the_state_knows_more() {
    let mut cluster = Cluster::new(1, 3);
    for _ in 0..5 {
        cluster.propose(0);
        cluster.pump(0);
        cluster.write(0, LogFault::Lie);
        cluster.pump(0);
        cluster.apply(0);
    }
    let log = Arc::new(cluster.peers[0].log.crash());
    let text = refused(&log, cluster.peers[0].history.applied);
    assert!(text.contains("acknowledged entries are lost"), "{text}");
}

#[test]
fn an_entry_of_an_unknown_version_is_refused() {
    let log = founded();
    let entries = vec![LogEntry { index: 2, term: 1, payload: vec![9; 20].into() }];
    log.append(&LogBatch::of(GroupBatch { entries, ..GroupBatch::new(GROUP) })).unwrap();
    let text = refused(&log, Applied::NOTHING);
    assert!(text.contains("format version 9"), "{text}");
}

#[test]
fn commands_whose_times_do_not_rise_are_refused() {
    let log = founded();
    let command = |index, time: i64| {
        let payload = [&[1, 1][..], &time.to_le_bytes(), b"x"].concat().into();
        LogEntry { index, term: 1, payload }
    };
    let ceiling =
        LogEntry { index: 2, term: 1, payload: [&[1, 3][..], &100_i64.to_le_bytes()].concat().into() };
    let entries = vec![ceiling, command(3, 50), command(4, 50)];
    let hard_state = Some(HardState { term: 1, vote: 0, commit: 4 });
    log.append(&LogBatch::of(GroupBatch { entries, hard_state, ..GroupBatch::new(GROUP) })).unwrap();
    let mut core = open(&log, Applied::NOTHING).unwrap();
    let error = core.ready().unwrap_err();
    assert!(error.to_string().contains("entry 4 has commit time"), "{error}");
}

#[test]
fn a_peer_without_a_vote_is_refused() {
    let log = Arc::new(MemLog::new());
    log.append(&LogBatch::of(founding(GROUP, &[2, 3]))).unwrap();
    assert!(matches!(open(&log, Applied::NOTHING), Err(Error::Options { .. })));
}
