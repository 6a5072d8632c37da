//! A full disk refuses an append, and nothing else.

use std::{path::Path, sync::Arc};

use lineate_storage::{
    Error, Seed,
    disk::{DiskFault, MemDisk},
    log::{Cut, FileLog, GroupBatch, LogBatch, RaftLog},
};
use lineate_types::{ErrorKind, HasKind};

use crate::{
    log_conformance::{GROUP, entry, open, part, small_options},
    log_model::Model,
};

fn batch(index: u64) -> LogBatch {
    LogBatch::of(part(GROUP, vec![entry(index, 1, &"z".repeat(700))]))
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_when_there_is_space() {
    let disk = MemDisk::new();
    disk.set_capacity(Some(3 * 8 * 1024));
    let log = open(&disk);
    let refused_at = (1..200).find(|index| match log.append(&batch(*index)) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
            true
        }
    });
    let refused_at = refused_at.expect("the disk fills up");
    assert!(refused_at > 15, "two and a half files were used: {refused_at}");
    let model = Model::of(&log);
    assert!(matches!(log.append(&batch(refused_at)), Err(Error::Full { .. })), "as long as it is full");
    assert_eq!(Model::of(&log), model);

    disk.set_capacity(Some(4 * 8 * 1024));
    log.append(&batch(refused_at)).expect("there is space again");
    drop(log);
    disk.crash(&mut Seed::new(1));
    assert_eq!(open(&disk).state(GROUP).expect("known").last_index, refused_at);
}

#[test]
fn a_cut_frees_the_space_that_later_appends_need() {
    let disk = MemDisk::new();
    disk.set_capacity(Some(4 * 8 * 1024));
    let log = open(&disk);
    for index in 1..=1_000 {
        let cut = (index > 10).then(|| Cut { index: index - 10, term: 1 });
        log.append(&batch(index)).expect("the disk never fills");
        log.append(&LogBatch::of(GroupBatch { cut, ..GroupBatch::new(GROUP) })).expect("cuts");
    }
}

#[test]
fn a_write_refused_half_way_leaves_nothing_behind() {
    for shorter in [true, false] {
        for seed in 0..50 {
            let disk = MemDisk::new();
            let log = open(&disk);
            log.append(&batch(1)).expect("appends");
            let model = Model::of(&log);
            let long = LogBatch::of(part(GROUP, vec![entry(2, 1, &"long ".repeat(1_000))]));
            // The write fails half way, and so does clearing what it left.
            disk.inject([DiskFault::Full, DiskFault::FullAtOnce]);
            assert!(matches!(log.append(&long), Err(Error::Full { .. })));
            assert_eq!(Model::of(&log), model);
            if shorter {
                log.append(&batch(2)).expect("appends over the remains");
            }
            let expected = Model::of(&log);
            disk.crash(&mut Seed::new(seed));
            assert_eq!(Model::of(&open(&disk)), expected, "seed {seed}");
        }
    }
}

#[test]
fn a_sync_that_reports_a_full_disk_ends_the_log() {
    let disk = MemDisk::new();
    let log = open(&disk);
    log.append(&batch(1)).expect("there is space");
    disk.inject([DiskFault::None, DiskFault::Full]);
    assert!(matches!(log.append(&batch(2)), Err(Error::Poisoned { .. })));
    assert!(matches!(log.append(&batch(2)), Err(Error::Poisoned { .. })));
    assert!(matches!(log.entries(GROUP, 1..1, 0), Err(Error::Poisoned { .. })));
    // Raft still asks for terms until it learns of the end, and would panic at an error.
    assert!(log.term(GROUP, 1).is_some());
    assert_eq!(log.term(GROUP, 2), None);
}

#[test]
fn a_disk_full_from_the_start_says_so() {
    let disk = MemDisk::new();
    disk.set_capacity(Some(1_000));
    let refused = FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), small_options());
    assert!(matches!(refused, Err(Error::Full { .. })));
    disk.set_capacity(None);
    open(&disk);
}

#[test]
fn a_log_without_a_descriptor_for_its_next_file_goes_on_when_there_is_one() {
    for seed in 0..20 {
        let disk = MemDisk::new();
        let log = open(&disk);
        disk.set_out_of_descriptors(true);
        let refused_at = (1..100).find(|index| match log.append(&batch(*index)) {
            Ok(()) => false,
            Err(error) => {
                assert!(matches!(error, Error::Descriptors { .. }), "{error}");
                true
            }
        });
        let refused_at = refused_at.expect("the first file is full");
        assert!(refused_at > 5, "the first file takes appends: {refused_at}");
        assert!(log.append(&batch(refused_at)).expect_err("as long as none is left").passes());
        // What fits into the first file is taken, and stays.
        let short = LogBatch::of(part(GROUP, vec![entry(refused_at, 1, "z")]));
        let took_short = log.append(&short).is_ok();
        let model = Model::of(&log);
        disk.crash(&mut Seed::new(seed));
        disk.set_out_of_descriptors(false);
        let log = open(&disk);
        assert_eq!(Model::of(&log), model, "seed {seed}");
        for index in refused_at + u64::from(took_short)..50 {
            log.append(&batch(index)).expect("appends");
        }
    }
}
