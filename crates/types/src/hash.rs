//! BLAKE3 content hashes: the name of every blob, segment and record.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};

/// A 32-byte BLAKE3 hash, printed as `b3:` and 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Hash(#[cbor(with = "minicbor::bytes")] [u8; 32]);

/// Incremental BLAKE3.
pub type Hasher = blake3::Hasher;

/// The text is not a content hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a content hash; expected `b3:` and {digits} hex digits")]
pub struct ParseHashError {
    text: String,
    digits: &'static str,
}

impl ParseHashError {
    /// The text is not the beginning of one either.
    pub(crate) fn of_prefix(text: &str) -> Self {
        Self { text: text.to_owned(), digits: "8 to 64" }
    }
}

impl Hash {
    /// The plain hash of some bytes, as `b3sum` prints it.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of some bytes under a domain of its own (BLAKE3 `derive_key` mode), so that equal bytes of
    /// two kinds never share an identity.
    pub fn in_domain(domain: &'static str, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new_derive_key(domain);
        hasher.update(bytes);
        Self::finish(&hasher)
    }

    /// What an incremental hasher has seen so far.
    pub fn finish(hasher: &Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }

    /// A hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits, without the prefix.
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> String {
        self.to_hex().chars().take(12).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", self.to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseHashError { text: text.to_owned(), digits: "64" };
        let hex = text.strip_prefix("b3:").ok_or_else(error)?;
        let hash = blake3::Hash::from_hex(hex).map_err(|_| error())?;
        Ok(Self(*hash.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_matches_b3sum() {
        let hash = Hash::of(b"abc");
        let text = hash.to_string();
        assert_eq!(text, "b3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(text.parse(), Ok(hash));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "b3:", "6437b3ac", "b3:zz", "sha256:6437"] {
            assert!(text.parse::<Hash>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_domain_separates_equal_bytes() {
        assert_ne!(Hash::in_domain("lineate test a", b"x"), Hash::in_domain("lineate test b", b"x"));
    }
}
