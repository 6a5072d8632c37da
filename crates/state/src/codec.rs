//! One byte of format version, then CBOR: the form of every command, reply and stored value of this crate.

use minicbor::{Decode, Encode};

use crate::Error;

/// The version written; another one read is refused.
pub const FORMAT_VERSION: u8 = 2;

/// Encodes a value.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    encode_as(FORMAT_VERSION, value)
}

/// Encodes a value of a form that has versions of its own.
pub(crate) fn encode_as<T: Encode<()>>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![version];
    minicbor::encode(value, &mut bytes)
        .expect("invariant: writing to a Vec cannot fail and no codec here refuses");
    bytes
}

/// Decodes a value; bytes left over are an error.
///
/// # Errors
/// The version is unknown or the bytes are no `what`.
pub fn decode<'b, T: Decode<'b, ()>>(what: &str, bytes: &'b [u8]) -> Result<T, Error> {
    let corrupt = |why: String| Error::Corrupt { what: what.into(), why };
    match bytes.split_first() {
        Some((&FORMAT_VERSION, body)) => {
            let mut decoder = minicbor::Decoder::new(body);
            let value = decoder.decode().map_err(|cause| corrupt(cause.to_string()))?;
            match decoder.position() == body.len() {
                true => Ok(value),
                false => Err(corrupt(format!("{} bytes are left over", body.len() - decoder.position()))),
            }
        }
        Some((version, _)) => {
            let release = if *version > FORMAT_VERSION { "a newer" } else { "an earlier" };
            Err(corrupt(format!(
                "its format version is {version}, this release reads {FORMAT_VERSION}; {release} release wrote it"
            )))
        }
        None => Err(corrupt("it is empty".into())),
    }
}
