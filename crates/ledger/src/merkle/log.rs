//! A tree with all its nodes in memory: 64 bytes a leaf.

use super::{ConsistencyProof, Frontier, InclusionProof, NodeIndex, Nodes, TreeHash, proof};
use crate::{Error, Result};

/// The Merkle tree of a log, in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MerkleLog {
    frontier: Frontier,
    /// By level, then by index.
    levels: Vec<Vec<TreeHash>>,
}

impl MerkleLog {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` leaves from its stored nodes, each taken on trust (see [`MerkleLog::check`]). Nodes
    /// beyond `size` are left out.
    ///
    /// # Errors
    /// [`Error::MissingNode`] if one of the tree's nodes is not there.
    pub fn restore(size: u64, nodes: &impl Nodes) -> Result<Self> {
        let mut levels = Vec::new();
        for level in 0..64_u8 {
            let count = size >> level;
            if count == 0 {
                break;
            }
            let hashes = (0..count)
                .map(|index| NodeIndex { level, index })
                .map(|index| nodes.node(index).ok_or(Error::MissingNode { index }))
                .collect::<Result<Vec<_>>>()?;
            levels.push(hashes);
        }
        let mut log = Self { frontier: Frontier::default(), levels };
        log.frontier = Frontier::load(size, &log)?;
        Ok(log)
    }

    /// Checks that every node above the leaves is the hash of its children.
    ///
    /// # Errors
    /// [`Error::CorruptNode`] names the first, level by level, that is not.
    pub fn check(&self) -> Result<()> {
        for (level, hashes) in (0_u8..).zip(&self.levels).skip(1) {
            for (index, hash) in (0_u64..).zip(hashes) {
                let index = NodeIndex { level, index };
                let expected = index
                    .children()
                    .and_then(|(left, right)| Some(TreeHash::node(self.node(left)?, self.node(right)?)));
                if expected != Some(*hash) {
                    return Err(Error::CorruptNode { index });
                }
            }
        }
        Ok(())
    }

    /// Appends an entry, and gives the nodes that became complete, its leaf first, to be stored.
    pub fn append(&mut self, entry: &[u8]) -> Vec<(NodeIndex, TreeHash)> {
        self.append_leaf(TreeHash::leaf(entry))
    }

    /// Appends an entry whose leaf is hashed already.
    pub fn append_leaf(&mut self, leaf: TreeHash) -> Vec<(NodeIndex, TreeHash)> {
        let completed = self.frontier.append(leaf);
        for (position, (_, hash)) in completed.iter().enumerate() {
            match self.levels.get_mut(position) {
                Some(hashes) => hashes.push(*hash),
                None => self.levels.push(vec![*hash]),
            }
        }
        completed
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the whole tree.
    pub fn root(&self) -> TreeHash {
        self.frontier.root()
    }

    /// The root when the log had `size` entries.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a size the log has not reached.
    pub fn root_at(&self, size: u64) -> Result<TreeHash> {
        self.reached(size)?;
        proof::root(self, size)
    }

    /// Proves that the entry `index` is in the log of `size` entries.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<InclusionProof> {
        self.reached(size)?;
        proof::prove_inclusion(self, index, size)
    }

    /// Proves that the log of `old_size` entries is a prefix of the log of `new_size`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn prove_consistency(&self, old_size: u64, new_size: u64) -> Result<ConsistencyProof> {
        self.reached(new_size)?;
        proof::prove_consistency(self, old_size, new_size)
    }

    fn reached(&self, size: u64) -> Result<()> {
        if size > self.size() {
            return Err(Error::OutOfRange { what: "size", index: size, size: self.size() });
        }
        Ok(())
    }
}

impl Nodes for MerkleLog {
    fn node(&self, index: NodeIndex) -> Option<TreeHash> {
        let hashes = self.levels.get(usize::from(index.level))?;
        hashes.get(usize::try_from(index.index).ok()?).copied()
    }
}
