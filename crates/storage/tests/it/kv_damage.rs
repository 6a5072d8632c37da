//! The engines' files, interrupted, cut and flipped: what opens is what was applied, or it is moved aside.

use std::{fs, path::Path};

use lineate_storage::{
    Error, Seed,
    kv::{KvBatch, OrderedKv, RedbKv, SledKv},
};

use crate::{
    kv_conformance::{put, scan, small_options},
    kv_engine::FileEngine,
    kv_model::strays,
};

/// One more batch: the counter, a value for it, and one that is always the same number.
fn batch(number: u64) -> KvBatch {
    let mut batch = KvBatch::new();
    let bytes = number.to_be_bytes();
    batch.put(*b"\x00applied", bytes).put([&b"row"[..], &bytes].concat(), vec![number as u8; 500]);
    batch.put(*b"latest", vec![number as u8; if number.is_multiple_of(7) { 60_000 } else { 50 }]);
    batch
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("makes");
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copies");
        }
    }
}

/// How many batches a store holds; fails where it is not a prefix of them.
fn applied(kv: &dyn OrderedKv) -> u64 {
    let Some(bytes) = kv.get("group", b"\x00applied").expect("reads") else {
        assert_eq!(scan(kv, "group", b""), []);
        return 0;
    };
    let last = u64::from_be_bytes(bytes.try_into().expect("a number"));
    let rows = scan(kv, "group", b"row");
    assert_eq!(rows.len() as u64, last);
    for (number, (key, value)) in (1_u64..).zip(rows) {
        assert_eq!(key, [&b"row"[..], &number.to_be_bytes()].concat());
        assert_eq!(value, vec![number as u8; 500]);
    }
    let latest = kv.get("group", b"latest").expect("reads").expect("is there");
    assert_eq!(latest, vec![last as u8; if last.is_multiple_of(7) { 60_000 } else { 50 }]);
    last
}

fn a_killed_process_leaves_a_prefix<Kv: FileEngine>() {
    let directory = tempfile::tempdir().expect("a directory");
    let (live, image) = (directory.path().join("kv"), directory.path().join("image"));
    let kv = Kv::open_at(&live).expect("opens");
    let mut synced = 0;
    for number in 1..=60 {
        kv.apply("group", batch(number)).expect("applies");
        if number % 10 == 0 {
            kv.sync().expect("syncs");
            synced = number;
        }
        // Right after a sync, and some batches after one.
        if number % 10 == 0 || number % 12 == 5 {
            copy(&live, &image);
            let (found, report) = Kv::open_or_move_aside(&image).expect("opens");
            assert_eq!(report.quarantined, None, "{:?}", report.reason);
            let found = applied(&found);
            assert!((synced..=number).contains(&found), "{found} of {number}, {synced} synced");
            fs::remove_dir_all(&image).expect("removes");
        }
    }
}

#[test]
fn a_killed_process_leaves_a_prefix_with_all_that_was_synced() {
    a_killed_process_leaves_a_prefix::<SledKv>();
    a_killed_process_leaves_a_prefix::<RedbKv>();
}

#[test]
fn an_interrupted_snapshot_does_not_keep_the_store_from_opening() {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = SledKv::open(directory.path(), &small_options()).expect("opens");
    kv.apply("group", batch(1)).expect("applies");
    kv.sync().expect("syncs");
    drop(kv);
    fs::write(directory.path().join("snap.0000000000000FFF.generating"), b"half").expect("writes");
    let (kv, report) = SledKv::open_or_quarantine(directory.path(), &small_options()).expect("opens");
    assert_eq!(report.quarantined, None, "{:?}", report.reason);
    assert_eq!(applied(&kv), 1);
}

fn damaged_files_are_moved_aside<Kv: FileEngine>() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = directory.path().join("good");
    let kv = Kv::open_at(&good).expect("opens");
    for number in 1..=40 {
        kv.apply("group", batch(number)).expect("applies");
    }
    kv.sync().expect("syncs");
    drop(kv);
    let length = fs::metadata(good.join(Kv::FILE)).expect("is there").len();
    let written = {
        let bytes = fs::read(good.join(Kv::FILE)).expect("reads");
        bytes.iter().rposition(|byte| *byte != 0).expect("holds data") as u64
    };
    let (mut seed, mut aside) = (Seed::new(5), 0);
    for attempt in 0..40 {
        let parent = directory.path().join(format!("attempt-{attempt}"));
        let image = parent.join("kv");
        copy(&good, &image);
        let mut bytes = fs::read(image.join(Kv::FILE)).expect("reads");
        match attempt % 4 {
            0 => bytes.truncate(seed.below(length) as usize),
            1 => bytes.truncate(seed.below(written) as usize),
            _ => bytes[seed.below(written) as usize] ^= 1 << seed.below(8),
        }
        fs::write(image.join(Kv::FILE), bytes).expect("writes");
        let (kv, report) = Kv::open_or_move_aside(&image).expect("opens either way");
        let found = applied(&kv);
        match report.quarantined {
            None => assert_eq!(found, 40, "everything was synced"),
            Some(moved) => {
                assert_eq!((moved, found), (parent.join("quarantine-1"), 0));
                aside += 1;
            }
        }
        kv.apply("group", batch(found + 1)).expect("the store goes on");
        drop(kv);
        fs::remove_dir_all(&parent).expect("removes");
    }
    assert!(aside >= 20, "damage must be noticed: {aside} of 40");
}

