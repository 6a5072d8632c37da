//! The bytes of a log file; `docs/formats/raft-log.md` describes them one by one.
//!
//! A file is a header and then frames, each in a unit of whole sectors that begins with a mark. A frame is one
//! append and holds records. Checksums cover the place (file and offset), so that bytes written to the wrong
//! place do not verify; the chain of frames covers the order.

use lineate_types::{GroupId, Hasher, limits};

use crate::{Error, Result, log::HardState};

/// The only version this code reads and writes.
pub(super) const VERSION: u32 = 1;
/// Bytes a disk writes wholly or not at all. Units begin at multiples of it.
pub(super) const SECTOR: u64 = 512;
/// Bytes of the file header; the rest of its sector is zero.
pub(super) const FILE_HEADER: usize = 100;
/// Bytes of a mark.
pub(super) const MARK: usize = 16;
/// Bytes of a frame header.
pub(super) const FRAME_HEADER: usize = 44;
/// Bytes of a frame trailer.
pub(super) const FRAME_TRAILER: usize = 8;
/// Bytes of a record header.
pub(super) const RECORD_HEADER: usize = 32;
/// The most bytes between a frame's header and its trailer: a batch at its bound, or a frame of moved entries.
pub(super) const FRAME_BODY: u64 = 2 * limits::LOG_BATCH_BYTES as u64;

const FILE_MAGIC: [u8; 8] = *b"LINEALOG";
const MARK_MAGIC: u32 = u32::from_le_bytes(*b"LNMK");
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"LNFR");
const CONTINUED_MAGIC: u32 = u32::from_le_bytes(*b"LNNX");
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"LNND");
const CHAIN_DOMAIN: &str = "lineate 2026 raft log chain v1";

/// The running hash over the header of a file and its frames.
pub(super) type Chain = [u8; 32];

/// What a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// The store the log belongs to.
    pub(super) store_id: [u8; 16],
    /// The number of the file, from 1.
    pub(super) sequence: u64,
    /// The length of the file.
    pub(super) file_bytes: u64,
    /// The number of the first frame.
    pub(super) first_frame: u64,
    /// Where the frames of the file before this one end; 0 in the first file.
    pub(super) previous_end: u64,
    /// The chain at the end of the file before this one; zeros in the first file.
    pub(super) previous_chain: Chain,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// The groups as they were when the file was begun.
    Head,
    /// One append.
    Batch,
    /// Entries copied from the oldest file, so that it can be removed.
    Moves,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    pub(super) body_bytes: u32,
    pub(super) records: u32,
    /// Frames are numbered without a gap, across files.
    pub(super) number: u64,
    /// The first half of the chain after this frame.
    pub(super) chain: [u8; 16],
}

/// The header of a record. What `index` and `term` mean depends on the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: RecordKind,
    pub(super) group: GroupId,
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) payload_bytes: u32,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// Term, commit (as index) and vote (payload) of a group.
    HardState,
    /// The configuration of a group.
    Conf,
    /// The cut of a group; entries after it stay.
    Cut,
    /// The cut of a group; all entries go.
    CutAll,
    /// An entry.
    Entry,
    /// An entry that was in an older file.
    Moved,
    /// In a head: the group's last index, and its cut (payload).
    Group,
}

/// The place of bytes, as checksums see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Place {
    /// A checksum of bytes at this place.
    fn checksum(self, parts: &[&[u8]]) -> u32 {
        let seed =
            crc32c::crc32c_append(crc32c::crc32c(&self.sequence.to_le_bytes()), &self.offset.to_le_bytes());
        parts.iter().fold(seed, |checksum, part| crc32c::crc32c_append(checksum, part))
    }

    /// The place some bytes further on.
    pub(super) fn after(self, bytes: u64) -> Self {
        Self { offset: self.offset + bytes, ..self }
    }
}

