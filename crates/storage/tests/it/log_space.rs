//! Files are removed when nothing in them is needed, and a few old entries do not keep them.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use lineate_storage::{
    disk::{Disk, MemDisk},
    log::{Cut, GroupBatch, HardState, LogBatch, RaftLog},
};
use lineate_types::GroupId;

use crate::{
    log_conformance::{GROUP, entries, entry, open, part},
    log_model::Model,
};

/// Ends the readers, also where the writer fails.
struct EndReaders<'a>(&'a AtomicBool);

impl Drop for EndReaders<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const IDLE: GroupId = GroupId(0);

fn file_count(disk: &MemDisk) -> usize {
    disk.list(Path::new("log")).expect("lists").len()
}

#[test]
fn an_idle_group_that_keeps_its_entries_does_not_keep_the_files_of_a_busy_one() {
    let disk = MemDisk::new();
    let log = open(&disk);
    let hard_state = Some(HardState { term: 4, vote: 2, commit: 3 });
    let idle = GroupBatch { hard_state, conf: Some("voters".into()), ..part(IDLE, entries(1..=3, 4)) };
    log.append(&LogBatch::of(idle)).expect("appends");
    let mut most = 0;
    for index in 1..=2_000 {
        let cut = (index > 4).then(|| Cut { index: index - 4, term: 1 });
        let busy = GroupBatch { cut, ..part(GROUP, vec![entry(index, 1, &"b".repeat(400))]) };
        log.append(&LogBatch::of(busy)).expect("appends");
        most = most.max(file_count(&disk));
    }
    assert!(most <= 4, "{most} files");
    let model = Model::of(&log);
    assert_eq!(log.entries(IDLE, 1..4, usize::MAX).expect("still there"), entries(1..=3, 4));
    drop(log);
    let log = open(&disk);
    assert_eq!(Model::of(&log), model);
    assert_eq!(log.state(IDLE).expect("known").hard_state, HardState { term: 4, vote: 2, commit: 3 });
    log.append(&LogBatch::of(part(IDLE, entries(4..=4, 4)))).expect("the idle group wakes");
}

#[test]
fn readers_see_whole_entries_while_files_come_and_go() {
    let disk = MemDisk::new();
    let log = open(&disk);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut read = 0_u64;
                    while !done.load(Ordering::Relaxed) {
                        let Some(state) = log.state(GROUP) else { continue };
                        let range = state.cut.index + 1..state.last_index + 1;
                        // The cut may have moved on since; what is returned must be right.
                        for entry in log.entries(GROUP, range, usize::MAX).unwrap_or_default() {
                            let expected = format!("{:0>300}", entry.index);
                            assert_eq!(entry.payload, expected.as_bytes());
                            read += 1;
                        }
                    }
                    read
                })
            })
            .collect();
        let writing = EndReaders(&done);
        for index in 1..=1_500 {
            let cut = (index > 40).then(|| Cut { index: index - 40, term: 1 });
            let payload = format!("{index:0>300}");
            let busy = GroupBatch { cut, ..part(GROUP, vec![entry(index, 1, &payload)]) };
            log.append(&LogBatch::of(busy)).expect("appends");
        }
        drop(writing);
        let read: u64 = readers.into_iter().map(|reader| reader.join().expect("no reader fails")).sum();
        assert!(read > 0);
    });
}
