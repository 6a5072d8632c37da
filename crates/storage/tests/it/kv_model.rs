//! Random histories: sled, the twin in memory, and plain maps.

use std::collections::BTreeMap;

use lineate_storage::kv::{KvBatch, MemKv, OrderedKv, SledKv};
use proptest::prelude::*;

use crate::kv_conformance::{scan, small_options};

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn sled_and_its_twin_follow_the_model(ops in prop::collection::vec(op(), 1..40)) {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || SledKv::open(directory.path(), &small_options()).expect("opens");
        let (mut sled, mut memory, mut model) = (Some(open()), MemKv::new(), Model::new());
        for (salt, op) in (0_u8..).zip(ops) {
            let kv = sled.as_ref().expect("open");
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
                    drop(sled.take());
                    sled = Some(open());
                    memory = memory.crash(usize::MAX);
                }
                Op::Drop(tree) => {
                    kv.drop_tree(TREES[tree]).expect("drops");
                    memory.drop_tree(TREES[tree]).expect("drops");
                    model.remove(TREES[tree]);
                }
            }
            let kv = sled.as_ref().expect("open");
            prop_assert_eq!(kv.trees().expect("lists"), model.keys().map(|tree| (*tree).to_owned()).collect::<Vec<_>>());
            prop_assert_eq!(kv.trees().expect("lists"), memory.trees().expect("lists"));
            for (tree, values) in &model {
                let expected: Vec<_> = values.clone().into_iter().collect();
                prop_assert!(scan(kv, tree, b"") == expected, "sled differs in {}", tree);
                prop_assert!(scan(&memory, tree, b"") == expected, "the twin differs in {}", tree);
                let inside: Vec<_> =
                    expected.into_iter().filter(|(key, _)| key.starts_with(&[1])).collect();
                prop_assert!(scan(kv, tree, &[1]) == inside);
                prop_assert!(scan(&memory, tree, &[1]) == inside);
            }
        }
        prop_assert_eq!(strays(directory.path()), 0, "sled keeps no page outside its log");
    }
}

/// Files sled keeps beside its log.
pub(crate) fn strays(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory.join("blobs")).map_or(0, Iterator::count)
}