impl FileHeader {
    pub(super) fn encode(&self) -> [u8; FILE_HEADER] {
        let mut bytes = [0; FILE_HEADER];
        let mut writer = Fields(&mut bytes);
        writer.put(&FILE_MAGIC);
        writer.put(&VERSION.to_le_bytes());
        writer.put(&[0; 4]);
        writer.put(&self.store_id);
        writer.put(&self.sequence.to_le_bytes());
        writer.put(&self.file_bytes.to_le_bytes());
        writer.put(&self.first_frame.to_le_bytes());
        writer.put(&self.previous_end.to_le_bytes());
        writer.put(&self.previous_chain);
        let checksum = Place { sequence: self.sequence, offset: 0 }.checksum(&[head(&bytes, 96)]);
        Fields(&mut bytes).skip(96).put(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header of file `name`.
    pub(super) fn decode(name: &str, sequence: u64, bytes: &[u8]) -> Result<Self> {
        let corrupt = |found: &str| Error::corrupt(format!("raft log file `{name}`"), found);
        let mut reader = Reader(bytes);
        if reader.take::<8>() != Some(FILE_MAGIC) {
            return Err(corrupt("it does not begin as a file of a raft log"));
        }
        let version = reader.u32().unwrap_or_default();
        if version != VERSION {
            return Err(Error::Version {
                what: format!("raft log file `{name}`"),
                found: version,
                known: VERSION,
            });
        }
        reader.take::<4>();
        let header = (|| {
            Some(Self {
                store_id: reader.take()?,
                sequence: reader.u64()?,
                file_bytes: reader.u64()?,
                first_frame: reader.u64()?,
                previous_end: reader.u64()?,
                previous_chain: reader.take()?,
            })
        })();
        let checksum = Place { sequence, offset: 0 }.checksum(&[head(bytes, 96)]);
        match header {
            Some(header) if header.sequence == sequence && reader.u32() == Some(checksum) => Ok(header),
            _ => Err(corrupt("the checksum of its header does not match")),
        }
    }

    /// The chain a file begins with.
    pub(super) fn chain(&self) -> Chain {
        let mut hasher = Hasher::new_derive_key(CHAIN_DOMAIN);
        hasher.update(&self.encode());
        *hasher.finalize().as_bytes()
    }
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Head, Self::Batch, Self::Moves].into_iter().find(|kind| kind.byte() == byte)
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Batch => 2,
            Self::Moves => 3,
        }
    }
}

impl FrameHeader {
    pub(super) fn encode(&self, place: Place) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        let mut writer = Fields(&mut bytes);
        writer.put(&FRAME_MAGIC.to_le_bytes());
        writer.put(&self.body_bytes.to_le_bytes());
        writer.put(&self.records.to_le_bytes());
        writer.put(&[self.kind.byte(), 0, 0, 0]);
        writer.put(&self.number.to_le_bytes());
        writer.put(&self.chain);
        let checksum = place.checksum(&[head(&bytes, 40)]);
        Fields(&mut bytes).skip(40).put(&checksum.to_le_bytes());
        bytes
    }

    /// The header at this place, if there is one that verifies.
    pub(super) fn decode(place: Place, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.u32()? != FRAME_MAGIC {
            return None;
        }
        let (body_bytes, records) = (reader.u32()?, reader.u32()?);
        let [kind, padding @ ..] = reader.take::<4>()?;
        let (number, chain) = (reader.u64()?, reader.take()?);
        let verifies = reader.u32()? == place.checksum(&[head(bytes, 40)]) && padding == [0; 3];
        let kind = FrameKind::from_byte(kind)?;
        (verifies && u64::from(body_bytes) <= FRAME_BODY).then_some(Self {
            kind,
            body_bytes,
            records,
            number,
            chain,
        })
    }

    /// The chain after this frame, given the chain before it.
    pub(super) fn chain_after(&self, before: &Chain, body: &[u8]) -> Chain {
        let mut hasher = Hasher::new_keyed(before);
        hasher.update(&self.number.to_le_bytes());
        hasher.update(&[self.kind.byte()]);
        hasher.update(body);
        *hasher.finalize().as_bytes()
    }

    /// Bytes from the start of the header to the end of the trailer.
    pub(super) fn frame_bytes(&self) -> u64 {
        (FRAME_HEADER + FRAME_TRAILER) as u64 + u64::from(self.body_bytes)
    }
}

/// The end of a frame: never zero, so that a frame whose end did not reach the disk shows.
pub(super) fn trailer(number: u64) -> [u8; FRAME_TRAILER] {
    let mut bytes = [0; FRAME_TRAILER];
    let mut writer = Fields(&mut bytes);
    writer.put(&TRAILER_MAGIC.to_le_bytes());
    writer.put(&crc32c::crc32c(&number.to_le_bytes()).to_le_bytes());
    bytes
}

