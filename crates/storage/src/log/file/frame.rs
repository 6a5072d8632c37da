//! Building a frame, and reading one back with every check there is.

use super::format::{
    Chain, FRAME_HEADER, FRAME_TRAILER, FrameHeader, FrameKind, MARK, Place, RECORD_HEADER, RecordHeader,
    SECTOR, mark, read_mark, trailer,
};

/// A frame being built for one place.
#[derive(Debug)]
pub(super) struct FrameBuilder {
    unit: Place,
    bytes: Vec<u8>,
    records: u32,
}

/// A finished unit: a mark, a frame, and zeros up to the next sector.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) bytes: Vec<u8>,
    pub(super) chain: Chain,
}

/// A frame that verified.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: FrameKind,
    pub(super) records: Vec<Record<'a>>,
    pub(super) chain: Chain,
    /// Bytes of the unit, up to the next one.
    pub(super) unit_bytes: u64,
}

/// A record that verified, and its place.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) header: RecordHeader,
    pub(super) payload: &'a [u8],
    pub(super) offset: u64,
}

impl FrameBuilder {
    /// Begins a frame whose unit starts at `unit`; `previous` is the number of the frame before it.
    pub(super) fn new(unit: Place, previous: u64, buffer: Vec<u8>) -> Self {
        let mut bytes = buffer;
        bytes.clear();
        bytes.extend_from_slice(&mark(unit, previous));
        bytes.extend_from_slice(&[0; FRAME_HEADER]);
        Self { unit, bytes, records: 0 }
    }

    /// Adds a record; returns its offset in the file.
    pub(super) fn push(&mut self, header: &RecordHeader, payload: &[u8]) -> u64 {
        let place = self.unit.after(self.bytes.len() as u64);
        self.bytes.extend_from_slice(&header.encode(place, payload));
        self.bytes.extend_from_slice(payload);
        self.records += 1;
        place.offset
    }

    /// Whether no record was added.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Ends the frame.
    pub(super) fn finish(mut self, kind: FrameKind, number: u64, chain: &Chain) -> Unit {
        let start = MARK + FRAME_HEADER;
        let body = self.bytes.get(start..).unwrap_or_default();
        let body_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut header = FrameHeader { kind, body_bytes, records: self.records, number, chain: [0; 16] };
        let chain = header.chain_after(chain, body);
        header.chain = half(&chain);
        let header = header.encode(self.unit.after(MARK as u64));
        if let Some(target) = self.bytes.get_mut(MARK..start) {
            target.copy_from_slice(&header);
        }
        self.bytes.extend_from_slice(&trailer(number));
        let padded = self.bytes.len().next_multiple_of(SECTOR as usize);
        self.bytes.resize(padded, 0);
        Unit { bytes: self.bytes, chain }
    }
}

impl<'a> Frame<'a> {
    /// The frame `number` in the unit at `unit`, if every byte of it verifies. `bytes` begin with the unit.
    pub(super) fn read(unit: Place, bytes: &'a [u8], number: u64, chain: &Chain) -> Option<Self> {
        if read_mark(unit, bytes) != number.checked_sub(1) {
            return None;
        }
        let header = FrameHeader::decode(unit.after(MARK as u64), bytes.get(MARK..)?)?;
        let start = MARK + FRAME_HEADER;
        let end = start.checked_add(usize::try_from(header.body_bytes).ok()?)?;
        let body = bytes.get(start..end)?;
        let chain = header.chain_after(chain, body);
        let verifies = header.number == number
            && header.chain == half(&chain)
            && bytes.get(end..end + FRAME_TRAILER)? == trailer(number);
        let unit_bytes = (end + FRAME_TRAILER).next_multiple_of(SECTOR as usize);
        let padding = bytes.get(end + FRAME_TRAILER..unit_bytes)?;
        if !verifies || padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        let records = read_records(unit.after(start as u64), body)?;
        let complete = u32::try_from(records.len()) == Ok(header.records);
        complete.then_some(Self { kind: header.kind, records, chain, unit_bytes: unit_bytes as u64 })
    }
}

fn read_records(place: Place, body: &[u8]) -> Option<Vec<Record<'_>>> {
    let (mut records, mut position) = (Vec::new(), 0);
    while position < body.len() {
        let here = place.after(position as u64);
        let (header, payload) = RecordHeader::decode(here, body.get(position..)?)?;
        position += RECORD_HEADER + payload.len();
        records.push(Record { header, payload, offset: here.offset });
    }
    Some(records)
}

