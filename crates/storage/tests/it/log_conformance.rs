//! What every Raft log must do, run against every one there is.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use lineate_storage::{
    Error,
    disk::MemDisk,
    log::{Cut, FileLog, GroupBatch, GroupState, HardState, LogBatch, LogEntry, LogOptions, MemLog, RaftLog},
};
use lineate_types::{GroupId, limits};

pub(crate) const GROUP: GroupId = GroupId(3);

pub(crate) fn small_options() -> LogOptions {
    LogOptions { store_id: [7; 16], file_bytes: 8 * 1024, cache_bytes: 2 * 1024 }
}

pub(crate) fn open(disk: &MemDisk) -> FileLog {
    FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), small_options()).expect("opens").0
}

pub(crate) fn entry(index: u64, term: u64, text: &str) -> LogEntry {
    LogEntry { index, term, payload: Bytes::copy_from_slice(text.as_bytes()) }
}

pub(crate) fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Vec<LogEntry> {
    range.map(|index| entry(index, term, &format!("{index}.{term}"))).collect()
}

pub(crate) fn part(group: GroupId, entries: Vec<LogEntry>) -> GroupBatch {
    GroupBatch { entries, ..GroupBatch::new(group) }
}

fn append(log: &dyn RaftLog, entries: Vec<LogEntry>) -> Result<(), Error> {
    log.append(&LogBatch::of(part(GROUP, entries)))
}

fn set_hard_state(log: &dyn RaftLog, term: u64, vote: u64, commit: u64) -> Result<(), Error> {
    let hard_state = Some(HardState { term, vote, commit });
    log.append(&LogBatch::of(GroupBatch { hard_state, ..GroupBatch::new(GROUP) }))
}

fn cut(log: &dyn RaftLog, index: u64, term: u64) -> Result<(), Error> {
    log.append(&LogBatch::of(GroupBatch { cut: Some(Cut { index, term }), ..GroupBatch::new(GROUP) }))
}

fn read(log: &dyn RaftLog, low: u64, high: u64) -> Vec<String> {
    let entries = log.entries(GROUP, low..high, usize::MAX).expect("readable");
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.payload).into_owned()).collect()
}

/// Every claim of the port that a single log can show.
fn conforms(make: &dyn Fn() -> Box<dyn RaftLog>) {
    an_unknown_group_has_nothing(make().as_ref());
    entries_come_back_as_they_went_in(make().as_ref());
    a_conflicting_suffix_is_replaced(make().as_ref());
    reads_stop_at_the_bound_and_give_at_least_one(make().as_ref());
    a_cut_forgets_what_is_behind_it(make().as_ref());
    a_cut_from_a_snapshot_drops_the_log(make().as_ref());
    parts_of_one_batch_take_effect_in_order(make().as_ref());
    what_breaks_a_rule_is_refused_whole(make().as_ref());
    bounds_are_kept(make().as_ref());
}

fn an_unknown_group_has_nothing(log: &dyn RaftLog) {
    assert_eq!(log.groups(), []);
    assert_eq!(log.state(GROUP), None);
    assert_eq!(log.term(GROUP, 0), None);
    assert!(matches!(log.entries(GROUP, 1..1, 0), Err(Error::NotFound { .. })));
    log.append(&LogBatch::default()).expect("nothing to do");
    assert_eq!(log.groups(), []);
    log.append(&LogBatch::of(GroupBatch::new(GROUP))).expect("begins the group");
    assert_eq!(log.groups(), [GROUP]);
    assert_eq!(log.state(GROUP), Some(GroupState::default()));
    assert_eq!(log.term(GROUP, 0), Some(0));
}

