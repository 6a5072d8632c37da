//! The lineage ledger as pure functions: what is recorded, under which id, how it is proved, how it is walked.
//!
//! - [`record`]: the nodes of the lineage graph, each with its input edges inside, as canonical CBOR named by
//!   its BLAKE3 (`docs/formats/record.md`); an id commits to the record's whole ancestry.
//! - [`sealed`]: personal or free text, in a record only as a salted commitment.
//! - [`entry`], [`merkle`]: the log over records as an RFC 9162 tree, with inclusion and consistency proofs
//!   (`docs/formats/ledger.md`).
//! - [`graph`]: the index over records in log order: names, walks both ways as of any prefix, diff.
//! - [`render`]: a walk as tree text, JSON, DOT and PROV-JSON.
//!
//! Invariants:
//! - the same values give the same bytes, and bytes that are not in canonical form are refused;
//! - a record only names records before it in the log, so the graph has no cycles and no dangling edges;
//! - an answer is a function of the log's prefix it was asked for, and says when it is not complete.
//!
//! Deliberately absent: disks, clocks, randomness (salts are arguments), signatures, Arrow, the rows themselves.

pub mod canonical;
pub mod entry;
mod error;
pub mod graph;
pub mod merkle;
pub mod record;
pub mod render;
pub mod sealed;

pub use entry::Entry;
pub use error::Error;
pub use graph::Graph;
pub use merkle::MerkleLog;
pub use record::Record;
pub use sealed::{Sealed, SealedText};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