/// The mark that frame `number`, which ends before this place, was synced.
pub(super) fn mark(place: Place, number: u64) -> [u8; MARK] {
    let mut bytes = [0; MARK];
    let mut writer = Fields(&mut bytes);
    writer.put(&MARK_MAGIC.to_le_bytes());
    writer.put(&place.checksum(&[&number.to_le_bytes()]).to_le_bytes());
    writer.put(&number.to_le_bytes());
    bytes
}

/// The note behind the last frame of a file that another file follows, so that its loss shows. It stands where
/// the header of a frame would.
pub(super) fn continued(place: Place) -> [u8; MARK] {
    let next = place.sequence + 1;
    let mut bytes = [0; MARK];
    let mut writer = Fields(&mut bytes);
    writer.put(&CONTINUED_MAGIC.to_le_bytes());
    writer.put(&place.checksum(&[&next.to_le_bytes()]).to_le_bytes());
    writer.put(&next.to_le_bytes());
    bytes
}

/// The number of the frame a mark speaks of, if it verifies.
pub(super) fn read_mark(place: Place, bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(*bytes.get(8..16)?.first_chunk()?);
    (head(bytes, MARK) == mark(place, number)).then_some(number)
}

impl RecordKind {
    const ALL: [Self; 7] =
        [Self::HardState, Self::Conf, Self::Cut, Self::CutAll, Self::Entry, Self::Moved, Self::Group];

    const fn byte(self) -> u8 {
        match self {
            Self::HardState => 1,
            Self::Conf => 2,
            Self::Cut => 3,
            Self::CutAll => 4,
            Self::Entry => 5,
            Self::Moved => 6,
            Self::Group => 7,
        }
    }
}

impl RecordHeader {
    pub(super) fn encode(&self, place: Place, payload: &[u8]) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        let mut writer = Fields(&mut bytes);
        writer.put(&[self.kind.byte(), 0, 0, 0]);
        writer.put(&self.group.0.to_le_bytes());
        writer.put(&self.index.to_le_bytes());
        writer.put(&self.term.to_le_bytes());
        writer.put(&self.payload_bytes.to_le_bytes());
        let checksum = place.checksum(&[head(&bytes, 28), payload]);
        Fields(&mut bytes).skip(28).put(&checksum.to_le_bytes());
        bytes
    }

    /// The record at this place and its payload, if there is one that verifies.
    pub(super) fn decode(place: Place, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(bytes);
        let [kind, padding @ ..] = reader.take::<4>()?;
        let kind = RecordKind::ALL.into_iter().find(|known| known.byte() == kind)?;
        let group = GroupId(reader.u32()?);
        let (index, term, payload_bytes) = (reader.u64()?, reader.u64()?, reader.u32()?);
        let checksum = reader.u32()?;
        let payload = reader.0.get(..usize::try_from(payload_bytes).ok()?)?;
        let verifies = checksum == place.checksum(&[head(bytes, 28), payload]) && padding == [0; 3];
        verifies.then_some((Self { kind, group, index, term, payload_bytes }, payload))
    }
}

/// The payload of a hard state.
pub(super) fn encode_vote(hard_state: &HardState) -> [u8; 8] {
    hard_state.vote.to_le_bytes()
}

/// The hard state of a record.
pub(super) fn decode_hard_state(record: &RecordHeader, payload: &[u8]) -> Option<HardState> {
    let vote = u64::from_le_bytes(payload.try_into().ok()?);
    Some(HardState { term: record.term, vote, commit: record.index })
}

/// The first bytes of a slice, or all of a shorter one.
fn head(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// Writes one field after the other into a buffer made for them.
struct Fields<'a>(&'a mut [u8]);

impl Fields<'_> {
    fn put(&mut self, field: &[u8]) {
        let buffer = std::mem::take(&mut self.0);
        let (target, rest) = buffer.split_at_mut(field.len().min(buffer.len()));
        target.copy_from_slice(field);
        self.0 = rest;
    }

    fn skip(mut self, bytes: usize) -> Self {
        let buffer = std::mem::take(&mut self.0);
        self.0 = buffer.get_mut(bytes..).unwrap_or_default();
        self
    }
}

/// Reads one field after the other.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
