//! Bytes changed after they were written: the log refuses to open, or nothing it holds has changed.

use std::{collections::BTreeSet, path::Path, path::PathBuf, sync::Arc};

use lineate_storage::{
    Error, Seed,
    disk::{Disk, MemDisk},
    log::{FileLog, LogBatch, RaftLog, RecoveryReport},
};

use crate::{
    log_conformance::{GROUP, entries, entry, open, part, small_options},
    log_model::Model,
};

const DIRECTORY: &str = "log";

/// A log of several files, every append acknowledged.
fn several_files() -> (MemDisk, Model) {
    let disk = MemDisk::new();
    let log = open(&disk);
    for index in 1..=60 {
        let payload = "payload without zeros ".repeat(usize::try_from(index % 30).expect("small"));
        log.append(&LogBatch::of(part(GROUP, vec![entry(index, 1, &payload)]))).expect("appends");
    }
    let model = Model::of(&log);
    (disk, model)
}

fn files(disk: &MemDisk) -> Vec<PathBuf> {
    let names = disk.list(Path::new(DIRECTORY)).expect("lists");
    names.into_iter().map(|name| Path::new(DIRECTORY).join(name)).collect()
}

fn reopen(disk: &MemDisk) -> Result<(Model, RecoveryReport), Error> {
    let opened = FileLog::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY), small_options());
    opened.map(|(log, report)| (Model::of(&log), report))
}

fn assert_corrupt(disk: &MemDisk, what: &str) {
    let result = reopen(disk);
    assert!(matches!(result, Err(Error::Corrupt { .. })), "{what}: {result:?}");
}

