//! Who causes a change, and the position of an idempotent writer.

use std::fmt;

use minicbor::{Decode, Encode};

/// Who caused a command: `local` (the operating-system user of an unauthenticated store) or an identity
/// established by authentication. Opaque, compared as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Principal(pub String);

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An idempotent writer, issued by the server and bound to one principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct WriterId(pub u64);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

/// The place of one batch in what a writer sends: the same position always carries the same payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct WriterPosition {
    /// The writer.
    #[n(0)]
    pub writer: WriterId,
    /// The writer's epoch: raised when a writer starts again, fencing what it sent before.
    #[n(1)]
    pub epoch: u32,
    /// The batch's number in the epoch, from 1, without gaps.
    #[n(2)]
    pub sequence: u64,
}