/// The half of a chain that is stored.
fn half(chain: &Chain) -> [u8; 16] {
    let mut stored = [0; 16];
    stored.copy_from_slice(chain.get(..16).unwrap_or(&[0; 16]));
    stored
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_types::GroupId;
    use proptest::prelude::*;

    use super::*;
    use crate::log::file::format::{FileHeader, RecordKind, continued};

    fn hex(bytes: &[u8]) -> String {
        let lines = bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect());
        lines.collect::<Vec<String>>().join("\n")
    }

    fn sample_header() -> FileHeader {
        FileHeader {
            store_id: *b"0123456789abcdef",
            sequence: 2,
            file_bytes: 8192,
            first_frame: 7,
            previous_end: 4096,
            previous_chain: [0xcc; 32],
        }
    }

    #[test]
    fn a_file_header_is_these_bytes_and_comes_back() {
        let header = sample_header();
        let bytes = header.encode();
        assert_eq!(FileHeader::decode("name", 2, &bytes).expect("verifies"), header);
        assert!(FileHeader::decode("name", 3, &bytes).is_err(), "of another file");
        expect![[r#"
            4c494e45414c4f470100000000000000
            30313233343536373839616263646566
            02000000000000000020000000000000
            07000000000000000010000000000000
            cccccccccccccccccccccccccccccccc
            cccccccccccccccccccccccccccccccc
            2f5e5598"#]]
        .assert_eq(&hex(&bytes));
        expect![[r#"
            e876ba5bcf43b2023c83aeeb8fac7bcf
            0e3564fa2cc3b8148cf3df6cd74502ba"#]]
        .assert_eq(&hex(&header.chain()));
    }

    #[test]
    fn a_unit_is_these_bytes_and_comes_back() {
        let unit = Place { sequence: 2, offset: 1024 };
        let chain = sample_header().chain();
        let mut frame = FrameBuilder::new(unit, 7, Vec::new());
        let group = GroupId(3);
        let (kind, payload) = (RecordKind::Entry, b"payload");
        let entry = RecordHeader { kind, group, index: 9, term: 4, payload_bytes: 7 };
        assert_eq!(frame.push(&entry, payload), 1024 + 60);
        let built = frame.finish(FrameKind::Batch, 8, &chain);
        let found = Frame::read(unit, &built.bytes, 8, &chain).expect("verifies");
        assert_eq!((found.kind, found.chain, found.unit_bytes), (FrameKind::Batch, built.chain, 512));
        let [record] = found.records.as_slice() else { panic!("one record") };
        assert_eq!((record.header, record.payload, record.offset), (entry, &payload[..], 1084));
        expect![[r#"
            4c4e4d4bf29806940700000000000000
            4c4e4652270000000100000002000000
            0800000000000000d7c557fa5fae4c1f
            8478593d09b3f90a47fc92e105000000
            03000000090000000000000004000000
            00000000070000000a5710767061796c
            6f61644c4e4e4450b613ce0000000000"#]]
        .assert_eq(&hex(&built.bytes[..112]));
        assert!(built.bytes[107..].iter().all(|byte| *byte == 0));
        expect!["4c4e4d4b2e6379e30800000000000000"].assert_eq(&hex(&mark(unit.after(512), 8)));
        expect!["4c4e4e5822c8206c0300000000000000"].assert_eq(&hex(&continued(unit.after(528))));
    }

    proptest! {
        #[test]
        fn frames_come_back_at_their_place_and_nowhere_else(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
            sector in 1_u64..100,
            bit in any::<prop::sample::Index>(),
        ) {
            let unit = Place { sequence: 1, offset: sector * SECTOR };
            let mut frame = FrameBuilder::new(unit, 1, Vec::new());
            for (index, payload) in (1_u64..).zip(&payloads) {
                let header = RecordHeader {
                    kind: RecordKind::Entry,
                    group: GroupId(1),
                    index,
                    term: 1,
                    payload_bytes: payload.len() as u32,
                };
                frame.push(&header, payload);
            }
            let built = frame.finish(FrameKind::Batch, 2, &[1; 32]);
            let found = Frame::read(unit, &built.bytes, 2, &[1; 32]).expect("verifies");
            let read: Vec<_> = found.records.iter().map(|record| record.payload.to_vec()).collect();
            prop_assert_eq!(read, payloads);
            prop_assert!(Frame::read(unit.after(SECTOR), &built.bytes, 2, &[1; 32]).is_none());
            prop_assert!(Frame::read(unit, &built.bytes, 3, &[1; 32]).is_none());
            prop_assert!(Frame::read(unit, &built.bytes, 2, &[2; 32]).is_none());
            let mut damaged = built.bytes.clone();
            let bit = bit.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Frame::read(unit, &damaged, 2, &[1; 32]).is_none(), "bit {}", bit);
        }
    }
}