fn entries_come_back_as_they_went_in(log: &dyn RaftLog) {
    append(log, entries(1..=3, 1)).expect("appends");
    append(log, vec![entry(4, 2, "")]).expect("an empty payload is one too");
    assert_eq!(read(log, 1, 5), ["1.1", "2.1", "3.1", ""]);
    assert_eq!(log.entries(GROUP, 2..3, 0).expect("reads"), [entry(2, 1, "2.1")]);
    assert_eq!(log.term(GROUP, 4), Some(2));
    assert_eq!(log.term(GROUP, 5), None);
    assert!(matches!(log.entries(GROUP, 4..6, 0), Err(Error::Beyond { index: 5, last: 4, .. })));
    assert!(matches!(log.entries(GROUP, 0..2, 0), Err(Error::Forgotten { first: 1, .. })));
    assert_eq!(log.entries(GROUP, 5..5, 0).expect("an empty range at the end"), []);
}

fn a_conflicting_suffix_is_replaced(log: &dyn RaftLog) {
    append(log, entries(1..=5, 1)).expect("appends");
    append(log, entries(3..=4, 2)).expect("overwrites");
    assert_eq!(read(log, 1, 5), ["1.1", "2.1", "3.2", "4.2"]);
    assert_eq!(log.state(GROUP).expect("known").last_index, 4);
    assert_eq!(log.term(GROUP, 5), None);
}

fn reads_stop_at_the_bound_and_give_at_least_one(log: &dyn RaftLog) {
    append(log, (1..=4).map(|index| entry(index, 1, "ten bytes!")).collect()).expect("appends");
    for (max_bytes, count) in [(0, 1), (19, 1), (20, 2), (35, 3), (1_000, 4)] {
        let found = log.entries(GROUP, 1..5, max_bytes).expect("reads");
        assert_eq!(found.len(), count, "{max_bytes} bytes");
    }
}

fn a_cut_forgets_what_is_behind_it(log: &dyn RaftLog) {
    append(log, entries(1..=5, 1)).expect("appends");
    cut(log, 3, 1).expect("cuts");
    let state = log.state(GROUP).expect("known");
    assert_eq!((state.cut, state.last_index, state.hard_state.commit), (Cut { index: 3, term: 1 }, 5, 3));
    assert!(matches!(log.entries(GROUP, 3..5, 0), Err(Error::Forgotten { index: 3, first: 4, .. })));
    assert_eq!(read(log, 4, 6), ["4.1", "5.1"]);
    assert_eq!(log.term(GROUP, 3), Some(1));
    assert_eq!(log.term(GROUP, 2), None);
    cut(log, 2, 9).expect("a cut behind the cut changes nothing");
    assert_eq!(log.state(GROUP), Some(state));
    cut(log, 5, 1).expect("the whole log may go");
    assert_eq!(log.entries(GROUP, 6..6, 0).expect("reads"), []);
    append(log, entries(6..=6, 1)).expect("goes on behind the cut");
    assert_eq!(read(log, 6, 7), ["6.1"]);
}

fn a_cut_from_a_snapshot_drops_the_log(log: &dyn RaftLog) {
    append(log, entries(1..=5, 1)).expect("appends");
    cut(log, 4, 2).expect("an entry of another term is not the one of the snapshot");
    let state = log.state(GROUP).expect("known");
    assert_eq!((state.cut, state.last_index), (Cut { index: 4, term: 2 }, 4));
    assert_eq!(log.term(GROUP, 5), None);
    cut(log, 100, 3).expect("a snapshot from far ahead");
    append(log, entries(101..=102, 3)).expect("goes on behind it");
    assert_eq!(read(log, 101, 103), ["101.3", "102.3"]);
}

fn parts_of_one_batch_take_effect_in_order(log: &dyn RaftLog) {
    let first = part(GROUP, entries(1..=4, 1));
    let other =
        GroupBatch { conf: Some(Bytes::from_static(b"voters")), ..part(GroupId(9), entries(1..=1, 7)) };
    let second = GroupBatch {
        cut: Some(Cut { index: 2, term: 1 }),
        hard_state: Some(HardState { term: 2, vote: 1, commit: 3 }),
        ..part(GROUP, entries(3..=3, 2))
    };
    log.append(&LogBatch { parts: vec![first, other, second, GroupBatch::new(GROUP)] }).expect("appends");
    let state = log.state(GROUP).expect("known");
    assert_eq!(state.hard_state, HardState { term: 2, vote: 1, commit: 3 });
    assert_eq!((state.cut, state.last_index, state.conf), (Cut { index: 2, term: 1 }, 3, None));
    assert_eq!(read(log, 3, 4), ["3.2"]);
    assert_eq!(log.groups(), [GROUP, GroupId(9)]);
    assert_eq!(log.state(GroupId(9)).expect("known").conf, Some(Bytes::from_static(b"voters")));
}

