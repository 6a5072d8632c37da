//! The directory of a store: who may open it, and as what.

use std::{fs, io::Write, path::Path};

use expect_test::expect;
use lineate_storage::{DataDir, Error, OpenMode};
use uuid::Uuid;

const STORE_ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
const CREATE: OpenMode = OpenMode::Create { shards: 4, store_id: STORE_ID };

fn error(path: &Path, mode: OpenMode) -> Error {
    DataDir::open(path, mode).expect_err("is refused")
}

#[test]
fn a_store_is_made_once_and_keeps_its_shards_and_its_id() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("new/store");
    assert!(matches!(error(&path, OpenMode::Existing), Error::NoStore { .. }));
    assert!(!path.exists(), "looking for a store makes nothing");
    let made = DataDir::open(&path, CREATE).expect("makes");
    assert_eq!((made.created(), made.shards(), made.store_id()), (true, 4, STORE_ID));
    for part in [made.log_dir(), made.kv_dir(), made.blobs_dir(), made.tmp_dir()] {
        assert!(part.is_dir() && part.starts_with(made.path()), "{}", part.display());
    }
    drop(made);
    let other = OpenMode::Create { shards: 9, store_id: Uuid::nil() };
    for mode in [other, OpenMode::Existing] {
        let opened = DataDir::open(&path, mode).expect("opens");
        assert_eq!((opened.created(), opened.shards(), opened.store_id()), (false, 4, STORE_ID));
    }
    expect![[r"
        lineate store
        format 2
        shards 4
        id 01234567-89ab-cdef-0123-456789abcdef
    "]]
    .assert_eq(&fs::read_to_string(path.join("FORMAT")).expect("reads"));
}

#[test]
fn a_second_opening_is_told_who_holds_the_store_and_what_to_do() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    let held = DataDir::open(&path, CREATE).expect("makes");
    let described = |error: Error| {
        let text = error.to_string();
        assert!(matches!(error, Error::Locked { .. }), "{text}");
        text.replace(&path.display().to_string(), "DIR").replace(&std::process::id().to_string(), "PID")
    };
    expect!["DIR is in use by process PID; wait until it ends; a server can be reached with `--addr`"]
        .assert_eq(&described(error(&path, OpenMode::Existing)));
    held.set_address("127.0.0.1:7401").expect("writes");
    expect!["DIR is in use by process PID at 127.0.0.1:7401; use `--addr 127.0.0.1:7401` instead of `--data-dir`, or stop it"]
        .assert_eq(&described(error(&path, CREATE)));
    assert!(matches!(held.set_address("two\nlines"), Err(Error::Invalid { .. })));
    drop(held);
    DataDir::open(&path, OpenMode::Existing).expect("the lock goes with its holder");
}

#[test]
fn a_lock_left_by_a_dead_process_holds_nobody_up() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    drop(DataDir::open(&path, CREATE).expect("makes"));
    fs::write(path.join("LOCK"), "pid 1\naddress 10.0.0.1:1\n").expect("writes");
    drop(DataDir::open(&path, OpenMode::Existing).expect("opens"));
    let text = fs::read_to_string(path.join("LOCK")).expect("reads");
    assert_eq!(text, format!("pid {}\n", std::process::id()));
}

#[test]
fn the_lock_is_an_flock_on_the_file_whoever_opens_it() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    let held = DataDir::open(&path, CREATE).expect("makes");
    // The kernel gives the lock to an opening of the file, not to a process: this one is as foreign as another.
    let stranger = fs::File::open(path.join("LOCK")).expect("opens");
    assert!(matches!(stranger.try_lock(), Err(fs::TryLockError::WouldBlock)));
    drop(held);
    stranger.try_lock().expect("the lock is free");
    assert!(matches!(error(&path, OpenMode::Existing), Error::Locked { .. }));
}

#[test]
fn tmp_is_emptied_by_each_opening() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    let made = DataDir::open(&path, CREATE).expect("makes");
    fs::write(made.tmp_dir().join("file"), "left").expect("writes");
    fs::create_dir_all(made.tmp_dir().join("deep/er")).expect("makes");
    drop(made);
    let opened = DataDir::open(&path, OpenMode::Existing).expect("opens");
    assert_eq!(fs::read_dir(opened.tmp_dir()).expect("lists").count(), 0);
}

#[test]
fn what_is_not_a_store_is_left_alone() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("photos");
    fs::create_dir(&path).expect("makes");
    assert!(matches!(error(&path, OpenMode::Existing), Error::NoStore { .. }));
    fs::write(path.join("holiday.jpg"), "x").expect("writes");
    let refused = error(&path, CREATE);
    assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    assert!(!path.join("log").exists());
    for shards in [0, 1025] {
        let mode = OpenMode::Create { shards, store_id: STORE_ID };
        let path = parent.path().join("bad");
        assert!(matches!(error(&path, mode), Error::Invalid { .. }));
        assert!(!path.exists());
    }
}

