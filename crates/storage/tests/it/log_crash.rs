//! The power goes in the middle of anything: what was acknowledged is there, what was not is there wholly or
//! not at all, and the log opens.

use std::{path::Path, sync::Arc};

use lineate_storage::{
    Error, Seed,
    disk::{DiskFault, MemDisk},
    log::{FileLog, RaftLog},
};
use proptest::prelude::*;

use crate::{
    log_conformance::{open, small_options},
    log_model::{Change, Model, changes},
};

/// Appends until the device fails at its `operation`-th write, sync, rename or removal from here; the states
/// that a restart may find.
fn append_until_failure(
    disk: &MemDisk,
    log: &FileLog,
    model: Model,
    history: &[Vec<Change>],
    operation: u64,
) -> [Model; 2] {
    disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
    let mut model = model;
    for (salt, changes) in (0_u64..).zip(history) {
        let (batch, after) = model.take(changes, salt);
        match log.append(&batch) {
            Ok(()) => model = after,
            Err(error) => {
                assert!(!matches!(error, Error::Full { .. } | Error::Invalid { .. }), "{error}");
                let again = log.append(&batch);
                assert!(
                    matches!(again, Err(Error::Poisoned { .. })),
                    "a log that failed stays failed: {again:?}"
                );
                return [model, after];
            }
        }
    }
    [model.clone(), model]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_wherever_the_power_goes(
        rounds in prop::collection::vec((prop::collection::vec(changes(), 1..25), 0_u64..90, any::<u64>()), 1..5),
    ) {
        let disk = MemDisk::new();
        let (mut log, mut model) = (open(&disk), Model::default());
        for (history, operation, seed) in rounds {
            let possible = append_until_failure(&disk, &log, model, &history, operation);
            disk.crash(&mut Seed::new(seed));
            log = open(&disk);
            model = Model::of(&log);
            prop_assert!(possible.contains(&model), "found {:#?}\nexpected one of {:#?}", model, possible);
        }
    }

    #[test]
    fn a_recovery_that_crashes_can_be_repeated(
        history in prop::collection::vec(changes(), 1..25),
        operation in 0_u64..60,
        interruptions in prop::collection::vec((0_u64..6, any::<u64>()), 1..4),
    ) {
        let disk = MemDisk::new();
        let possible = append_until_failure(&disk, &open(&disk), Model::default(), &history, operation);
        disk.crash(&mut Seed::new(operation));
        for (operation, seed) in interruptions {
            disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
            if let Err(error) = FileLog::open_on(Arc::new(disk.clone()), Path::new("log"), small_options()) {
                prop_assert!(!matches!(error, Error::Corrupt { .. }), "{}", error);
            }
            disk.crash(&mut Seed::new(seed));
        }
        let found = Model::of(&open(&disk));
        prop_assert!(possible.contains(&found), "found {:#?}\nexpected one of {:#?}", found, possible);
    }
}

#[test]
fn what_a_restart_saw_stays_after_the_next_power_loss() {
    // The process dies between write and sync; its successor reads the batch from memory and answers for it.
    for seed in 0..200 {
        let disk = MemDisk::new();
        let log = open(&disk);
        let (batch, after) = Model::default().take(&[sample()], 1);
        disk.inject([DiskFault::None, DiskFault::Fails]);
        assert!(log.append(&batch).is_err());
        let successor = open(&disk);
        assert_eq!(Model::of(&successor), after, "without power loss the write is still there");
        disk.crash(&mut Seed::new(seed));
        assert_eq!(Model::of(&open(&disk)), after, "seed {seed}");
    }
}

fn sample() -> Change {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = crate::log_model::change().prop_filter("has entries", Change::has_entries);
    strategy.new_tree(&mut runner).expect("generates").current()
}
