//! Random histories: every engine, the twin in memory, and plain maps.

use std::collections::BTreeMap;

use lineate_storage::kv::{KvBatch, MemKv, OrderedKv, RedbKv, SledKv};
use proptest::prelude::*;

use crate::kv_conformance::{scan, small_options, small_redb};

type Model = BTreeMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>>;

const TREES: [&str; 2] = ["group-0", "group-1"];

#[derive(Debug, Clone)]
enum Op {
    /// Puts (value of this many bytes) and deletes.
    Apply(usize, Vec<(Vec<u8>, Option<usize>)>),
    Sync,
    Reopen,
    Drop(usize),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(0_u8..3, 0..4),
        1 => (0_u8..3, 0_usize..5_200).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let length = prop_oneof![8 => 0_usize..200, 1 => 40_000_usize..60_000, 1 => 90_000_usize..160_000];
    let changes = prop::collection::vec((key(), prop::option::weighted(0.75, length)), 0..12);
    prop_oneof![
        20 => (0_usize..2, changes).prop_map(|(tree, changes)| Op::Apply(tree, changes)),
        2 => Just(Op::Sync),
        1 => Just(Op::Reopen),
        1 => (0_usize..2).prop_map(Op::Drop),
    ]
}

/// Applies a history to an engine, its twin and the model, and compares them after each step.
fn follows_the_model<Kv: OrderedKv>(open: impl Fn() -> Kv, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let (mut engine, mut memory, mut model) = (Some(open()), MemKv::new(), Model::new());
    for (salt, op) in (0_u8..).zip(ops) {
        let kv = engine.as_ref().expect("open");
        match op {
            Op::Apply(tree, changes) => {
                let tree = TREES[tree];
                let (mut batch, values) = (KvBatch::new(), model.entry(tree).or_default());
                for (key, length) in changes {
                    match length {
                        Some(length) => {
                            let value = vec![salt; length];
                            batch.put(key.clone(), value.clone());
                            values.insert(key, value);
                        }
                        None => {
                            batch.delete(key.clone());
                            values.remove(&key);
                        }
                    }
                }
                kv.apply(tree, batch.clone()).expect("applies");
                memory.apply(tree, batch).expect("applies");
            }
            Op::Sync => {
                kv.sync().expect("syncs");
                memory.sync().expect("syncs");
            }
            Op::Reopen => {
                kv.sync().expect("syncs");
                drop(engine.take());
                engine = Some(open());
                memory = memory.crash(usize::MAX);
            }
            Op::Drop(tree) => {
                kv.drop_tree(TREES[tree]).expect("drops");
                memory.drop_tree(TREES[tree]).expect("drops");
                model.remove(TREES[tree]);
            }
        }
        let kv = engine.as_ref().expect("open");
        let names: Vec<_> = model.keys().map(|tree| (*tree).to_owned()).collect();
        prop_assert_eq!(kv.trees().expect("lists"), names.clone());
        prop_assert_eq!(memory.trees().expect("lists"), names);
        for (tree, values) in &model {
            let expected: Vec<_> = values.clone().into_iter().collect();
            prop_assert!(scan(kv, tree, b"") == expected, "the engine differs in {}", tree);
            prop_assert!(scan(&memory, tree, b"") == expected, "the twin differs in {}", tree);
            let inside: Vec<_> = expected.into_iter().filter(|(key, _)| key.starts_with(&[1])).collect();
            prop_assert!(scan(kv, tree, &[1]) == inside);
            prop_assert!(scan(&memory, tree, &[1]) == inside);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn sled_and_its_twin_follow_the_model(ops in prop::collection::vec(op(), 1..40)) {
        let directory = tempfile::tempdir().expect("a directory");
        follows_the_model(|| SledKv::open(directory.path(), &small_options()).expect("opens"), ops)?;
        prop_assert_eq!(strays(directory.path()), 0, "sled keeps no page outside its log");
    }

    #[test]
    fn redb_and_its_twin_follow_the_model(ops in prop::collection::vec(op(), 1..40)) {
        let directory = tempfile::tempdir().expect("a directory");
        follows_the_model(|| RedbKv::open(directory.path(), &small_redb()).expect("opens"), ops)?;
    }
}

/// Files sled keeps beside its log.
pub(crate) fn strays(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory.join("blobs")).map_or(0, Iterator::count)
}
