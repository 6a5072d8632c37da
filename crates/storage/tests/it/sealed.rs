//! Sealed texts: kept, read, erased; through power losses, full disks and damage.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use lineate_storage::{
    Error, Seed,
    disk::{Disk, DiskFault, MemDisk},
    sealed::{Erasure, Found, NewText, SealedFiles, SealedReport},
};
use lineate_types::{ErrorKind, HasKind, Hash, limits};
use proptest::prelude::*;

const DIRECTORY: &str = "sealed";

fn open(disk: &MemDisk) -> SealedFiles {
    SealedFiles::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY)).expect("opens")
}

fn key(number: usize) -> Hash {
    Hash::of(&number.to_le_bytes())
}

fn keys(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<Hash> {
    numbers.into_iter().map(key).collect()
}

fn text(number: usize, bytes: usize) -> Vec<u8> {
    vec![number as u8; bytes]
}

fn put(files: &SealedFiles, number: usize, bytes: usize) -> Result<(), Error> {
    files.put(&[NewText { key: key(number), listed: number.is_multiple_of(3), bytes: &text(number, bytes) }])
}

fn path_of(number: u32) -> String {
    format!("{DIRECTORY}/texts-{number:06}")
}

#[test]
fn a_text_is_read_as_it_was_put_by_this_and_by_later_openings() {
    let disk = MemDisk::new();
    let files = open(&disk);
    files.put(&[]).expect("nothing");
    let (one, other) = (text(1, 100), text(3, 0));
    let texts = [
        NewText { key: key(1), listed: false, bytes: &one },
        NewText { key: key(3), listed: true, bytes: &other },
    ];
    files.put(&texts).expect("puts");
    for files in [files, open(&disk)] {
        assert_eq!(files.get(&key(1)).expect("reads"), Found::Text(one.clone()));
        assert_eq!(files.get(&key(3)).expect("reads"), Found::Text(other.clone()));
        assert_eq!(files.get(&key(2)).expect("reads"), Found::Unknown);
        assert_eq!(files.report(), SealedReport { texts: 2, erased: 0, damaged: 0 });
    }
    assert_eq!(open(&disk).listed(), [(key(3), other)]);
}

#[test]
fn texts_of_many_files_are_found_and_openings_make_no_more_files() {
    let disk = MemDisk::new();
    let large = limits::SEALED_TEXT_BYTES;
    let count = 2 * limits::SEALED_FILE_BYTES / large + 1;
    let bytes = vec![7; large];
    let texts: Vec<NewText<'_>> =
        (0..count).map(|number| NewText { key: key(number), listed: false, bytes: &bytes }).collect();
    open(&disk).put(&texts).expect("puts");
    for number in count..count + 20 {
        put(&open(&disk), number, 10).expect("puts");
    }
    assert_eq!(disk.list(DIRECTORY.as_ref()).expect("lists").len(), 3);
    let files = open(&disk);
    for number in 0..count + 20 {
        assert!(matches!(files.get(&key(number)), Ok(Found::Text(_))), "{number}");
    }
    let huge = vec![0; limits::SEALED_BYTES + 1];
    let refused = files.put(&[NewText { key: key(0), listed: false, bytes: &huge }]);
    assert_eq!(refused.expect_err("too large").kind(), ErrorKind::Invalid);
}

#[test]
fn an_erased_text_is_gone_from_the_files_and_the_others_are_not() {
    let disk = MemDisk::new();
    let files = open(&disk);
    for number in 0..20 {
        put(&files, number, 200).expect("puts");
    }
    let erasure = files.erase(&keys([3, 4, 99])).expect("erases");
    assert_eq!(erasure, Erasure { erased: 2, unknown: vec![key(99)] });
    assert_eq!(files.erase(&keys([3])).expect("erases"), Erasure::default());
    put(&files, 20, 200).expect("puts after it");
    let bytes = disk.bytes(path_of(1).as_ref()).expect("there");
    for (number, stays) in [(2, true), (3, false), (4, false), (20, true)] {
        let is_there = bytes.windows(200).any(|window| window == text(number, 200));
        assert_eq!(is_there, stays, "{number}");
    }
    for files in [files, open(&disk)] {
        assert_eq!(files.report(), SealedReport { texts: 19, erased: 2, damaged: 0 });
        assert_eq!(files.get(&key(3)).expect("reads"), Found::Erased);
        assert_eq!(files.get(&key(5)).expect("reads"), Found::Text(text(5, 200)));
    }
    assert!(open(&disk).listed().iter().all(|(listed, _)| *listed != key(3)));
}

#[test]
fn a_damaged_byte_hurts_one_text_at_most_and_never_gives_another() {
    let disk = MemDisk::new();
    let files = open(&disk);
    for number in 0..4 {
        put(&files, number, 20).expect("puts");
    }
    drop(files);
    let path = path_of(1);
    let whole = disk.bytes(path.as_ref()).expect("there");
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x41;
        disk.replace(path.as_ref(), bytes);
        let files = open(&disk);
        let mut hurt = 0;
        for number in 0..4 {
            match files.get(&key(number)) {
                Ok(Found::Text(found)) => assert_eq!(found, text(number, 20), "{position}"),
                Ok(Found::Unknown) => hurt += 1,
                Ok(Found::Erased) => unreachable!("nothing was erased: {position}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{position}");
                    hurt += 1;
                }
            }
        }
        assert_eq!(hurt, usize::from(position >= 32), "byte {position}");
        // What is damaged stays as it is: the next text goes into another file, and is found.
        put(&files, 9, 20).expect("puts");
        assert_eq!(open(&disk).get(&key(9)).expect("reads"), Found::Text(text(9, 20)));
        if position >= 32 {
            disk.lose(path_of(2).as_ref());
        } else {
            disk.replace(path.as_ref(), whole.clone());
        }
    }
}

