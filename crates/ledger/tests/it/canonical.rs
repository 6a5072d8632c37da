//! One value has one byte form, and no other bytes are read.

use lineate_ledger::{Entry, Error, Record, SealedText, record::Kind};
use lineate_types::{ErrorKind, HasKind, Hash, TimestampUs};
use proptest::prelude::*;

use crate::{arbitrary, samples};

/// A view record whose fields map is written by hand, field by field.
fn view_bytes(fields: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa3, 0x00, 0x01, 0x01, 0x64];
    bytes.extend(b"view");
    bytes.push(0x02);
    bytes.extend(fields);
    bytes
}

fn hash_field(key: u8) -> Vec<u8> {
    let mut bytes = vec![key, 0x58, 0x20];
    bytes.extend(Hash::of(b"definition").as_bytes());
    bytes
}

fn refused(bytes: &[u8]) -> Error {
    Record::decode(bytes).expect_err("these bytes are not canonical")
}

#[test]
fn bytes_written_by_hand_are_read() {
    let fields =
        [&[0xa5, 0x00, 0x61, b'p', 0x01, 0x61, b'n', 0x02, 0x01][..], &hash_field(3), &[0x04, 0x61, b'e']]
            .concat();
    let record = Record::decode(&view_bytes(&fields)).expect("canonical");
    assert_eq!(record.kind(), Kind::View);
    assert_eq!(record.project().as_str(), "p");
}

#[test]
fn other_ways_to_say_the_same_are_refused() {
    let hash = hash_field(3);
    let entity = [0x04, 0x61, b'e'];
    let ways: [(&str, Vec<u8>); 7] = [
        (
            "a longer integer",
            [&[0xa5, 0x00, 0x61, b'p', 0x01, 0x61, b'n', 0x02, 0x18, 0x01][..], &hash, &entity].concat(),
        ),
        (
            "a longer length of text",
            [&[0xa5, 0x00, 0x78, 0x01, b'p', 0x01, 0x61, b'n', 0x02, 0x01][..], &hash, &entity].concat(),
        ),
        (
            "keys out of order",
            [&[0xa5, 0x01, 0x61, b'n', 0x00, 0x61, b'p', 0x02, 0x01][..], &hash, &entity].concat(),
        ),
        (
            "a key twice",
            [&[0xa6, 0x00, 0x61, b'q', 0x00, 0x61, b'p', 0x01, 0x61, b'n', 0x02, 0x01][..], &hash, &entity]
                .concat(),
        ),
        (
            "a null for an absent field",
            [&[0xa6, 0x00, 0x61, b'p', 0x01, 0x61, b'n', 0x02, 0x01][..], &hash, &entity, &[0x05, 0xf6]]
                .concat(),
        ),
        (
            "an unknown field",
            [&[0xa6, 0x00, 0x61, b'p', 0x01, 0x61, b'n', 0x02, 0x01][..], &hash, &entity, &[0x06, 0x00]]
                .concat(),
        ),
        (
            "a map of indefinite length",
            [&[0xbf, 0x00, 0x61, b'p', 0x01, 0x61, b'n', 0x02, 0x01][..], &hash, &entity, &[0xff]].concat(),
        ),
    ];
    for (why, fields) in ways {
        let error = refused(&view_bytes(&fields));
        assert!(matches!(error, Error::NotCanonical { .. }), "{why}: {error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{why}");
    }
}

#[test]
fn a_set_out_of_order_or_with_a_member_twice_is_refused() {
    let (less, more) = ([1_u8; 32], [2_u8; 32]);
    let service = |first: [u8; 32], second: [u8; 32]| {
        let record = samples::service(1, &[Hash::from_bytes(less), Hash::from_bytes(more)]);
        let mut bytes = record.encode();
        let end = bytes.len();
        bytes[end - 32..].copy_from_slice(&second);
        bytes[end - 66..end - 34].copy_from_slice(&first);
        bytes
    };
    assert!(Record::decode(&service(less, more)).is_ok());
    assert!(matches!(refused(&service(more, less)), Error::NotCanonical { .. }));
    assert!(matches!(refused(&service(less, less)), Error::NotCanonical { .. }));
}

#[test]
fn bytes_of_a_later_version_are_told_from_broken_ones() {
    let mut record = samples::view("weather", 1, None).encode();
    record[2] = 2;
    assert_eq!(refused(&record), Error::UnknownVersion { what: "record", version: 2, supported: 1 });
    assert_eq!(
        refused(&[0xa1, 0x00, 0x19, 0x01, 0x00]),
        Error::UnknownVersion { what: "record", version: 256, supported: 1 }
    );
    let mut entry = Entry::new(1, Kind::View, Hash::of(b"x"), TimestampUs(1)).encode();
    entry[2] = 0;
    assert!(matches!(Entry::decode(&entry), Err(Error::UnknownVersion { version: 0, .. })));
    let mut text = SealedText::new([0; 32], "x").expect("short").encode();
    text[2] = 7;
    assert!(matches!(SealedText::decode(&text), Err(Error::UnknownVersion { version: 7, .. })));
}

#[test]
fn an_unknown_kind_is_refused() {
    let mut bytes = samples::view("weather", 1, None).encode();
    bytes[5..9].copy_from_slice(b"vieu");
    let error = refused(&bytes);
    assert!(error.to_string().contains("`vieu` is not a kind of record"), "{error}");
}

#[test]
fn more_bytes_than_a_record_may_have_are_not_looked_at() {
    let error = refused(&vec![0; lineate_types::limits::RECORD_BYTES + 1]);
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

/// A length that the input does not have must not be allocated.
#[test]
fn a_length_beyond_the_input_is_refused() {
    let fields = [0xa5, 0x00, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(matches!(refused(&view_bytes(&fields)), Error::Malformed { .. }));
    let mut service = samples::service(1, &[Hash::of(b"x")]).encode();
    let array = service.len() - 35;
    assert_eq!(service[array], 0x81);
    service.splice(array..=array, [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(refused(&service), Error::Malformed { .. }));
}

proptest! {
    #[test]
    fn every_record_decodes_to_itself(record in arbitrary::record()) {
        let bytes = record.encode();
        prop_assert_eq!(Record::decode(&bytes), Ok(record.clone()));
        prop_assert_eq!(Record::id_of(record.kind(), &bytes), record.id());
    }

    /// Whatever is read is the canonical form of what it was read as: two different byte strings never give
    /// one record.
    #[test]
    fn changed_bytes_give_another_record_or_none(
        record in arbitrary::record(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = record.encode();
        let position = position.index(bytes.len());
        prop_assume!(bytes[position] != byte);
        bytes[position] = byte;
        if let Ok(other) = Record::decode(&bytes) {
            prop_assert_ne!(&other, &record);
            prop_assert_eq!(other.encode(), bytes);
            prop_assert_ne!(other.id(), record.id());
        }
    }

    #[test]
    fn shorter_and_longer_bytes_are_refused(
        record in arbitrary::record(),
        cut in any::<prop::sample::Index>(),
        more in any::<u8>(),
    ) {
        let mut bytes = record.encode();
        prop_assert!(Record::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(more);
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }

    #[test]
    fn every_entry_decodes_to_itself(
        seq in any::<u64>(),
        kind in prop::sample::select(&Kind::ALL[..]),
        record in any::<[u8; 32]>(),
        time in any::<i64>(),
    ) {
        let entry = Entry::new(seq, kind, Hash::from_bytes(record), TimestampUs(time));
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }
}