#[test]
fn damaged_files_open_with_all_that_was_synced_or_are_moved_aside() {
    damaged_files_are_moved_aside::<SledKv>();
    damaged_files_are_moved_aside::<RedbKv>();
}

#[test]
fn a_store_moved_aside_twice_has_two_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("kv");
    for number in 1..=2 {
        drop(SledKv::open(&path, &small_options()).expect("opens"));
        fs::write(path.join("conf"), b"not a configuration").expect("writes");
        let (kv, report) = SledKv::open_or_quarantine(&path, &small_options()).expect("opens");
        assert_eq!(report.quarantined, Some(directory.path().join(format!("quarantine-{number}"))));
        assert!(report.reason.is_some_and(|reason| !reason.is_empty()));
        kv.apply("group", put(b"a", b"b")).expect("applies");
    }
}

#[test]
fn no_page_leaves_the_log_however_long_keys_and_values_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = SledKv::open(directory.path(), &small_options()).expect("opens");
    let mut seed = Seed::new(9);
    for round in 0_u32..12 {
        let mut batch = KvBatch::new();
        for _ in 0..60 {
            let number = seed.below(100_000).to_be_bytes();
            // Keys that differ at the end, so that nothing of them can be left out of an index.
            let key = [&vec![b'k'; 6 * 1024 - 8][..], &number].concat();
            batch.put(key, vec![round as u8; 48 * 1024]);
        }
        kv.apply("group", batch).expect("applies");
        kv.sync().expect("syncs");
        assert_eq!(strays(directory.path()), 0, "round {round}");
    }
    let mut count = 0;
    kv.scan("group", b"", &mut |_, _| {
        count += 1;
        Ok(())
    })
    .expect("scans");
    assert!(count > 600);
}

fn a_second_instance<Kv: FileEngine>() {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = Kv::open_at(directory.path()).expect("opens");
    let second = Kv::open_at(directory.path());
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    drop(kv);
    assert!(Kv::open_at(directory.path()).is_ok());
}

#[test]
fn a_second_instance_is_refused() {
    a_second_instance::<SledKv>();
    a_second_instance::<RedbKv>();
}

/// Where redb keeps its header, and where it keeps the rows: what is free does not count.
#[test]
fn a_flipped_bit_in_what_redb_uses_changes_nothing_or_is_moved_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = directory.path().join("good");
    for orderly in [true, false] {
        let kv = RedbKv::open_at(&good).expect("opens");
        kv.apply("group", batch(1)).expect("applies");
        kv.apply("group", batch(2)).expect("applies");
        kv.sync().expect("syncs");
        let image = directory.path().join("image").join("kv");
        if orderly {
            drop(kv);
            copy(&good, &image);
        } else {
            copy(&good, &image);
            drop(kv);
        }
        let bytes = fs::read(image.join(RedbKv::FILE)).expect("reads");
        let rows = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"row\0"));
        let positions: Vec<usize> = (0..320).step_by(5).chain(rows.flat_map(|at| [at, at + 300])).collect();
        let mut aside = 0;
        for (number, position) in positions.iter().enumerate() {
            let mut damaged = bytes.clone();
            damaged[*position] ^= 1 << (number % 8);
            let path = directory.path().join("damaged").join("kv");
            copy(&image, &path);
            fs::write(path.join(RedbKv::FILE), damaged).expect("writes");
            let (kv, report) = RedbKv::open_or_move_aside(&path).expect("opens either way");
            match report.quarantined {
                None => assert_eq!(applied(&kv), 2, "byte {position}"),
                Some(_) => aside += 1,
            }
            drop(kv);
            fs::remove_dir_all(directory.path().join("damaged")).expect("removes");
        }
        assert!(aside > positions.len() / 4, "damage must be noticed: {aside} of {}", positions.len());
        fs::remove_dir_all(directory.path().join("image")).expect("removes");
        fs::remove_dir_all(&good).expect("removes");
    }
}