/// A copy of a disk with one file changed.
fn damaged(disk: &MemDisk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> MemDisk {
    let copy = MemDisk::new();
    copy.create_directory(Path::new(DIRECTORY)).expect("makes");
    for file in files(disk) {
        copy.create(&file).expect("creates");
        copy.replace(&file, disk.bytes(&file).expect("is there"));
    }
    copy.sync_directory(Path::new(DIRECTORY)).expect("syncs");
    let mut bytes = disk.bytes(path).expect("is there");
    change(&mut bytes);
    copy.replace(path, bytes);
    copy
}

/// Where the frames of a file begin and end, by the marks behind them.
fn end_of_content(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    let (disk, model) = several_files();
    let mut seed = Seed::new(1);
    let (mut refused, mut harmless) = (0, 0);
    for file in files(&disk) {
        let length = disk.bytes(&file).expect("is there").len() as u64;
        for offset in (0..length).step_by(13) {
            let copy = damaged(&disk, &file, |bytes| bytes[offset as usize] ^= 1 << seed.below(8));
            match reopen(&copy) {
                Err(Error::Corrupt { .. } | Error::Version { .. }) => refused += 1,
                Ok((found, _)) => {
                    assert_eq!(found, model, "{file:?} byte {offset}");
                    harmless += 1;
                }
                Err(other) => panic!("{file:?} byte {offset}: {other}"),
            }
        }
    }
    assert!(refused > harmless, "{refused} refused, {harmless} in unused space");
}

#[test]
fn every_byte_of_an_acknowledged_frame_counts_even_of_the_last_one() {
    let (disk, _) = several_files();
    let last = files(&disk).pop().expect("has files");
    let bytes = disk.bytes(&last).expect("is there");
    // The mark of the last frame is 16 bytes at the start of a sector; the frame ends before it.
    let mark = end_of_content(&bytes) - 1;
    let mark = mark - mark % 512;
    let is_mark = bytes[mark..].starts_with(b"LNMK") && end_of_content(&bytes) - mark <= 16;
    assert!(is_mark, "an acknowledged append leaves its mark, and nothing else stands behind it");
    let frame_end = end_of_content(&bytes[..mark]);
    for offset in frame_end - 700..frame_end {
        let copy = damaged(&disk, &last, |bytes| bytes[offset] ^= 0x10);
        assert_corrupt(&copy, &format!("byte {offset}"));
        // Without its mark, as after power loss, a frame that is there from end to end is no torn one.
        let copy = damaged(&disk, &last, |bytes| {
            bytes[mark..mark + 16].fill(0);
            bytes[offset] ^= 0x10;
        });
        assert_corrupt(&copy, &format!("byte {offset}, no mark"));
    }
}

#[test]
fn a_file_cut_short_is_refused_wherever_it_is_cut() {
    let (disk, _) = several_files();
    for file in files(&disk) {
        let length = disk.bytes(&file).expect("is there").len();
        for kept in [0, 1, 99, 511, 512, 600, 4096, length - 1] {
            let copy = damaged(&disk, &file, |bytes| bytes.truncate(kept));
            assert_corrupt(&copy, &format!("{file:?} cut to {kept}"));
        }
    }
}

#[test]
fn a_missing_file_is_refused_whichever_it_is() {
    let (disk, _) = several_files();
    assert!(files(&disk).len() > 3);
    for file in files(&disk) {
        let copy = damaged(&disk, &file, |_| {});
        copy.lose(&file);
        assert_corrupt(&copy, &format!("{file:?} lost"));
    }
}

#[test]
fn two_files_in_each_others_place_are_refused() {
    let (disk, _) = several_files();
    let all = files(&disk);
    let other = disk.bytes(&all[1]).expect("is there");
    let copy = damaged(&disk, &all[0], |bytes| *bytes = other);
    assert_corrupt(&copy, "swapped");
}

#[test]
fn a_file_of_the_same_shape_from_another_life_of_the_store_is_refused() {
    let lives = ["first", "other"].map(|text| {
        let disk = MemDisk::new();
        let log = open(&disk);
        for index in 1..=30 {
            let batch = LogBatch::of(part(GROUP, vec![entry(index, 1, &text.repeat(150))]));
            log.append(&batch).expect("appends");
        }
        disk
    });
    let [first, other] = lives;
    for file in files(&first) {
        let foreign = other.bytes(&file).expect("is there");
        let copy = damaged(&first, &file, |bytes| *bytes = foreign);
        assert_corrupt(&copy, &format!("{file:?}"));
    }
}

#[test]
fn a_sector_written_to_the_wrong_place_is_refused() {
    let (disk, _) = several_files();
    let file = files(&disk).swap_remove(1);
    let sectors = disk.bytes(&file).expect("is there").len() / 512;
    let mut seen = BTreeSet::new();
    for (from, to) in (1..sectors).zip(2..sectors) {
        let copy = damaged(&disk, &file, |bytes| bytes.copy_within(from * 512..from * 512 + 512, to * 512));
        let same = copy.bytes(&file) == disk.bytes(&file);
        seen.insert(same || reopen(&copy).is_err());
    }
    // Behind the last frame of a full file nothing is read.
    assert!(seen.contains(&true));
    let copy = damaged(&disk, &file, |bytes| bytes.copy_within(512..1024, 1024));
    assert_corrupt(&copy, "the head over the first batch");
}

#[test]
fn an_acknowledged_tail_that_was_zeroed_is_refused_as_long_as_its_mark_is_there() {
    let (disk, _) = several_files();
    let last = files(&disk).pop().expect("has files");
    let bytes = disk.bytes(&last).expect("is there");
    let end = end_of_content(&bytes);
    let mark = (end - 1) - (end - 1) % 512;
    let copy = damaged(&disk, &last, |bytes| bytes[mark - 512..mark].fill(0));
    assert_corrupt(&copy, "the last sector of the last frame");
}

#[test]
fn an_unfinished_append_is_cleared_and_reported() {
    unfinished(1_500);
}

#[test]
fn an_unfinished_append_whose_trailer_lies_in_two_sectors_is_cleared_and_reported() {
    unfinished(1_440);
}

fn unfinished(payload_bytes: usize) {
    let (disk, model) = several_files();
    let log = open(&disk);
    let next = vec![entry(61, 1, &"x".repeat(payload_bytes))];
    let last = files(&disk).pop().expect("has files");
    let before = disk.bytes(&last).expect("is there");
    log.append(&LogBatch::of(part(GROUP, next))).expect("appends");
    drop(log);
    assert_eq!(files(&disk).last(), Some(&last), "the append fits into the file");
    let after = disk.bytes(&last).expect("is there");
    let start = before.iter().zip(&after).position(|(old, new)| old != new).expect("differ");
    let unit = start - start % 512;
    // The append needs four sectors; any of them may be missing, and then there is no mark behind it.
    for missing in 1_u32..16 {
        let copy = damaged(&disk, &last, |bytes| {
            bytes[unit + 2048..].fill(0);
            for sector in (0..4).filter(|sector| missing & (1 << sector) != 0) {
                let range = unit + sector * 512..unit + sector * 512 + 512;
                bytes[range.clone()].copy_from_slice(&before[range]);
            }
        });
        let (found, report) = reopen(&copy).expect("opens");
        assert_eq!(found, model, "missing {missing:04b}");
        assert_eq!(report.torn.is_some(), missing != 0b1111, "missing {missing:04b}");
        let (found, report) = reopen(&copy).expect("opens again");
        assert_eq!((found, report.torn), (model.clone(), None));
    }
    // A write that ended at any byte.
    for kept in (start..unit + payload_bytes + 100).step_by(7) {
        let copy = damaged(&disk, &last, |bytes| bytes[kept..].fill(0));
        let (found, _) = reopen(&copy).expect("opens");
        assert_eq!(found, model, "kept to byte {kept}");
    }
}

#[test]
fn another_stores_log_and_a_newer_version_are_refused() {
    let (disk, _) = several_files();
    let options = lineate_storage::log::LogOptions { store_id: [8; 16], ..small_options() };
    let result = FileLog::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY), options);
    assert!(matches!(result, Err(Error::Corrupt { .. })));
    let file = files(&disk).remove(0);
    let copy = damaged(&disk, &file, |bytes| bytes[8] = 2);
    let result = reopen(&copy);
    assert!(matches!(result, Err(Error::Version { found: 2, known: 1, .. })), "{result:?}");
}

#[test]
fn an_entry_damaged_while_the_log_is_open_is_not_handed_out() {
    let disk = MemDisk::new();
    let log = open(&disk);
    for index in 1..=20 {
        let batch = LogBatch::of(part(GROUP, vec![entry(index, 1, &"y".repeat(300))]));
        log.append(&batch).expect("appends");
    }
    let file = files(&disk).remove(0);
    let mut bytes = disk.bytes(&file).expect("is there");
    let position = bytes.windows(9).position(|window| window == b"yyyyyyyyy").expect("holds the entry");
    bytes[position] ^= 1;
    disk.replace(&file, bytes);
    let result = log.entries(GROUP, 1..2, 0);
    assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
    assert!(log.entries(GROUP, 20..21, 0).is_ok());
    log.append(&LogBatch::of(part(GROUP, entries(21..=21, 1)))).expect("the log goes on");
}