fn what_breaks_a_rule_is_refused_whole(log: &dyn RaftLog) {
    append(log, entries(1..=4, 2)).expect("appends");
    set_hard_state(log, 2, 1, 2).expect("votes");
    let before = log.state(GROUP);
    let refused = [
        ("a gap", append(log, entries(6..=6, 2))),
        ("a hole inside", append(log, vec![entry(5, 2, "a"), entry(7, 2, "b")])),
        ("a term that falls", append(log, entries(5..=5, 1))),
        ("a committed entry overwritten", append(log, entries(2..=2, 2))),
        ("a commit that goes back", set_hard_state(log, 2, 1, 1)),
        ("a term that goes back", set_hard_state(log, 1, 1, 2)),
        ("a second vote in a term", set_hard_state(log, 2, 2, 2)),
        ("a commit beyond the log", set_hard_state(log, 2, 1, 5)),
        ("a cut that contradicts a committed entry", cut(log, 2, 3)),
        ("the greatest index", cut(log, u64::MAX, 9)),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::Invalid { .. })), "{what}: {result:?}");
    }
    let lifted = GroupBatch {
        cut: Some(Cut { index: 4, term: 2 }),
        hard_state: Some(HardState { term: 2, vote: 1, commit: 3 }),
        ..GroupBatch::new(GROUP)
    };
    assert!(log.append(&LogBatch::of(lifted)).is_err(), "a commit behind the cut of its own batch");
    let good = part(GroupId(1), entries(1..=1, 1));
    let bad = part(GROUP, entries(9..=9, 2));
    assert!(log.append(&LogBatch { parts: vec![good, bad] }).is_err());
    assert_eq!(log.groups(), [GROUP], "nothing of a refused batch happens");
    assert_eq!(log.state(GROUP), before);
    set_hard_state(log, 3, 2, 4).expect("a new term has a new vote");
}

fn bounds_are_kept(log: &dyn RaftLog) {
    let payload = Bytes::from(vec![0; limits::LOG_ENTRY_BYTES + 1]);
    let result = append(log, vec![LogEntry { index: 1, term: 1, payload }]);
    assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    let payload = Bytes::from(vec![0; limits::LOG_ENTRY_BYTES]);
    let count = (limits::LOG_BATCH_BYTES / limits::LOG_ENTRY_BYTES) as u64;
    let many = (1..=count).map(|index| LogEntry { index, term: 1, payload: payload.clone() }).collect();
    assert!(matches!(append(log, many), Err(Error::TooLarge { .. })));
    assert_eq!(log.groups(), []);
}

#[test]
fn the_log_in_memory_conforms() {
    conforms(&|| Box::new(MemLog::new()));
}

#[test]
fn the_log_in_files_conforms() {
    conforms(&|| Box::new(open(&MemDisk::new())));
}

#[test]
fn the_log_in_real_files_conforms_and_reopens() {
    let directory = tempfile::tempdir().expect("a directory");
    let next = std::cell::Cell::new(0);
    let path = |number: u32| directory.path().join(number.to_string());
    conforms(&|| {
        next.set(next.get() + 1);
        let (log, _) = FileLog::open(&path(next.get()), small_options()).expect("opens");
        Box::new(log)
    });
    let path = path(0);
    let (log, _) = FileLog::open(&path, small_options()).expect("opens");
    append(&log, entries(1..=500, 1)).expect("a frame larger than a file gets a larger file");
    append(&log, entries(501..=600, 1)).expect("appends");
    drop(log);
    let (log, report) = FileLog::open(&path, small_options()).expect("opens again");
    assert_eq!((report.entries, report.torn), (600, None));
    assert_eq!(read(&log, 599, 601), ["599.1", "600.1"]);
}