/// An old file under a new note: what a disk does that lost what it had acknowledged.
#[test]
fn a_file_from_before_the_last_sync_is_moved_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, old) = (directory.path().join("kv"), directory.path().join("old"));
    for number in 1..=2 {
        let kv = RedbKv::open_at(&path).expect("opens");
        kv.apply("group", batch(number)).expect("applies");
        kv.sync().expect("syncs");
        drop(kv);
        if number == 1 {
            copy(&path, &old);
        }
    }
    fs::copy(old.join(RedbKv::FILE), path.join(RedbKv::FILE)).expect("copies");
    let (kv, report) = RedbKv::open_or_move_aside(&path).expect("opens either way");
    let reason = report.reason.expect("moved aside");
    assert!(reason.contains("it holds 1 syncs of the 2 that were noted"), "{reason}");
    assert_eq!(applied(&kv), 0);
    drop(kv);
    fs::remove_file(path.join(RedbKv::FILE)).expect("removes");
    let kv = RedbKv::open_at(&path).expect("a store that was never synced may be made again");
    kv.sync().expect("syncs");
    drop(kv);
    fs::remove_file(path.join(RedbKv::FILE)).expect("removes");
    let missing = RedbKv::open_at(&path);
    assert!(matches!(missing, Err(Error::Corrupt { .. })), "{missing:?}");
}

/// With several segments sled does not go back to an older state: it opens with holes and stale pages.
#[test]
fn damage_in_old_segments_is_moved_aside_or_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = directory.path().join("good");
    let kv = SledKv::open(&good, &small_options()).expect("opens");
    for number in 1..=160_u64 {
        let mut batch = batch(number);
        for key in (0..20).map(|row| (number * 20 + row) % 1_500) {
            batch.put([&b"bulk"[..], &key.to_be_bytes()].concat(), vec![number as u8; 4_000]);
        }
        kv.apply("group", batch).expect("applies");
    }
    kv.sync().expect("syncs");
    let expected = scan(&kv, "group", b"");
    drop(kv);
    let length = fs::metadata(good.join("db")).expect("is there").len();
    assert!(length > 2 * 8 * 1024 * 1024, "several segments");
    let (mut seed, mut aside) = (Seed::new(11), 0);
    for attempt in 0..16 {
        let parent = directory.path().join(format!("attempt-{attempt}"));
        let image = parent.join("kv");
        copy(&good, &image);
        let mut bytes = fs::read(image.join("db")).expect("reads");
        let start = seed.below(length) as usize;
        if attempt % 2 == 0 {
            bytes[start] ^= 1 << seed.below(8);
        } else {
            let end = (start + 4_096).min(bytes.len());
            bytes[start..end].fill(0);
        }
        fs::write(image.join("db"), bytes).expect("writes");
        let (kv, report) = SledKv::open_or_quarantine(&image, &small_options()).expect("opens either way");
        match report.quarantined {
            None => assert!(scan(&kv, "group", b"") == expected, "byte {start}"),
            Some(_) => aside += 1,
        }
        drop(kv);
        fs::remove_dir_all(&parent).expect("removes");
    }
    assert!(aside > 0);
}

/// The same deterministically: a hole, a stale page and a pair too many, made behind the store's back.
#[test]
fn a_store_that_lacks_keeps_back_or_adds_a_pair_is_moved_aside() {
    type Tamper = fn(&sled::Tree, &[u8]);
    let tampers: [(&str, Tamper); 3] = [
        ("a hole", |tree, _| assert!(tree.remove(b"\x01a").expect("removes").is_some())),
        ("a stale value", |tree, stale| assert!(tree.insert(b"\x01a", stale).expect("puts").is_some())),
        ("a pair too many", |tree, stale| assert!(tree.insert(b"\x01c", stale).expect("puts").is_none())),
    ];
    for (what, tamper) in tampers {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("kv");
        // An instance that was just dropped may still be letting go of its lock.
        let raw = || {
            let config = sled::Config::new().path(&path).segment_size(8 * 1024 * 1024).flush_every_ms(None);
            let db = (0..1_000).find_map(|_| config.open().ok()).expect("opens");
            db.open_tree("group").expect("opens")
        };
        let reopen = || SledKv::open_or_quarantine(&path, &small_options()).expect("opens").1;
        let kv = SledKv::open(&path, &small_options()).expect("opens");
        kv.apply("group", put(b"a", b"old")).expect("applies");
        kv.sync().expect("syncs");
        drop(kv);
        let stale = raw().get(b"\x01a").expect("reads").expect("is there").to_vec();
        let kv = SledKv::open(&path, &small_options()).expect("opens");
        kv.apply("group", put(b"a", b"new")).expect("applies");
        kv.apply("group", put(b"b", b"new")).expect("applies");
        kv.sync().expect("syncs");
        drop(kv);
        assert_eq!(reopen().quarantined, None, "as it was left it verifies");
        let tree = raw();
        tamper(&tree, &stale);
        tree.flush().expect("flushes");
        drop(tree);
        let reason = reopen().reason.unwrap_or_default();
        assert!(reason.contains("does not hold what was put into it"), "{what}: {reason}");
    }
}
