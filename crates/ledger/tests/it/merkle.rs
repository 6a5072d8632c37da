//! The tree against the known vectors, and against the RFC's definition at every small size.

use std::collections::BTreeMap;

use lineate_ledger::{
    Error, MerkleLog,
    merkle::{ConsistencyProof, Frontier, InclusionProof, NodeIndex, Nodes, TreeHash, proof},
};
use proptest::prelude::*;

/// The eight inputs of the Certificate Transparency test vectors.
const INPUTS: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// Their roots, for 0 to 8 of them.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn tree_hash(text: &str) -> TreeHash {
    TreeHash::from_bytes(unhex(text).try_into().expect("32 bytes"))
}

fn known() -> MerkleLog {
    let mut log = MerkleLog::new();
    for input in INPUTS {
        log.append(&unhex(input));
    }
    log
}

/// MTH as RFC 9162, 2.1.1 defines it.
fn defined_root(entries: &[Vec<u8>]) -> TreeHash {
    match entries.len() {
        0 => TreeHash::empty(),
        1 => TreeHash::leaf(&entries[0]),
        length => {
            let split = length.next_power_of_two() / 2;
            TreeHash::node(defined_root(&entries[..split]), defined_root(&entries[split..]))
        }
    }
}

/// PATH as RFC 9162, 2.1.3.1 defines it.
fn defined_path(index: usize, entries: &[Vec<u8>]) -> Vec<TreeHash> {
    if entries.len() <= 1 {
        return vec![];
    }
    let split = entries.len().next_power_of_two() / 2;
    let (left, right) = entries.split_at(split);
    let (mut path, sibling) = if index < split {
        (defined_path(index, left), defined_root(right))
    } else {
        (defined_path(index - split, right), defined_root(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF as RFC 9162, 2.1.4.1 defines it.
fn defined_subproof(old: usize, entries: &[Vec<u8>], is_known: bool) -> Vec<TreeHash> {
    if old == entries.len() {
        return if is_known { vec![] } else { vec![defined_root(entries)] };
    }
    let split = entries.len().next_power_of_two() / 2;
    let (left, right) = entries.split_at(split);
    let (mut path, sibling) = if old <= split {
        (defined_subproof(old, left, is_known), defined_root(right))
    } else {
        (defined_subproof(old - split, right, false), defined_root(left))
    };
    path.push(sibling);
    path
}

fn entries(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| format!("entry {index}").into_bytes()).collect()
}

fn log_of(entries: &[Vec<u8>]) -> MerkleLog {
    let mut log = MerkleLog::new();
    for entry in entries {
        log.append(entry);
    }
    log
}

/// Nodes in a map, as a key-value store keeps them.
#[derive(Default)]
struct Stored(BTreeMap<NodeIndex, TreeHash>);

impl Nodes for Stored {
    fn node(&self, index: NodeIndex) -> Option<TreeHash> {
        self.0.get(&index).copied()
    }
}

#[test]
fn roots_are_those_of_the_certificate_transparency_vectors() {
    let log = known();
    for (size, root) in (0..).zip(ROOTS) {
        assert_eq!(log.root_at(size), Ok(tree_hash(root)), "size {size}");
    }
    assert_eq!(log.root(), tree_hash(ROOTS[8]));
}

#[test]
fn paths_are_those_of_the_certificate_transparency_vectors() {
    let log = known();
    let inclusion = |index, size| log.prove_inclusion(index, size).expect("in range").path;
    assert_eq!(inclusion(0, 1), []);
    assert_eq!(
        inclusion(0, 8),
        [
            tree_hash("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
            tree_hash("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
            tree_hash("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
        ]
    );
    assert_eq!(
        inclusion(5, 8),
        [
            tree_hash("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
            tree_hash("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
            tree_hash("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ]
    );
    let consistency = |old, new| log.prove_consistency(old, new).expect("in range").path;
    assert_eq!(consistency(1, 1), []);
    assert_eq!(
        consistency(6, 8),
        [
            tree_hash("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"),
            tree_hash("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
            tree_hash("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ]
    );
    assert_eq!(
        consistency(2, 5),
        [
            tree_hash("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
            tree_hash("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
        ]
    );
}

#[test]
fn every_proof_up_to_70_entries_is_the_rfcs_and_holds() {
    let entries = entries(70);
    let log = log_of(&entries);
    for size in 0..=70_usize {
        let prefix = &entries[..size];
        let root = log.root_at(size as u64).expect("reached");
        assert_eq!(root, defined_root(prefix), "root {size}");
        for (index, entry) in prefix.iter().enumerate() {
            let proof = log.prove_inclusion(index as u64, size as u64).expect("in range");
            assert_eq!(proof.path, defined_path(index, prefix), "inclusion {index}/{size}");
            assert_eq!(proof.verify(TreeHash::leaf(entry), root), Ok(()), "inclusion {index}/{size}");
        }
        for old in 0..=size {
            let proof = log.prove_consistency(old as u64, size as u64).expect("in range");
            let expected = if old == 0 { vec![] } else { defined_subproof(old, prefix, true) };
            assert_eq!(proof.path, expected, "consistency {old}/{size}");
            let old_root = log.root_at(old as u64).expect("reached");
            assert_eq!(proof.verify(old_root, root), Ok(()), "consistency {old}/{size}");
        }
    }
}

#[test]
fn appending_stores_each_node_once_and_the_frontier_comes_back_from_them() {
    let mut stored = Stored::default();
    let mut frontier = Frontier::default();
    for (size, entry) in (1_u64..).zip(entries(70)) {
        for (index, hash) in frontier.append(TreeHash::leaf(&entry)) {
            assert_eq!(stored.0.insert(index, hash), None, "{index} twice");
        }
        assert_eq!(Frontier::load(size, &stored).as_ref(), Ok(&frontier));
        assert_eq!(proof::root(&stored, size), Ok(frontier.root()));
        let log = MerkleLog::restore(size, &stored).expect("all nodes are there");
        assert_eq!(log.root(), frontier.root());
        assert_eq!(log.check(), Ok(()));
    }
    assert_eq!(MerkleLog::restore(70, &stored), Ok(log_of(&entries(70))));
    assert_eq!(MerkleLog::restore(33, &stored), Ok(log_of(&entries(33))));
}

#[test]
fn a_missing_or_changed_node_is_found() {
    let mut stored = Stored::default();
    let mut frontier = Frontier::default();
    for entry in entries(13) {
        stored.0.extend(frontier.append(TreeHash::leaf(&entry)));
    }
    let indexes: Vec<NodeIndex> = stored.0.keys().copied().collect();
    for index in indexes {
        let hash = stored.0.remove(&index).expect("present");
        assert_eq!(MerkleLog::restore(13, &stored), Err(Error::MissingNode { index }));
        stored.0.insert(index, TreeHash::empty());
        // The last leaf has no node above it to tell; the root does.
        let log = MerkleLog::restore(13, &stored).expect("complete");
        assert!(log.check().is_err() || log.root() != frontier.root(), "{index}");
        stored.0.insert(index, hash);
    }
}

#[test]
fn what_is_outside_the_log_cannot_be_asked_for() {
    let log = log_of(&entries(5));
    assert!(log.root_at(6).is_err());
    assert!(log.prove_inclusion(5, 5).is_err());
    assert!(log.prove_inclusion(0, 6).is_err());
    assert!(log.prove_consistency(4, 3).is_err());
    assert!(log.prove_consistency(4, 6).is_err());
    assert!(log.prove_inclusion(0, 0).is_err());
}

proptest! {
    #[test]
    fn a_proof_that_was_touched_fails(
        size in 1_usize..70,
        index in any::<prop::sample::Index>(),
        position in any::<prop::sample::Index>(),
        byte in 0_usize..32,
        bit in 0_u8..8,
    ) {
        let entries = entries(size);
        let log = log_of(&entries);
        let index = index.index(size);
        let root = log.root();
        let leaf = TreeHash::leaf(&entries[index]);
        let proof = log.prove_inclusion(index as u64, size as u64).expect("in range");
        let flip = |hash: TreeHash| {
            let mut bytes = *hash.as_bytes();
            bytes[byte] ^= 1 << bit;
            TreeHash::from_bytes(bytes)
        };
        let holds = |proof: &InclusionProof| proof.verify(leaf, root).is_ok();

        prop_assert!(proof.verify(flip(leaf), root).is_err());
        prop_assert!(proof.verify(leaf, flip(root)).is_err());
        let mut longer = proof.clone();
        longer.path.push(root);
        prop_assert!(!holds(&longer));
        if !proof.path.is_empty() {
            let mut other = proof.clone();
            let position = position.index(other.path.len());
            other.path[position] = flip(other.path[position]);
            prop_assert!(!holds(&other));
            let mut shorter = proof.clone();
            shorter.path.pop();
            prop_assert!(!holds(&shorter));
        }
        for wrong in (0..size as u64 + 2).filter(|wrong| *wrong != index as u64) {
            let wrong = InclusionProof { index: wrong, ..proof.clone() };
            prop_assert!(!holds(&wrong));
        }
    }

    #[test]
    fn a_rewritten_prefix_has_no_consistency_proof(
        old in 1_usize..69,
        more in 1_usize..20,
        changed in any::<prop::sample::Index>(),
    ) {
        let new = old + more;
        let entries = entries(new);
        let mut rewritten = entries.clone();
        rewritten[changed.index(old)] = b"something else".to_vec();
        let (log, other) = (log_of(&entries), log_of(&rewritten));
        let old_root = log.root_at(old as u64).expect("reached");
        for source in [&log, &other] {
            let proof = source.prove_consistency(old as u64, new as u64).expect("in range");
            prop_assert!(proof.verify(old_root, other.root()).is_err());
        }
        let proof = log.prove_consistency(old as u64, new as u64).expect("in range");
        prop_assert_eq!(proof.verify(old_root, log.root()), Ok(()));
        let mut longer = proof.clone();
        longer.path.push(old_root);
        prop_assert!(longer.verify(old_root, log.root()).is_err());
        let mut shorter = proof.clone();
        if shorter.path.pop().is_some() {
            prop_assert!(shorter.verify(old_root, log.root()).is_err());
        }
    }

    #[test]
    fn arbitrary_proofs_are_refused_without_harm(
        old_size in any::<u64>(),
        new_size in any::<u64>(),
        path in prop::collection::vec(any::<[u8; 32]>().prop_map(TreeHash::from_bytes), 0..70),
        root in any::<[u8; 32]>().prop_map(TreeHash::from_bytes),
    ) {
        let inclusion = InclusionProof { index: old_size, size: new_size, path: path.clone() };
        prop_assert!(inclusion.verify(TreeHash::empty(), root).is_err());
        let consistency = ConsistencyProof { old_size, new_size, path };
        prop_assert!(old_size == new_size || consistency.verify(TreeHash::empty(), root).is_err());
    }
}
