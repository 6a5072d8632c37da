//! Inputs named together.

use std::collections::BTreeSet;

use lineate_types::{Hash, Name};
use minicbor::{Decode, Encode};

/// Loads and seals that training sets name together, so that the record of a training set over a long stream stays
/// small and later ones share what they have in common. Says nothing that its members do not.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Collection {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The records of loads and seals, at least one.
    #[n(1)]
    pub members: BTreeSet<Hash>,
}
