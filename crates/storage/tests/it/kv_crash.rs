//! The power goes in the middle of anything: redb on a disk that tears, loses and fails. What was synced is there,
//! and with it some first part of what was applied after it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use lineate_storage::{
    Error, Seed,
    disk::{DiskFault, MemDisk},
    kv::{KvBatch, OrderedKv, RedbKv, RedbOptions},
};
use proptest::prelude::*;

use crate::kv_conformance::{put, scan};

type State = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Debug, Clone)]
enum Step {
    /// Puts (a value of this many bytes) and deletes of numbered keys.
    Apply(u8, Vec<(u8, Option<usize>)>),
    Sync,
    Drop(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![8 => 0_usize..300, 2 => 3_000_usize..9_000, 1 => 60_000_usize..150_000];
    let changes = prop::collection::vec((0_u8..40, prop::option::weighted(0.8, length)), 0..20);
    let step = prop_oneof![
        12 => (0_u8..3, changes).prop_map(|(tree, changes)| Step::Apply(tree, changes)),
        3 => Just(Step::Sync),
        1 => (0_u8..3).prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 1..40)
}

/// A cache this small is written back long before a sync.
fn options() -> RedbOptions {
    RedbOptions { cache_bytes: 256 * 1024 }
}

fn open(disk: &MemDisk) -> lineate_storage::Result<RedbKv> {
    RedbKv::open_on(Arc::new(disk.clone()), Path::new("kv"), &options())
}

fn state(kv: &dyn OrderedKv) -> State {
    let names = kv.trees().expect("lists");
    names.into_iter().map(|name| (name.clone(), scan(kv, &name, b"").into_iter().collect())).collect()
}

/// Does the steps until one fails; the states that a restart may find.
fn run_until_failure(kv: &RedbKv, first: State, steps: &[Step]) -> Vec<State> {
    let mut possible = vec![first];
    for (salt, step) in (0_u8..).zip(steps) {
        let mut after = possible.last().cloned().unwrap_or_default();
        let done = match step {
            Step::Apply(tree, changes) => {
                let tree = format!("group-{tree}");
                let (mut batch, values) = (KvBatch::new(), after.entry(tree.clone()).or_default());
                for (key, length) in changes {
                    let key = vec![*key; 1 + usize::from(*key)];
                    match length {
                        Some(length) => {
                            batch.put(key.clone(), vec![salt; *length]);
                            values.insert(key, vec![salt; *length]);
                        }
                        None => {
                            batch.delete(key.clone());
                            values.remove(&key);
                        }
                    }
                }
                kv.apply(&tree, batch)
            }
            Step::Sync => kv.sync().map(|()| possible.clear()),
            Step::Drop(tree) => {
                after.remove(&format!("group-{tree}"));
                kv.drop_tree(&format!("group-{tree}"))
            }
        };
        possible.push(after);
        if let Err(error) = done {
            assert!(!matches!(error, Error::Corrupt { .. } | Error::Invalid { .. }), "{error}");
            let again = kv.apply("group-0", put(b"a", b""));
            assert!(
                matches!(again, Err(Error::Poisoned { .. })),
                "a store that failed stays failed: {again:?}"
            );
            break;
        }
    }
    possible
}

fn check(found: &State, possible: &[State]) -> Result<(), TestCaseError> {
    let sizes = |state: &State| state.values().map(BTreeMap::len).collect::<Vec<_>>();
    prop_assert!(
        possible.contains(found),
        "found {:?} pairs, which is none of the {} possible states, {:?}",
        sizes(found),
        possible.len(),
        possible.iter().map(sizes).collect::<Vec<_>>()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_synced_is_lost_wherever_the_power_goes(
        rounds in prop::collection::vec((steps(), 0_usize..400, any::<u64>()), 1..5),
    ) {
        let disk = MemDisk::new();
        let mut found = State::new();
        for (steps, operation, seed) in rounds {
            let kv = open(&disk).expect("opens");
            disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
            let possible = run_until_failure(&kv, found, &steps);
            disk.crash(&mut Seed::new(seed));
            drop(kv);
            let mut kv = open(&disk).expect("opens");
            kv.verify().expect("verifies");
            found = state(&kv);
            check(&found, &possible)?;
        }
    }

    #[test]
    fn a_recovery_that_crashes_can_be_repeated(
        steps in steps(),
        operation in 0_usize..200,
        interruptions in prop::collection::vec((0_usize..12, any::<u64>()), 1..4),
    ) {
        let disk = MemDisk::new();
        let kv = open(&disk).expect("opens");
        disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
        let possible = run_until_failure(&kv, State::new(), &steps);
        disk.crash(&mut Seed::new(operation as u64));
        drop(kv);
        for (operation, seed) in interruptions {
            disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
            let opened = open(&disk);
            disk.crash(&mut Seed::new(seed));
            if let Err(error) = opened {
                prop_assert!(!matches!(error, Error::Corrupt { .. }), "{}", error);
            }
        }
        let mut kv = open(&disk).expect("opens");
        kv.verify().expect("verifies");
        check(&state(&kv), &possible)?;
    }
}

#[test]
fn a_store_whose_making_was_cut_short_is_made_again() {
    for operation in 0..40 {
        let disk = MemDisk::new();
        disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
        let opened = open(&disk);
        disk.crash(&mut Seed::new(operation));
        drop(opened);
        let kv = open(&disk).expect("opens");
        assert_eq!(state(&kv), State::new());
        kv.apply("group-0", put(b"a", b"x")).expect("applies");
        kv.sync().expect("syncs");
    }
}

#[test]
fn what_a_restart_saw_and_synced_stays_after_the_next_power_loss() {
    // The process dies; its successor finds the batch in memory and syncs without applying anything.
    for seed in 0..50 {
        let disk = MemDisk::new();
        let kv = open(&disk).expect("opens");
        kv.apply("group-0", put(b"a", b"x")).expect("applies");
        drop(kv);
        let kv = open(&disk).expect("opens");
        assert_eq!(kv.get("group-0", b"a").expect("reads"), Some(b"x".to_vec()));
        kv.sync().expect("syncs");
        disk.crash(&mut Seed::new(seed));
        drop(kv);
        let kv = open(&disk).expect("opens");
        assert_eq!(kv.get("group-0", b"a").expect("reads"), Some(b"x".to_vec()), "seed {seed}");
    }
}

#[test]
fn a_full_disk_ends_the_store_and_loses_nothing_synced() {
    let disk = MemDisk::new();
    let kv = open(&disk).expect("opens");
    kv.apply("group-0", put(b"a", b"x")).expect("applies");
    kv.sync().expect("syncs");
    disk.set_capacity(Some(2 << 20));
    let refused = (0_u8..).find_map(|number| {
        kv.apply("group-0", put(&[number], &vec![number; 300_000])).and_then(|()| kv.sync()).err()
    });
    assert!(matches!(refused, Some(Error::Full { .. })), "{refused:?}");
    assert!(matches!(kv.sync(), Err(Error::Poisoned { .. })));
    drop(kv);
    disk.set_capacity(None);
    let mut kv = open(&disk).expect("opens");
    kv.verify().expect("verifies");
    assert_eq!(kv.get("group-0", b"a").expect("reads"), Some(b"x".to_vec()));
    kv.apply("group-0", put(b"b", b"x")).expect("applies");
    kv.sync().expect("there is space again");
}
