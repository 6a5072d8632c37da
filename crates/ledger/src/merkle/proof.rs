//! Inclusion and consistency proofs: made from stored nodes (RFC 9162, 2.1.3.1 and 2.1.4.1), verified from
//! hashes alone (2.1.3.2 and 2.1.4.2).

use super::{Nodes, TreeHash, node::peaks};
use crate::{Error, Result};

/// A proof that one entry is in the log of a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's place in the log.
    pub index: u64,
    /// The size of the log.
    pub size: u64,
    /// The siblings on the way from the leaf to the root.
    pub path: Vec<TreeHash>,
}

/// A proof that the log of one size is a prefix of the log of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the earlier log.
    pub old_size: u64,
    /// The size of the later log.
    pub new_size: u64,
    /// The nodes both roots are made of.
    pub path: Vec<TreeHash>,
}

/// The root of the first `size` leaves.
///
/// # Errors
/// [`Error::MissingNode`].
pub fn root(nodes: &impl Nodes, size: u64) -> Result<TreeHash> {
    subtree(nodes, 0, size)
}

/// Proves that the leaf `index` is among the first `size`.
///
/// # Errors
/// [`Error::OutOfRange`] unless `index < size`; [`Error::MissingNode`].
pub fn prove_inclusion(nodes: &impl Nodes, index: u64, size: u64) -> Result<InclusionProof> {
    if index >= size {
        return Err(Error::OutOfRange { what: "entry", index, size });
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + left_size(end - start);
        if index < middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(InclusionProof { index, size, path })
}

/// Proves that the first `old_size` leaves are a prefix of the first `new_size`. The empty log is a prefix of
/// every log, and every log of itself, with an empty path.
///
/// # Errors
/// [`Error::OutOfRange`] unless `old_size <= new_size`; [`Error::MissingNode`].
pub fn prove_consistency(nodes: &impl Nodes, old_size: u64, new_size: u64) -> Result<ConsistencyProof> {
    if old_size > new_size {
        return Err(Error::OutOfRange { what: "size", index: old_size, size: new_size });
    }
    let mut path = Vec::new();
    if old_size == 0 {
        return Ok(ConsistencyProof { old_size, new_size, path });
    }
    let (mut start, mut end) = (0, new_size);
    while old_size != end {
        let middle = start + left_size(end - start);
        if old_size <= middle {
            path.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    // The old tree itself is what the verifier knows; part of it must be given.
    if start > 0 {
        path.push(subtree(nodes, start, end)?);
    }
    path.reverse();
    Ok(ConsistencyProof { old_size, new_size, path })
}

impl InclusionProof {
    /// Checks that the leaf is under the root.
    ///
    /// # Errors
    /// [`Error::ProofFailed`].
    pub fn verify(&self, leaf: TreeHash, root: TreeHash) -> Result<()> {
        let failed = |why| Err(Error::ProofFailed { proof: "inclusion", why });
        if self.index >= self.size {
            return failed("the entry lies beyond the log");
        }
        let (mut node, mut last) = (self.index, self.size - 1);
        let mut hash = leaf;
        for sibling in &self.path {
            if last == 0 {
                return failed("the path is too long");
            }
            if node & 1 == 1 || node == last {
                hash = TreeHash::node(*sibling, hash);
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                hash = TreeHash::node(hash, *sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return failed("the path is too short");
        }
        if hash != root {
            return failed("it leads to another root");
        }
        Ok(())
    }
}

impl ConsistencyProof {
    /// Checks that the log with the old root is a prefix of the log with the new root.
    ///
    /// # Errors
    /// [`Error::ProofFailed`].
    pub fn verify(&self, old_root: TreeHash, new_root: TreeHash) -> Result<()> {
        let failed = |why| Err(Error::ProofFailed { proof: "consistency", why });
        if self.old_size > self.new_size {
            return failed("the old log is longer than the new");
        }
        if self.old_size == 0 || self.old_size == self.new_size {
            let old_is_known = self.old_size == self.new_size || old_root == TreeHash::empty();
            return match (self.path.is_empty(), old_is_known) {
                (false, _) => failed("the path is too long"),
                (true, false) => failed("the root of the empty log is another"),
                (true, true) if self.old_size == self.new_size && old_root != new_root => {
                    failed("logs of one size have two roots")
                }
                (true, true) => Ok(()),
            };
        }
        // A complete old tree is itself the first node of the path.
        let mut path = self.path.iter().copied();
        let first = if self.old_size.is_power_of_two() { Some(old_root) } else { path.next() };
        let Some(first) = first else {
            return failed("the path is too short");
        };
        let (mut node, mut last) = (self.old_size - 1, self.new_size - 1);
        while node & 1 == 1 {
            node >>= 1;
            last >>= 1;
        }
        let (mut old_hash, mut new_hash) = (first, first);
        for sibling in path {
            if last == 0 {
                return failed("the path is too long");
            }
            if node & 1 == 1 || node == last {
                old_hash = TreeHash::node(sibling, old_hash);
                new_hash = TreeHash::node(sibling, new_hash);
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                new_hash = TreeHash::node(new_hash, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return failed("the path is too short");
        }
        if old_hash != old_root {
            return failed("it leads to another old root");
        }
        if new_hash != new_root {
            return failed("it leads to another new root");
        }
        Ok(())
    }
}

/// The leaves left of the split of `length > 1` leaves: the largest power of two below it.
const fn left_size(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

/// The hash of the subtree over `start .. end`, as the RFC splits it.
fn subtree(nodes: &impl Nodes, start: u64, end: u64) -> Result<TreeHash> {
    let mut hash = None;
    for index in peaks(start, end).rev() {
        let left = nodes.node(index).ok_or(Error::MissingNode { index })?;
        hash = Some(match hash {
            Some(right) => TreeHash::node(left, right),
            None => left,
        });
    }
    Ok(hash.unwrap_or_else(TreeHash::empty))
}
