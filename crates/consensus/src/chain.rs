//! The chain of a group: one hash that says which entries made a state.
//!
//! `chain(i)` is BLAKE3 over `chain(i - 1)`, the index, the term and the bytes of entry `i`, from a beginning that every
//! group has for itself; the bytes are in `docs/formats/raft-group.md`. Invariants:
//! - it depends on the committed entries alone: the same on every replica, however the log stores, cuts or moves them;
//! - a state keeps the chain of its last entry beside its position, and the record of a group the chain at its cut. So
//!   opening can compute it again from the cut on: a state that other entries made is never taken for this one, even
//!   if it stands at the same index and term.
//!
//! It is not what protects the bytes of the log: that is the chain of its frames, which each node has for itself.

use lineate_types::{GroupId, Hash, Hasher};

use crate::{Applied, Committed};

const FOUNDING_DOMAIN: &str = "lineate 2026 raft group founding v1";
const ENTRY_DOMAIN: &str = "lineate 2026 raft group chain v1";

/// The chain of a group that was founded and has no entry yet.
pub(crate) fn founded(group: GroupId) -> Hash {
    Hash::in_domain(FOUNDING_DOMAIN, &group.0.to_le_bytes())
}

/// The chain behind an entry.
pub(crate) fn next(before: &Hash, index: u64, term: u64, data: &[u8]) -> Hash {
    let mut hasher = Hasher::new_derive_key(ENTRY_DOMAIN);
    let mut head = [0; 48];
    let (chain, numbers) = head.split_at_mut(32);
    chain.copy_from_slice(before.as_bytes());
    numbers.copy_from_slice([index.to_le_bytes(), term.to_le_bytes()].as_flattened());
    hasher.update(&head).update(data);
    Hash::finish(&hasher)
}

impl Applied {
    /// The position behind some entries, which come next after this one.
    pub fn after(self, entries: &[Committed]) -> Self {
        entries.iter().fold(self, |before, entry| Self {
            index: entry.index,
            term: entry.term,
            chain: next(&before.chain, entry.index, entry.term, &entry.data),
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_chain_of_a_group_is_this() {
        let start = founded(GroupId(258));
        let first = next(&start, 2, 1, b"");
        let second = next(&first, 3, 1, b"\x01\x03\xff\xff\xff\xff\xff\xff\xff\xff");
        let text = [start, first, second].map(|chain| chain.to_string()).join("\n");
        expect![[r#"
            b3:7d67d5842bc1ce5ee4216ae41fa87bc13d94fe5fe8150fa50b1d2250eb430a14
            b3:652768493e4d124f0a8c166680ba42e6d9d49bcca9230756db29b1f41bf7d58d
            b3:dc2d88383e6a30e695be3470f250b20318484901ff1d6c4ebdc255a9d79ca35e"#]]
        .assert_eq(&text);
    }

    #[test]
    fn every_part_of_an_entry_and_of_what_came_before_counts() {
        let start = founded(GroupId(1));
        let chain = next(&start, 2, 1, b"data");
        for other in [
            next(&founded(GroupId(2)), 2, 1, b"data"),
            next(&start, 3, 1, b"data"),
            next(&start, 2, 2, b"data"),
            next(&start, 2, 1, b"dat"),
            next(&start, 2, 1, b"data\0"),
        ] {
            assert_ne!(chain, other);
        }
    }
}
