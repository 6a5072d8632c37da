//! The envelope of every stored value: a version, a flag, and a checksum over the value and its stored key.
//!
//! `docs/formats/kv.md` describes the bytes.

use crate::{Error, Result};

/// The only version this code reads and writes.
const VERSION: u8 = 1;
/// Bytes before the payload: version, flag, checksum.
pub(super) const ENVELOPE: usize = 6;

/// The payload is the value.
pub(super) const WHOLE: u8 = 0;

/// Puts a payload into its envelope.
pub(super) fn seal(stored_key: &[u8], flag: u8, payload: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(ENVELOPE + payload.len());
    sealed.extend_from_slice(&[VERSION, flag]);
    sealed.extend_from_slice(&checksum(stored_key, flag, payload).to_le_bytes());
    sealed.extend_from_slice(payload);
    sealed
}

/// The flag and the payload, verified.
pub(super) fn unseal<'a>(tree: &str, stored_key: &[u8], stored: &'a [u8]) -> Result<(u8, &'a [u8])> {
    let Some((envelope, payload)) = stored.split_first_chunk::<ENVELOPE>() else {
        return Err(corrupt(tree, "it is shorter than its envelope"));
    };
    let [version, flag, found @ ..] = *envelope;
    if version != VERSION {
        let what = format!("a value in tree `{tree}`");
        return Err(Error::Version { what, found: u32::from(version), known: u32::from(VERSION) });
    }
    if u32::from_le_bytes(found) != checksum(stored_key, flag, payload) {
        return Err(corrupt(tree, "its checksum does not match"));
    }
    Ok((flag, payload))
}

/// The error of a value that does not verify. It names the tree only: keys may be personal data.
pub(super) fn corrupt(tree: &str, found: &str) -> Error {
    Error::corrupt(format!("a value in tree `{tree}`"), found)
}

fn checksum(stored_key: &[u8], flag: u8, payload: &[u8]) -> u32 {
    let length = u32::try_from(stored_key.len()).unwrap_or(u32::MAX).to_le_bytes();
    let parts: [&[u8]; 4] = [&[VERSION, flag], &length, stored_key, payload];
    parts.into_iter().fold(0, crc32c::crc32c_append)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_is_these_bytes() {
        let text: String = seal(b"key", WHOLE, b"value").iter().map(|byte| format!("{byte:02x}")).collect();
        expect_test::expect!["01002925d61576616c7565"].assert_eq(&text);
    }

    #[test]
    fn a_value_under_another_key_does_not_verify() {
        let sealed = seal(b"a", WHOLE, b"value");
        assert_eq!(unseal("t", b"a", &sealed).expect("verifies"), (WHOLE, &b"value"[..]));
        assert!(matches!(unseal("t", b"b", &sealed), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let sealed = seal(b"key", WHOLE, b"value");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("t", b"key", &damaged).is_err(), "bit {bit}");
        }
    }
}
