//! The leaves of the ledger's Merkle tree: which record was committed when, and where in the log.
//!
//! No Raft term, index or node appears, so that a restore or another cluster size gives the same tree.

use lineate_types::{Hash, TimestampUs};
use minicbor::{Decode, Encode};

use crate::{
    Result,
    canonical::{self, Form, Version},
    merkle::TreeHash,
    record::Kind,
};

/// One entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    #[n(0)]
    version: Version<1>,
    /// Its place in the log, from 0 without gaps; the index of its leaf.
    #[n(1)]
    pub seq: u64,
    /// The kind of the record.
    #[n(2)]
    pub kind: Kind,
    /// The id of the record.
    #[n(3)]
    pub record: Hash,
    /// The commit time of the command that recorded it; never less than the entry's before.
    #[n(4)]
    pub commit_time: TimestampUs,
}

impl Form for Entry {
    const WHAT: &'static str = "ledger entry";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 128;
}

impl Entry {
    /// The entry of a record.
    pub const fn new(seq: u64, kind: Kind, record: Hash, commit_time: TimestampUs) -> Self {
        Self { version: Version, seq, kind, record, commit_time }
    }

    /// The canonical bytes: what the leaf hashes.
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// See [`canonical::from_bytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        canonical::from_bytes(bytes)
    }

    /// The hash of the entry's leaf.
    pub fn leaf(&self) -> TreeHash {
        TreeHash::leaf(&self.encode())
    }
}