#[test]
fn a_store_without_its_format_file_is_never_taken_for_a_new_one() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    let made = DataDir::open(&path, CREATE).expect("makes");
    fs::write(made.log_dir().join("0000000000000001.log"), "x").expect("writes");
    drop(made);
    fs::remove_file(path.join("FORMAT")).expect("removes");
    for mode in [CREATE, OpenMode::Existing] {
        assert!(matches!(error(&path, mode), Error::Corrupt { .. }), "{mode:?}");
    }
}

#[test]
fn an_interrupted_creation_is_finished_by_the_next_one() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    fs::create_dir_all(path.join("log")).expect("makes");
    fs::write(path.join("LOCK"), "").expect("writes");
    fs::write(path.join("FORMAT.tmp"), "lineate st").expect("writes");
    assert!(matches!(error(&path, OpenMode::Existing), Error::NoStore { .. }));
    assert!(DataDir::open(&path, CREATE).expect("makes").created());
}

#[test]
fn a_format_file_that_cannot_be_read_is_refused() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    drop(DataDir::open(&path, CREATE).expect("makes"));
    let id = STORE_ID;
    for text in [
        String::new(),
        "something else\n".to_owned(),
        "lineate store\nformat x\n".to_owned(),
        format!("lineate store\nformat 2\nshards 0\nid {id}\n"),
        "lineate store\nformat 2\nshards 4\nid x\n".to_owned(),
        format!("lineate store\nformat 2\nshards 4\nid {id}\nmore\n"),
    ] {
        fs::write(path.join("FORMAT"), &text).expect("writes");
        assert!(matches!(error(&path, CREATE), Error::Corrupt { .. }), "{text:?}");
    }
    fs::write(path.join("FORMAT"), [0xff, 0xfe]).expect("writes");
    assert!(matches!(error(&path, CREATE), Error::Corrupt { .. }));
    for version in [1, 99] {
        fs::write(path.join("FORMAT"), format!("lineate store\nformat {version}\nanything\n"))
            .expect("writes");
        let refused = error(&path, CREATE);
        assert!(matches!(refused, Error::Version { found, known: 2, .. } if found == version), "{refused}");
    }
}

#[test]
fn usage_counts_the_files_of_each_part_and_what_is_left() {
    let parent = tempfile::tempdir().expect("a directory");
    let directory = DataDir::open(&parent.path().join("store"), CREATE).expect("makes");
    let empty = directory.usage().expect("counts");
    assert!(empty.available_bytes > 0);
    let write = |below: &std::path::Path, bytes: usize| {
        fs::create_dir_all(below).expect("makes");
        let file = fs::File::create(below.join("file")).expect("creates");
        (&file).write_all(&vec![7; bytes]).expect("writes");
        // Blocks may be counted only once they are on the disk.
        file.sync_all().expect("syncs");
    };
    write(&directory.blobs_dir().join("ab"), 100_000);
    write(&directory.sealed_dir(), 300_000);
    let usage = directory.usage().expect("counts");
    assert!((300_000..400_000).contains(&(usage.sealed_text_bytes - empty.sealed_text_bytes)), "{usage:?}");
    assert!((100_000..200_000).contains(&(usage.blob_bytes - empty.blob_bytes)), "{usage:?}");
    assert_eq!((usage.log_bytes, usage.kv_bytes), (empty.log_bytes, empty.kv_bytes));
}

#[test]
fn the_parts_are_all_that_a_store_takes_but_for_its_two_small_files() {
    let parent = tempfile::tempdir().expect("a directory");
    let path = parent.path().join("store");
    let directory = DataDir::open(&path, CREATE).expect("makes");
    let parts = ["log", "kv", "blobs/ab", "sealed", "tmp", "quarantine-1/part", "quarantine-27"];
    for (number, part) in parts.into_iter().enumerate() {
        let below = path.join(part);
        fs::create_dir_all(&below).expect("makes");
        let file = fs::File::create(below.join("file")).expect("creates");
        (&file).write_all(&vec![7; 100_000 * (number + 1)]).expect("writes");
        file.sync_all().expect("syncs");
    }
    let usage = directory.usage().expect("counts");
    assert!((500_000..600_000).contains(&usage.tmp_bytes), "{usage:?}");
    assert!((1_300_000..1_400_000).contains(&usage.quarantine_bytes), "{usage:?}");
    let sum = usage.log_bytes
        + usage.kv_bytes
        + usage.blob_bytes
        + usage.sealed_text_bytes
        + usage.tmp_bytes
        + usage.quarantine_bytes;
    let small: u64 = ["LOCK", "FORMAT"].map(|name| blocks(&path.join(name))).into_iter().sum();
    assert_eq!(sum + small, blocks(&path), "{usage:?}");
}

/// Bytes of the blocks of a file, or of all files below a directory.
fn blocks(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).expect("there");
    match metadata.is_dir() {
        true => {
            fs::read_dir(path).expect("lists").map(|entry| blocks(&entry.expect("an entry").path())).sum()
        }
        false => metadata.blocks() * 512,
    }
}