#[test]
fn a_damaged_text_can_be_erased() {
    let disk = MemDisk::new();
    let files = open(&disk);
    put(&files, 1, 50).expect("puts");
    put(&files, 2, 50).expect("puts");
    let mut bytes = disk.bytes(path_of(1).as_ref()).expect("there");
    bytes[32 + 60 + 5] ^= 1;
    disk.replace(path_of(1).as_ref(), bytes);
    let files = open(&disk);
    assert!(matches!(files.get(&key(1)), Err(Error::Corrupt { .. })));
    assert_eq!(files.erase(&keys([1])).expect("erases").erased, 1);
    let files = open(&disk);
    assert_eq!(files.get(&key(1)).expect("reads"), Found::Erased);
    assert_eq!(files.get(&key(2)).expect("reads"), Found::Text(text(2, 50)));
}

#[test]
fn a_text_whose_header_is_damaged_is_named_and_goes_with_the_next_erasure() {
    for (erased, expected) in
        [(1, Erasure { erased: 0, unknown: vec![key(1)] }), (2, Erasure { erased: 1, unknown: vec![] })]
    {
        let disk = MemDisk::new();
        let files = open(&disk);
        for number in 1..4 {
            put(&files, number, 50).expect("puts");
        }
        let mut bytes = disk.bytes(path_of(1).as_ref()).expect("there");
        bytes[32 + 5] ^= 1;
        disk.replace(path_of(1).as_ref(), bytes);
        let files = open(&disk);
        assert_eq!(files.get(&key(1)).expect("reads"), Found::Unknown);
        assert_eq!(files.erase(&keys([erased])).expect("erases"), expected);
        let bytes = disk.bytes(path_of(1).as_ref()).expect("there");
        assert!(!bytes.windows(50).any(|window| window == text(1, 50)), "its bytes are gone");
        for files in [files, open(&disk)] {
            assert_eq!(files.get(&key(3)).expect("reads"), Found::Text(text(3, 50)));
            let rest = if erased == 2 { Found::Erased } else { Found::Text(text(2, 50)) };
            assert_eq!(files.get(&key(2)).expect("reads"), rest);
        }
    }
}

