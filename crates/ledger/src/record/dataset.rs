//! The record of a training set: what pins it, and the hashes that prove it again.

use std::collections::BTreeSet;

use lineate_types::{Hash, MatchMode, Name, TimestampUs};
use minicbor::{Decode, Encode};

use crate::Sealed;

/// A column of the spine.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SpineColumn {
    /// The name, as given.
    #[n(0)]
    pub name: String,
    /// The logical hash of its values, in spine order.
    #[n(1)]
    pub logical_hash: Hash,
}

/// The labels: keys, times and any other columns, stored before matching.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Spine {
    /// The columns, in order.
    #[n(0)]
    pub columns: Vec<SpineColumn>,
    /// The plain BLAKE3 of the stored spine.
    #[n(1)]
    pub physical_hash: Hash,
    /// The rows.
    #[n(2)]
    pub rows: u64,
    /// The column of the label times.
    #[n(3)]
    pub time_column: String,
}

/// A column of the training set.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Column {
    /// The name.
    #[n(0)]
    pub name: String,
    /// The type, in the text form of definitions.
    #[n(1)]
    pub data_type: String,
    /// The logical hash of its values, in spine order.
    #[n(2)]
    pub logical_hash: Hash,
}

/// A stored file of the training set.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct File {
    /// The plain BLAKE3 of the file.
    #[n(0)]
    pub physical_hash: Hash,
    /// Its length.
    #[n(1)]
    pub bytes: u64,
    /// Its rows.
    #[n(2)]
    pub rows: u64,
}

/// One version of a training set: a spine joined with a service at a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Dataset {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(1)]
    pub name: Name,
    /// The version, from 1.
    #[n(2)]
    pub version: u32,
    /// The record of the service version.
    #[n(3)]
    pub service: Hash,
    /// The records of the view versions it was joined from.
    #[n(4)]
    pub views: BTreeSet<Hash>,
    /// The labels.
    #[n(5)]
    pub spine: Spine,
    /// The match mode asked for; none means the default mode of each view.
    #[cbor(n(6), with = "crate::canonical::mode", has_nil)]
    pub mode: Option<MatchMode>,
    /// The snapshot: no row with a later commit time was a candidate.
    #[n(7)]
    pub snapshot: TimestampUs,
    /// The version of the point-in-time contract.
    #[n(8)]
    pub contract_version: u32,
    /// The records of the loads and seals of these views that were readable at the snapshot, or of collections of
    /// them.
    #[n(9)]
    pub inputs: BTreeSet<Hash>,
    /// The rows.
    #[n(10)]
    pub rows: u64,
    /// The columns, in order.
    #[n(11)]
    pub columns: Vec<Column>,
    /// The stored files, in row order.
    #[n(12)]
    pub files: Vec<File>,
    /// Who made it.
    #[n(13)]
    pub principal: Sealed,
}
