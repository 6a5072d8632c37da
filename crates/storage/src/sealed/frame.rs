//! The bytes of a file of sealed texts: a header, then frames (`docs/formats/sealed-texts.md`).

use std::path::Path;

use lineate_types::{Hash, limits};

use crate::{Error, Result};

/// The only version this code reads and writes.
pub(super) const VERSION: u32 = 1;
/// Bytes of the header of a file.
pub(super) const FILE_HEADER_BYTES: usize = 32;
/// Bytes of a frame before its payload.
pub(super) const HEADER_BYTES: usize = 60;
/// What a frame begins with.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"LTXT";
const FILE_MAGIC: [u8; 8] = *b"LNSEALED";
const CHECK_BYTES: usize = 16;
/// Where the check of a frame's header is.
const CHECK_AT: usize = HEADER_BYTES - CHECK_BYTES;

/// The first bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// The number in the file's name.
    pub(super) number: u32,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A text.
    Text,
    /// A text that is listed when the files are opened.
    Listed,
    /// That a text was erased.
    Erased,
}

/// One text, or that it was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: FrameKind,
    pub(super) key: Hash,
    pub(super) payload: &'a [u8],
}

/// A frame whose header holds and whose payload does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DamagedPayload {
    pub(super) key: Hash,
}

impl FileHeader {
    pub(super) fn encode(self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&FILE_MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        let check = check(bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&check);
    }

    /// Whether the bytes begin with a header, of this or another version.
    pub(super) fn is_at(bytes: &[u8]) -> bool {
        version(bytes).is_some()
    }

    /// Refuses a file of another version. A header that is damaged says nothing of a version.
    pub(super) fn check_version(path: &Path, bytes: &[u8]) -> Result<()> {
        match version(bytes) {
            Some(found) if found != VERSION => {
                Err(Error::Version { what: path.display().to_string(), found, known: VERSION })
            }
            _ => Ok(()),
        }
    }
}

/// The version a whole header says.
fn version(bytes: &[u8]) -> Option<u32> {
    let (said, rest) = bytes.split_at_checked(FILE_HEADER_BYTES - CHECK_BYTES)?;
    let (magic, numbers) = said.split_first_chunk::<8>()?;
    let (version, _) = numbers.split_first_chunk::<4>()?;
    (*magic == FILE_MAGIC && rest.starts_with(&check(said))).then(|| u32::from_le_bytes(*version))
}

impl FrameKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Listed => 2,
            Self::Erased => 3,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Text, Self::Listed, Self::Erased].into_iter().find(|kind| kind.byte() == byte)
    }
}

impl<'a> Frame<'a> {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&FRAME_MAGIC);
        bytes.extend_from_slice(&[self.kind.byte(), 0, 0, 0]);
        // At most `limits::SEALED_BYTES`, as the caller checked.
        bytes.extend_from_slice(&u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(self.key.as_bytes());
        let header = check(bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(self.payload);
        let whole = check(bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&whole);
    }

    /// What is left of a text whose bytes are not all there: a frame without a payload that does not hold, so that the
    /// text stays damaged.
    pub(super) fn encode_damaged(key: Hash, bytes: &mut Vec<u8>) {
        Frame { kind: FrameKind::Text, key, payload: &[] }.encode(bytes);
        let check = bytes.len() - CHECK_BYTES..;
        bytes.get_mut(check).into_iter().flatten().for_each(|byte| *byte = !*byte);
    }

    /// The bytes of a frame with this payload.
    pub(super) fn encoded_length(payload: &[u8]) -> usize {
        HEADER_BYTES + payload.len() + CHECK_BYTES
    }

    /// The bytes of the whole frame whose header this is; none if it is no header.
    pub(super) fn total_length(header: &[u8]) -> Option<usize> {
        let (said, rest) = header.split_at_checked(CHECK_AT)?;
        if !said.starts_with(&FRAME_MAGIC) || !rest.starts_with(&check(said)) {
            return None;
        }
        let (_, rest) = said.split_first_chunk::<8>()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        (length <= limits::SEALED_BYTES).then_some(HEADER_BYTES + length + CHECK_BYTES)
    }

    /// The frame that the bytes begin with, and its length; none if they begin with no header of one.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(usize, std::result::Result<Self, DamagedPayload>)> {
        let length = Self::total_length(bytes)?;
        let (said, _) = bytes.split_at_checked(CHECK_AT)?;
        let (head, rest) = said.split_first_chunk::<12>()?;
        let (key, _) = rest.split_first_chunk::<32>()?;
        let key = Hash::from_bytes(*key);
        let kind = FrameKind::of(*head.get(4)?);
        let whole = bytes.get(..length).and_then(|whole| whole.split_at_checked(length - CHECK_BYTES));
        let frame = match (whole, kind) {
            (Some((said, checked)), Some(kind)) if checked == check(said) => {
                Ok(Self { kind, key, payload: said.get(HEADER_BYTES..).unwrap_or_default() })
            }
            _ => Err(DamagedPayload { key }),
        };
        Some((length, frame))
    }
}

/// The first 16 bytes of the BLAKE3.
fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.iter_mut().zip(Hash::of(bytes).as_bytes()).for_each(|(to, from)| *to = *from);
    check
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn golden(frame: &Frame<'_>, expected: Expect) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        expected.assert_eq(&hex(&bytes));
        assert_eq!(Frame::decode(&bytes), Some((bytes.len(), Ok(*frame))));
    }

    #[test]
    fn the_bytes_are_those_of_the_page() {
        let mut bytes = Vec::new();
        FileHeader { number: 7 }.encode(&mut bytes);
        assert_eq!(bytes.len(), FILE_HEADER_BYTES);
        expect!["4c4e5345414c45440100000007000000e0558e40e84874f95255c09ba5dee1f0"].assert_eq(&hex(&bytes));
        let key = Hash::from_bytes([0xab; 32]);
        golden(
            &Frame { kind: FrameKind::Text, key, payload: b"text" },
            expect![
                "4c5458540100000004000000abababababababababababababababababababababababababababababababab77e0022420bf538726cc9fb2d6941fb6746578741b2a74ba4221e877b789ca4a9839f158"
            ],
        );
        golden(
            &Frame { kind: FrameKind::Erased, key, payload: b"" },
            expect![
                "4c5458540300000000000000ababababababababababababababababababababababababababababababababaa683044306edeb1dd718e84a1fc9b5fa452a479b1addb074a9e257b9eb4ca91"
            ],
        );
    }

    #[test]
    fn a_newer_version_is_refused_and_a_damaged_header_says_nothing() {
        let mut bytes = Vec::new();
        FileHeader { number: 7 }.encode(&mut bytes);
        let path = Path::new("texts-000007");
        assert!(FileHeader::check_version(path, &bytes).is_ok());
        let mut newer = bytes.clone();
        newer.truncate(8);
        newer.extend_from_slice(&2_u32.to_le_bytes());
        newer.extend_from_slice(&7_u32.to_le_bytes());
        let said = check(&newer);
        newer.extend_from_slice(&said);
        let refused = FileHeader::check_version(path, &newer).expect_err("newer").to_string();
        expect!["texts-000007 has format version 2; this binary reads version 1, use the one that wrote it"]
            .assert_eq(&refused);
        bytes[9] ^= 1;
        assert!(FileHeader::check_version(path, &bytes).is_ok());
    }
}
