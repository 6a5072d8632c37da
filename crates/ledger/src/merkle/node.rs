//! Hashes and places of the tree's nodes.

use std::fmt;

use sha2::{Digest, Sha256};

/// A SHA-256 hash of the tree: of a leaf, a node or the root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The root of the tree without leaves.
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The hash of a leaf: SHA-256 of `0x00 || entry`.
    pub fn leaf(entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
    }

    /// The hash of a node: SHA-256 of `0x01 || left || right`.
    pub fn node(left: Self, right: Self) -> Self {
        Self(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// A hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The root of the tree without leaves.
impl Default for TreeHash {
    fn default() -> Self {
        Self::empty()
    }
}

/// Printed as 64 lowercase hex digits.
impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of a complete subtree: the leaves `index * 2^level .. (index + 1) * 2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex {
    /// 0 for leaves; at most 63.
    pub level: u8,
    /// The place among the subtrees of this level.
    pub index: u64,
}

impl NodeIndex {
    /// The two halves of this subtree; none for a leaf, or for a place that no log has.
    pub fn children(self) -> Option<(Self, Self)> {
        let level = self.level.checked_sub(1)?;
        let index = self.index.checked_mul(2)?;
        Some((Self { level, index }, Self { level, index: index + 1 }))
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level, self.index)
    }
}

/// Where the nodes of complete subtrees are kept.
pub trait Nodes {
    /// The hash of a complete subtree.
    fn node(&self, index: NodeIndex) -> Option<TreeHash>;
}

/// The places of the complete subtrees that the leaves `start .. end` fall into, from left to right, largest
/// first. `start` is a multiple of the smallest power of two that is at least `end - start`.
pub(super) fn peaks(start: u64, end: u64) -> impl DoubleEndedIterator<Item = NodeIndex> {
    let length = end - start;
    (0..64_u8).rev().filter(move |level| length >> level & 1 == 1).map(move |level| {
        // Above this bit lie the larger subtrees to the left.
        let before = if level == 63 { 0 } else { length >> (level + 1) << (level + 1) };
        NodeIndex { level, index: (start + before) >> level }
    })
}
