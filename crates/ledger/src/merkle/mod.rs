//! The Merkle tree over the log's entries: RFC 9162, section 2.1, over SHA-256.
//!
//! SHA-256 because every outside verifier fixes it; content ids stay BLAKE3. The hash of a *complete* subtree
//! (2^level leaves, aligned) never changes once its last leaf is in, so it is stored once, as a node; roots and
//! proofs of any size combine O(log n) of them and never hash a leaf again.
//!
//! Parts: [`Frontier`] appends with O(log n) memory and says which nodes became complete; [`Nodes`] is where
//! nodes are kept (memory, a key-value store); [`proof`] makes and verifies; [`MerkleLog`] is a frontier with
//! its nodes in memory.

mod frontier;
mod log;
mod node;
pub mod proof;

pub use frontier::Frontier;
pub use log::MerkleLog;
pub use node::{NodeIndex, Nodes, TreeHash};
pub use proof::{ConsistencyProof, InclusionProof};
