//! Deterministic CBOR (RFC 8949, 4.2.1), the one byte form of everything the ledger hashes.
//!
//! A form is a map with ascending integer keys whose key 0 is its format version. Definite lengths, shortest
//! integers, no floats, no tags, no unknown fields; a field that is absent is left out, never null. Sets are
//! arrays in ascending order, words of a closed vocabulary are text, times are int64 microseconds.
//!
//! Decoding compares the bytes with the encoding of what they decoded to: whatever is not the canonical form
//! (a longer integer, a swapped key, a duplicate, a trailing byte, an unknown field) differs and is refused.

pub(crate) mod mode;
pub(crate) mod pairs;
mod words;

pub(crate) use words::words;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::{Error, Result};

/// A value with a canonical byte form of its own.
pub trait Form: Encode<()> + for<'b> Decode<'b, ()> {
    /// What it is, for messages.
    const WHAT: &'static str;
    /// The format version written, and the only one read.
    const VERSION: u8;
    /// The longest form that is read.
    const MAX_BYTES: usize;
}

/// The canonical bytes of a value.
pub fn to_bytes<T: Form>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value)
        .expect("invariant: a `Vec<u8>` takes every write and no encoder of this crate reports an error")
}

/// Reads canonical bytes, and nothing else.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::UnknownVersion`], [`Error::Malformed`], or [`Error::NotCanonical`] for bytes
/// that mean the same value but are not its canonical form.
pub fn from_bytes<T: Form>(bytes: &[u8]) -> Result<T> {
    if bytes.len() > T::MAX_BYTES {
        return Err(Error::TooLarge {
            what: T::WHAT,
            unit: "bytes",
            actual: bytes.len(),
            limit: T::MAX_BYTES,
        });
    }
    let malformed = |cause: decode::Error| Error::Malformed { what: T::WHAT, why: cause.to_string() };
    let version = peek_version(bytes).map_err(malformed)?;
    if version != u64::from(T::VERSION) {
        return Err(Error::UnknownVersion { what: T::WHAT, version, supported: T::VERSION });
    }
    let value: T = minicbor::decode(bytes).map_err(malformed)?;
    let canonical = to_bytes(&value);
    if canonical != bytes {
        let same = canonical.iter().zip(bytes).take_while(|(left, right)| left == right).count();
        return Err(Error::NotCanonical { what: T::WHAT, offset: same });
    }
    Ok(value)
}

/// Reads only the version, so that a later form is told from a broken one before its fields are read.
fn peek_version(bytes: &[u8]) -> Result<u64, decode::Error> {
    let mut decoder = Decoder::new(bytes);
    if decoder.map()?.is_none_or(|fields| fields == 0) {
        return Err(decode::Error::message("expected a map of known length that begins with its version"));
    }
    expect_key(&mut decoder, 0)?;
    decoder.u64()
}

/// Reads a map key that must be the next one.
pub(crate) fn expect_key(decoder: &mut Decoder<'_>, key: u8) -> Result<(), decode::Error> {
    match decoder.u8()? {
        found if found == key => Ok(()),
        found => Err(decode::Error::message(format!("expected map key {key}, found {found}"))),
    }
}

/// The version field of a form, written as `N` and read as nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Version<const N: u8>;

impl<const N: u8, C> Encode<C> for Version<N> {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.u8(N)?.ok()
    }
}

impl<'b, const N: u8, C> Decode<'b, C> for Version<N> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        match d.u64()? {
            version if version == u64::from(N) => Ok(Self),
            version => Err(decode::Error::message(format!("expected version {N}, found {version}"))),
        }
    }
}
