//! Records of definitions: view and service versions.

use std::collections::BTreeSet;

use lineate_types::{Hash, Name};
use minicbor::{Decode, Encode};

/// One version of a feature view. Owner, tags and descriptions are assertions beside it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct View {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(1)]
    pub name: Name,
    /// The version, from 1.
    #[n(2)]
    pub version: u32,
    /// The plain BLAKE3 of the canonical bytes of the definition.
    #[n(3)]
    pub definition_hash: Hash,
    /// The entity's name.
    #[n(4)]
    pub entity: Name,
    /// The record of the version before, if this is not the first.
    #[n(5)]
    pub previous: Option<Hash>,
}

/// One version of a feature service.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Service {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(1)]
    pub name: Name,
    /// The version, from 1.
    #[n(2)]
    pub version: u32,
    /// The plain BLAKE3 of the canonical bytes of the definition.
    #[n(3)]
    pub definition_hash: Hash,
    /// The records of the view versions it takes features from, at least one.
    #[n(4)]
    pub views: BTreeSet<Hash>,
}