#[test]
fn a_forgotten_text_leaves_nothing() {
    let disk = MemDisk::new();
    let files = open(&disk);
    put(&files, 1, 50).expect("puts");
    let before = disk.bytes(path_of(1).as_ref()).expect("there");
    put(&files, 2, 50).expect("puts");
    assert_eq!(files.keys(), keys([1, 2]));
    assert_eq!(files.forget(&keys([2, 9])).expect("forgets"), 1);
    assert_eq!(files.get(&key(2)).expect("reads"), Found::Unknown);
    assert_eq!(disk.bytes(path_of(1).as_ref()).expect("there"), before);
    put(&files, 3, 50).expect("puts");
    for files in [files, open(&disk)] {
        assert_eq!(files.keys(), keys([1, 3]));
        assert_eq!(files.get(&key(3)).expect("reads"), Found::Text(text(3, 50)));
    }
}

#[test]
fn what_is_damaged_stays_damaged_when_its_file_is_written_anew_and_nothing_comes_behind_it() {
    let disk = MemDisk::new();
    let files = open(&disk);
    for number in 1..4 {
        put(&files, number, 50).expect("puts");
    }
    let whole = disk.bytes(path_of(1).as_ref()).expect("there");
    let frame = 60 + 50 + 16;
    let mut hurt = whole.clone();
    hurt[32 + frame + 60] ^= 1;
    // In the middle of the file, and cut off there or at the end of it.
    let cut_off = [&whole[..32 + frame + 70], &whole[32 + 2 * frame..]].concat();
    for (bytes, damaged) in [(hurt, 2), (cut_off, 2), (whole[..whole.len() - 20].to_vec(), 3)] {
        disk.replace(path_of(1).as_ref(), bytes);
        let files = open(&disk);
        assert_eq!(files.erase(&keys([1])).expect("erases").erased, 1);
        put(&files, 9, 50).expect("puts");
        for files in [files, open(&disk)] {
            assert_eq!(files.report(), SealedReport { texts: 2, erased: 1, damaged: 1 });
            assert!(matches!(files.get(&key(damaged)), Err(Error::Corrupt { .. })));
            assert_eq!(files.get(&key(5 - damaged)).expect("reads"), Found::Text(text(5 - damaged, 50)));
            assert_eq!(files.get(&key(9)).expect("reads"), Found::Text(text(9, 50)));
        }
        disk.lose(path_of(2).as_ref());
    }
}

#[test]
fn a_full_disk_refuses_texts_and_takes_them_again() {
    let disk = MemDisk::new();
    let files = open(&disk);
    disk.set_capacity(Some(4_000));
    let refused = (0..100).find(|number| put(&files, *number, 500).is_err()).expect("fills");
    assert!(matches!(put(&files, refused, 500), Err(Error::Full { .. })));
    disk.set_capacity(None);
    put(&files, refused, 500).expect("there is space again");
    for number in 0..=refused {
        assert_eq!(open(&disk).get(&key(number)).expect("reads"), Found::Text(text(number, 500)));
    }
}

#[test]
fn a_failed_sync_refuses_all_further_texts_until_reopened() {
    let disk = MemDisk::new();
    let files = open(&disk);
    put(&files, 1, 10).expect("puts");
    // The write, then the sync.
    disk.inject([DiskFault::None, DiskFault::Fails]);
    assert!(put(&files, 2, 10).is_err());
    assert!(matches!(put(&files, 3, 10), Err(Error::Poisoned { .. })));
    assert_eq!(files.get(&key(1)).expect("reads"), Found::Text(text(1, 10)));
    put(&open(&disk), 3, 10).expect("puts");
}

