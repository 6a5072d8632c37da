//! Texts that were erased.

use std::collections::BTreeSet;

use lineate_types::{Hash, Name};
use minicbor::{Decode, Encode};

use crate::Sealed;

/// Texts that a record or what was said of it committed to, erased for good. The commitments stay, so that every id and
/// proof is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Erasure {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The record whose texts they are; for a name, the commitment to the agent.
    #[n(1)]
    pub about: Hash,
    /// The commitments to the texts, at least one.
    #[n(2)]
    pub texts: BTreeSet<Sealed>,
    /// Who had them erased.
    #[n(3)]
    pub principal: Sealed,
}
