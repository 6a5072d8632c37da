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
