//! Text that may be personal: kept apart, and in a record only as a salted commitment.
//!
//! The commitment is BLAKE3 in `derive_key` mode over `salt || text`. Whoever has salt and text can show that
//! they are what was recorded; once both are deleted, 256 bits of salt keep the text from being guessed while
//! every id and proof stays as it was. One salt kept for one principal makes that principal one agent of the
//! graph; a salt of its own for each text makes texts unlinkable.

use std::fmt;

use lineate_types::{Hash, limits};
use minicbor::{Decode, Encode};

use crate::{
    Error, Result,
    canonical::{self, Form, Version},
};

/// The domain of commitments.
pub const DOMAIN: &str = "lineate 2026 sealed text v1";

/// The commitment to a sealed text: all that a record holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Sealed(pub Hash);

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text with the salt that opens its commitment. Stored where it can be erased, never in the ledger.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SealedText {
    #[n(0)]
    version: Version<1>,
    #[cbor(n(1), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[n(2)]
    text: String,
}

impl Form for SealedText {
    const WHAT: &'static str = "sealed text";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = limits::SEALED_TEXT_BYTES + 64;
}

impl SealedText {
    /// Seals a text under a salt, which must come from a random source and be kept secret with the text.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than [`limits::SEALED_TEXT_BYTES`].
    pub fn new(salt: [u8; 32], text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.len() > limits::SEALED_TEXT_BYTES {
            return Err(Error::TooLarge {
                what: Self::WHAT,
                unit: "bytes",
                actual: text.len(),
                limit: limits::SEALED_TEXT_BYTES,
            });
        }
        Ok(Self { version: Version, salt, text })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a record holds in place of the text.
    pub fn commitment(&self) -> Sealed {
        let mut hasher = lineate_types::Hasher::new_derive_key(DOMAIN);
        hasher.update(&self.salt);
        hasher.update(self.text.as_bytes());
        Sealed(Hash::finish(&hasher))
    }

    /// Checks that this text is what a record committed to.
    ///
    /// # Errors
    /// [`Error::SealMismatch`].
    pub fn verify(&self, commitment: Sealed) -> Result<()> {
        if self.commitment() == commitment {
            Ok(())
        } else {
            Err(Error::SealMismatch { commitment: commitment.0 })
        }
    }

    /// The canonical bytes, as they are stored.
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// See [`canonical::from_bytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let sealed: Self = canonical::from_bytes(bytes)?;
        Self::new(sealed.salt, sealed.text)
    }
}

/// Shows the commitment only: neither text nor salt belongs in a log line.
impl fmt::Debug for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealedText").field(&self.commitment().0).finish()
    }
}
