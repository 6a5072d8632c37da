//! Appending to the tree with its right edge alone.

use super::{NodeIndex, Nodes, TreeHash, node::peaks};
use crate::{Error, Result};

/// The right edge of the tree: the complete subtrees its leaves fall into, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves whose nodes are stored.
    ///
    /// # Errors
    /// [`Error::MissingNode`].
    pub fn load(size: u64, nodes: &impl Nodes) -> Result<Self> {
        let peaks = peaks(0, size)
            .map(|index| nodes.node(index).ok_or(Error::MissingNode { index }))
            .collect::<Result<_>>()?;
        Ok(Self { size, peaks })
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let join = |right, left: &TreeHash| TreeHash::node(*left, right);
        match self.peaks.split_last() {
            Some((last, rest)) => rest.iter().rev().fold(*last, join),
            None => TreeHash::empty(),
        }
    }

    /// Appends a leaf, and gives each node that is complete because of it, the leaf first. To store them is
    /// to store the tree.
    pub fn append(&mut self, leaf: TreeHash) -> Vec<(NodeIndex, TreeHash)> {
        let leaf_index = self.size;
        let mut hash = leaf;
        let mut completed = vec![(NodeIndex { level: 0, index: leaf_index }, hash)];
        // Every trailing one bit of the old size is a subtree that the new leaf completes a sibling of.
        for level in 1..=leaf_index.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = TreeHash::node(left, hash);
            let level = u8::try_from(level).unwrap_or(u8::MAX);
            completed.push((NodeIndex { level, index: leaf_index >> level }, hash));
        }
        self.peaks.push(hash);
        self.size += 1;
        completed
    }
}
