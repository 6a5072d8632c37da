//! What is said about a record after it was made.

use lineate_types::{Hash, Name};
use minicbor::{Decode, Encode};

use crate::Sealed;

/// Something said about a record: an owner, a tag, a description, an approval.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Assertion {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The record it is about.
    #[n(1)]
    pub about: Hash,
    /// What is said: `owner`, `tag`, `description`, `approval` and the like.
    #[n(2)]
    pub predicate: Name,
    /// The value; none withdraws the assertion that this one replaces.
    #[n(3)]
    pub value: Option<Sealed>,
    /// The record of the assertion that no longer holds because of this one.
    #[n(4)]
    pub replaces: Option<Hash>,
    /// Who says it.
    #[n(5)]
    pub principal: Sealed,
}
