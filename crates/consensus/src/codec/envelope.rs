//! The envelope of a log entry, format `docs/formats/entry.md`: version, kind, time, payload.
//!
//! Invariants:
//! - an entry without bytes is what a new leader begins its term with, and means nothing else;
//! - every other entry has a header of [`HEADER_BYTES`]; an unknown version or kind is refused.

use bytes::{Bytes, BytesMut};
use lineate_types::TimestampUs;

use crate::{Error, Result};

/// Version of the format.
pub(crate) const VERSION: u8 = 1;
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 10;

const COMMAND: u8 = 1;
const CLOSE: u8 = 2;
const CEILING: u8 = 3;

/// A decoded entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// The first entry of a leader's term.
    Empty,
    /// A command and its commit time.
    Command {
        /// Strictly above every time before it in the log.
        commit_time: TimestampUs,
        /// The bytes that were proposed.
        payload: Bytes,
    },
    /// Nothing behind this entry has a commit time at or below `at`.
    Close {
        /// The closed time.
        at: TimestampUs,
    },
    /// The leader may stamp and answer up to `at`; a later leader begins above the last of these.
    Ceiling {
        /// The ceiling.
        at: TimestampUs,
    },
}

/// The envelope of a command whose commit time is not known yet; see [`stamp`].
pub(crate) fn draft(payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + payload.len());
    header(&mut bytes, COMMAND, TimestampUs::MIN);
    bytes.extend_from_slice(payload);
    bytes
}

/// Gives a drafted command its commit time.
pub(crate) fn stamp(mut draft: BytesMut, commit_time: TimestampUs) -> Bytes {
    if let Some(field) = draft.get_mut(2..HEADER_BYTES) {
        field.copy_from_slice(&commit_time.0.to_le_bytes());
    }
    draft.freeze()
}

/// A close at a time.
pub(crate) fn close(at: TimestampUs) -> Bytes {
    bare(CLOSE, at)
}

/// A ceiling at a time.
pub(crate) fn ceiling(at: TimestampUs) -> Bytes {
    bare(CEILING, at)
}

/// Reads an entry. The payload shares the bytes of the entry.
///
/// # Errors
/// [`Error::Malformed`] where the bytes are not an envelope of a known version and kind.
pub(crate) fn decode(data: &Bytes) -> Result<Envelope> {
    if data.is_empty() {
        return Ok(Envelope::Empty);
    }
    let malformed = |found: String| Error::Malformed { what: "an entry of the raft log", found };
    let Some((head, rest)) = data.split_first_chunk::<HEADER_BYTES>() else {
        return Err(malformed(format!("{} bytes, the header alone has {HEADER_BYTES}", data.len())));
    };
    let [version, kind, time @ ..] = *head;
    if version != VERSION {
        return Err(malformed(format!("format version {version}, this release knows {VERSION}")));
    }
    let time = TimestampUs(i64::from_le_bytes(time));
    match kind {
        COMMAND => Ok(Envelope::Command { commit_time: time, payload: data.slice(HEADER_BYTES..) }),
        CLOSE | CEILING if !rest.is_empty() => {
            Err(malformed(format!("{} bytes after a header of kind {kind}, which has none", rest.len())))
        }
        CLOSE => Ok(Envelope::Close { at: time }),
        CEILING => Ok(Envelope::Ceiling { at: time }),
        _ => Err(malformed(format!("kind {kind}, this release knows {COMMAND} to {CEILING}"))),
    }
}

fn bare(kind: u8, time: TimestampUs) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES);
    header(&mut bytes, kind, time);
    bytes.freeze()
}

fn header(bytes: &mut BytesMut, kind: u8, time: TimestampUs) {
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(&time.0.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::hex;

    #[test]
    fn the_bytes_of_every_kind_are_these() {
        let time = TimestampUs(1_370_088_000_000_000);
        expect!["010100108d7816de0400616263"].assert_eq(&hex(&stamp(draft(b"abc"), time)));
        expect!["010200108d7816de0400"].assert_eq(&hex(&close(time)));
        expect!["0103ffffffffffffffff"].assert_eq(&hex(&ceiling(TimestampUs(-1))));
    }

    #[test]
    fn what_is_not_an_envelope_is_refused() {
        for bytes in [
            &[1][..],
            &[1, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 4, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(decode(&Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
        assert_eq!(decode(&Bytes::new()).ok(), Some(Envelope::Empty));
    }

    proptest! {
        #[test]
        fn envelopes_round_trip(time in any::<i64>(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let time = TimestampUs(time);
            let command = stamp(draft(&payload), time);
            let expected = Envelope::Command { commit_time: time, payload: payload.into() };
            prop_assert_eq!(decode(&command).ok(), Some(expected));
            prop_assert_eq!(decode(&close(time)).ok(), Some(Envelope::Close { at: time }));
            prop_assert_eq!(decode(&ceiling(time)).ok(), Some(Envelope::Ceiling { at: time }));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = decode(&Bytes::from(bytes));
        }
    }
}