#[test]
fn a_failed_sync_of_the_directory_of_a_new_file_refuses_all_further_texts_until_reopened() {
    let disk = MemDisk::new();
    let files = open(&disk);
    // The file is written, synced and renamed; then the directory is synced.
    disk.inject([const { DiskFault::None }; 3].into_iter().chain([DiskFault::Fails]));
    assert!(put(&files, 1, 10).is_err());
    assert!(matches!(put(&files, 1, 10), Err(Error::Poisoned { .. })));
    put(&open(&disk), 1, 10).expect("puts");
}

#[test]
fn texts_put_at_once_share_syncs_and_are_all_there() {
    let disk = MemDisk::new();
    let files = open(&disk);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let files = &files;
            scope.spawn(move || {
                for number in 0..50 {
                    put(files, thread * 50 + number, 30).expect("puts");
                }
            });
        }
    });
    disk.crash(&mut Seed::new(1));
    let files = open(&disk);
    assert_eq!(files.report().texts, 400);
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u16>),
    Erase(Vec<usize>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0_u16..1_500, 1..4).prop_map(Step::Put),
        1 => prop::collection::vec(0_usize..12, 1..3).prop_map(Step::Erase),
        1 => Just(Step::Reopen),
    ]
}

/// What is known of a text after everything that was tried with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    There,
    Erased,
    /// A call about it failed.
    Doubtful,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_was_put_survives_a_power_loss_and_what_was_erased_does_not_come_back(
        steps in prop::collection::vec(step(), 1..14),
        operation in 0_u64..80,
        fault in prop_oneof![Just(DiskFault::Full), Just(DiskFault::Fails)],
        seed in any::<u64>(),
    ) {
        let disk = MemDisk::new();
        let mut files = open(&disk);
        let mut known: BTreeMap<usize, (Known, Vec<u8>)> = BTreeMap::new();
        disk.inject((0..operation).map(|_| DiskFault::None).chain([fault]));
        for step in steps {
            match step {
                Step::Put(sizes) => {
                    let first = known.len();
                    let bytes: Vec<Vec<u8>> =
                        (first..).zip(sizes).map(|(number, size)| text(number, size.into())).collect();
                    let texts: Vec<NewText<'_>> = (first..)
                        .zip(&bytes)
                        .map(|(number, bytes)| NewText { key: key(number), listed: false, bytes })
                        .collect();
                    let outcome = if files.put(&texts).is_ok() { Known::There } else { Known::Doubtful };
                    known.extend((first..).zip(bytes).map(|(number, bytes)| (number, (outcome, bytes))));
                }
                Step::Erase(numbers) => {
                    let erased = files.erase(&keys(numbers.iter().copied())).is_ok();
                    for number in numbers {
                        if let Some((state, _)) = known.get_mut(&number) {
                            *state = match (*state, erased) {
                                (Known::Erased, _) => Known::Erased,
                                (Known::There, true) => Known::Erased,
                                _ => Known::Doubtful,
                            };
                        }
                    }
                }
                Step::Reopen => {
                    if let Ok(reopened) = SealedFiles::open_on(Arc::new(disk.clone()), DIRECTORY.as_ref()) {
                        files = reopened;
                    }
                }
            }
        }
        disk.crash(&mut Seed::new(seed));
        let files = open(&disk);
        for (number, (state, bytes)) in known {
            let found = files.get(&key(number));
            match state {
                Known::There => prop_assert_eq!(found.expect("reads"), Found::Text(bytes), "{}", number),
                Known::Erased => prop_assert_eq!(found.expect("reads"), Found::Erased, "{}", number),
                Known::Doubtful => {
                    if let Ok(Found::Text(found)) = found {
                        prop_assert_eq!(found, bytes);
                    }
                }
            }
        }
        prop_assert!(disk.list(DIRECTORY.as_ref()).expect("lists").iter().all(|name| !name.ends_with(".tmp")));
    }
}
