//! Messages between the peers of a group, format `docs/formats/raft-message.md`.
//!
//! raft-rs would write its messages with protobuf 2, whose decoder must not see bytes of a network
//! (RUSTSEC-2024-0437). So they are written by hand, and read into raft-rs's structures by hand. Invariants:
//! - a decoded message is one that raft-rs could have sent: its entries follow its index, terms do not fall,
//!   numbers stay far from overflow, every entry is an envelope;
//! - types that a peer must not send are refused: proposals (only a leader proposes), what raft-rs tells only
//!   itself, and reads by way of another peer;
//! - a field the format does not carry is refused when written, never dropped.
//!
//! Deliberately absent: snapshots.

use bytes::{Bytes, BytesMut};
use lineate_types::{GroupId, limits};
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::{envelope, reader::Reader};
use crate::{Error, Result};

/// Version of the format.
const VERSION: u8 = 1;
/// Terms and indexes stay below this, so that no sum of them overflows.
const NUMBER_LIMIT: u64 = 1 << 62;
/// Bytes of a context: that of a read, or of a transfer of leadership.
const CONTEXT_BYTES: usize = 64;
/// Bytes before the context.
const HEADER_BYTES: usize = 71;
/// Bytes of an entry before its data.
const ENTRY_HEADER_BYTES: usize = 20;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// The types a peer sends, by their byte.
const TYPES: [(u8, MessageType); 9] = [
    (1, MessageType::MsgAppend),
    (2, MessageType::MsgAppendResponse),
    (3, MessageType::MsgHeartbeat),
    (4, MessageType::MsgHeartbeatResponse),
    (5, MessageType::MsgRequestVote),
    (6, MessageType::MsgRequestVoteResponse),
    (7, MessageType::MsgRequestPreVote),
    (8, MessageType::MsgRequestPreVoteResponse),
    (9, MessageType::MsgTimeoutNow),
];

/// A decoded message of a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerMessage {
    pub(crate) group: GroupId,
    pub(crate) message: Message,
}

impl PeerMessage {
    /// The group it belongs to.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The peer that sent it, as it says.
    pub fn from(&self) -> u64 {
        self.message.from
    }

    /// The peer it is for.
    pub fn to(&self) -> u64 {
        self.message.to
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the bytes are not a message of a known version and type, or not one a
    /// correct peer could send.
    pub fn decode(frame: Bytes) -> Result<Self> {
        decode(frame)
    }
}

/// Writes a message.
///
/// # Errors
/// [`Error::Refused`] where the format does not carry what the message says.
pub(crate) fn encode(group: GroupId, message: &Message) -> Result<Bytes> {
    check_carried(group, message)?;
    let kind = TYPES.iter().find(|(_, kind)| *kind == message.msg_type);
    let Some((kind, _)) = kind else {
        return Err(Error::Refused { group, reason: format!("{:?} is never sent", message.msg_type) });
    };
    let data: usize = message.entries.iter().map(|entry| ENTRY_HEADER_BYTES + entry.data.len()).sum();
    let length = HEADER_BYTES + 8 + message.context.len() + data + CHECKSUM_BYTES;
    let mut bytes = BytesMut::with_capacity(length);
    bytes.extend_from_slice(&[VERSION, *kind, u8::from(message.reject)]);
    bytes.extend_from_slice(&group.0.to_le_bytes());
    for number in numbers(message) {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    put_count(&mut bytes, message.context.len());
    bytes.extend_from_slice(&message.context);
    put_count(&mut bytes, message.entries.len());
    for entry in message.entries.iter() {
        bytes.extend_from_slice(&entry.term.to_le_bytes());
        bytes.extend_from_slice(&entry.index.to_le_bytes());
        put_count(&mut bytes, entry.data.len());
        bytes.extend_from_slice(&entry.data);
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes.freeze())
}

fn decode(frame: Bytes) -> Result<PeerMessage> {
    if frame.len() > limits::PEER_MESSAGE_BYTES {
        return Err(Error::Malformed {
            what: "a message of a peer",
            found: format!("{} bytes, at most {} are allowed", frame.len(), limits::PEER_MESSAGE_BYTES),
        });
    }
    let mut reader = Reader::new("a message of a peer", checked(frame)?);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(reader.malformed(format!("format version {version}, this release knows {VERSION}")));
    }
    let kind = reader.u8()?;
    let Some((_, kind)) = TYPES.iter().find(|(byte, _)| *byte == kind) else {
        return Err(reader.malformed(format!("type {kind}, which peers do not send")));
    };
    let reject = match reader.u8()? {
        0 => false,
        1 => true,
        flags => return Err(reader.malformed(format!("flags {flags}, this release knows 0 and 1"))),
    };
    let mut message = Message { msg_type: *kind, reject, ..Message::default() };
    let group = GroupId(reader.u32()?);
    for field in numbers_mut(&mut message) {
        *field = reader.u64()?;
    }
    let context = reader.count("bytes of context", CONTEXT_BYTES)?;
    message.context = reader.bytes(context)?;
    let count = reader.count("entries", limits::PEER_MESSAGE_ENTRIES)?;
    for _ in 0..count {
        message.entries.push(read_entry(&mut reader)?);
    }
    check_plausible(&reader, &message)?;
    reader.end()?;
    Ok(PeerMessage { group, message })
}

fn put_count(bytes: &mut BytesMut, count: usize) {
    // Bounded by `limits` far below four billion; a lie here is refused by every reader.
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// The numbers of a message, in the order they are written.
fn numbers(message: &Message) -> [u64; 8] {
    [
        message.to,
        message.from,
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.commit_term,
        message.reject_hint,
    ]
}

fn numbers_mut(message: &mut Message) -> [&mut u64; 8] {
    [
        &mut message.to,
        &mut message.from,
        &mut message.term,
        &mut message.log_term,
        &mut message.index,
        &mut message.commit,
        &mut message.commit_term,
        &mut message.reject_hint,
    ]
}

fn check_carried(group: GroupId, message: &Message) -> Result<()> {
    let normal = |entry: &Entry| {
        entry.entry_type == EntryType::EntryNormal && entry.context.is_empty() && !entry.sync_log
    };
    let carried = !message.has_snapshot()
        && message.request_snapshot == 0
        && message.priority == 0
        && message.context.len() <= CONTEXT_BYTES
        && message.entries.len() <= limits::PEER_MESSAGE_ENTRIES
        && message.entries.iter().all(normal);
    if carried {
        return Ok(());
    }
    Err(Error::Refused {
        group,
        reason: format!("this {:?} says more than the message format carries", message.msg_type),
    })
}

/// The bytes before the checksum, if it is theirs.
fn checked(mut frame: Bytes) -> Result<Bytes> {
    let malformed = |found: String| Error::Malformed { what: "a message of a peer", found };
    let Some(length) = frame.len().checked_sub(CHECKSUM_BYTES) else {
        return Err(malformed(format!("{} bytes, the checksum alone has {CHECKSUM_BYTES}", frame.len())));
    };
    let checksum = frame.split_off(length);
    if checksum.as_ref() != crc32c::crc32c(&frame).to_le_bytes() {
        return Err(malformed("another checksum than its bytes have".to_owned()));
    }
    Ok(frame)
}

fn read_entry(reader: &mut Reader) -> Result<Entry> {
    let (term, index) = (reader.u64()?, reader.u64()?);
    let length = reader.count("bytes of an entry", limits::LOG_ENTRY_BYTES)?;
    let data = reader.bytes(length)?;
    envelope::decode(&data)?;
    Ok(Entry { term, index, data, ..Entry::default() })
}

/// Refuses what no correct peer sends, and what raft-rs would panic on.
fn check_plausible(reader: &Reader, message: &Message) -> Result<()> {
    let refuse = |found: &str| Err(reader.malformed(found));
    if message.to == 0 || message.from == 0 || message.to == message.from {
        return refuse("peers that are zero or the same");
    }
    if message.term == 0 || numbers(message).iter().skip(2).any(|number| *number >= NUMBER_LIMIT) {
        return refuse("a term of zero, or a term or index near overflow");
    }
    if message.log_term > message.term || message.commit_term > message.term {
        return refuse("a log term above the term");
    }
    if !message.entries.is_empty() && message.msg_type != MessageType::MsgAppend {
        return refuse("entries in a message that has none");
    }
    let (mut index, mut term) = (message.index, message.log_term);
    for entry in message.entries.iter() {
        if entry.index != index + 1 || entry.term < term || entry.term == 0 || entry.term > message.term {
            return refuse("entries that do not follow each other");
        }
        (index, term) = (entry.index, entry.term);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use lineate_types::TimestampUs;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::hex;

    fn append(entries: Vec<(u64, Bytes)>) -> Message {
        let mut message = Message { msg_type: MessageType::MsgAppend, ..Message::default() };
        (message.to, message.from, message.term, message.log_term) = (2, 1, 7, 3);
        (message.index, message.commit) = (10, 9);
        for (index, (term, data)) in (message.index + 1..).zip(entries) {
            message.entries.push(Entry { index, term, data, ..Entry::default() });
        }
        message
    }

    fn command(payload: &[u8]) -> Bytes {
        envelope::stamp(envelope::draft(payload), TimestampUs(5))
    }

    /// Writes a message as [`encode`] does, whatever it says.
    fn forge(change: impl FnOnce(&mut Vec<u8>)) -> Result<PeerMessage> {
        let good = encode(GroupId(3), &append(vec![(3, Bytes::new()), (7, command(b"x"))])).unwrap();
        let mut bytes = good[..good.len() - CHECKSUM_BYTES].to_vec();
        change(&mut bytes);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        decode(bytes.into())
    }

    #[test]
    fn the_bytes_of_a_message_are_these() {
        let message = append(vec![(3, Bytes::new()), (7, command(b"x"))]);
        expect!["0101000300000002000000000000000100000000000000070000000000000003000000000000000a00000000000000090000000000000000000000000000000000000000000000000000000200000003000000000000000b000000000000000000000007000000000000000c000000000000000b0000000101050000000000000078550174a9"].assert_eq(&hex(&encode(GroupId(3), &message).unwrap()));
    }

    #[test]
    fn a_message_of_another_version_type_or_shape_is_refused() {
        assert!(forge(|_| ()).is_ok());
        assert!(forge(|bytes| bytes[0] = 2).is_err(), "version");
        for kind in [0, 10, 255] {
            assert!(forge(|bytes| bytes[1] = kind).is_err(), "type {kind}");
        }
        assert!(forge(|bytes| bytes[1] = 3).is_err(), "entries in a heartbeat");
        assert!(forge(|bytes| bytes[2] = 2).is_err(), "flags");
        assert!(forge(|bytes| bytes[7] = 1).is_err(), "to itself");
        assert!(forge(|bytes| bytes[30] = 0x80).is_err(), "a term near overflow");
        assert!(forge(|bytes| bytes[39] = 11).is_err(), "a gap before the entries");
        assert!(forge(|bytes| bytes[31] = 4).is_err(), "a term that falls");
        assert!(forge(|bytes| bytes.push(0)).is_err(), "too long");
        assert!(forge(|bytes| bytes[71] = 65).is_err(), "a context beyond the bound");
        assert!(forge(|bytes| bytes.truncate(80)).is_err(), "too short");
    }

    #[test]
    fn a_frame_with_a_flipped_bit_is_refused() {
        let good = encode(GroupId(3), &append(vec![(7, command(b"x"))])).unwrap();
        for position in 0..good.len() {
            let mut bytes = good.to_vec();
            bytes[position] ^= 1;
            assert!(decode(bytes.into()).is_err(), "byte {position}");
        }
    }

    #[test]
    fn proposals_and_messages_of_a_peer_to_itself_are_never_written() {
        for kind in [
            MessageType::MsgPropose,
            MessageType::MsgHup,
            MessageType::MsgBeat,
            MessageType::MsgReadIndex,
            MessageType::MsgSnapshot,
            MessageType::MsgTransferLeader,
        ] {
            let mut message = append(Vec::new());
            message.msg_type = kind;
            assert!(encode(GroupId(0), &message).is_err(), "{kind:?}");
        }
    }

    fn messages() -> impl Strategy<Value = Message> {
        let numbers = prop::array::uniform6(1..NUMBER_LIMIT);
        let kind = prop::sample::select(TYPES.map(|(_, kind)| kind).to_vec());
        let payloads = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5);
        let context = prop::collection::vec(any::<u8>(), 0..=CONTEXT_BYTES);
        (kind, numbers, any::<bool>(), context, payloads).prop_map(
            |(kind, [to, term, index, commit, hint, low], reject, context, payloads)| {
                let mut message = Message { msg_type: kind, ..Message::default() };
                (message.to, message.from) = (to, to - 1 + 2 * u64::from(to == 1));
                (message.term, message.log_term, message.commit_term) = (term, low.min(term), low.min(term));
                (message.index, message.commit, message.reject_hint) = (index / 2, commit, hint);
                message.reject = reject;
                message.context = context.into();
                if kind == MessageType::MsgAppend {
                    for (index, payload) in (message.index + 1..).zip(payloads) {
                        let data = command(&payload);
                        message.entries.push(Entry { index, term, data, ..Entry::default() });
                    }
                }
                message
            },
        )
    }

    proptest! {
        #[test]
        fn messages_round_trip(message in messages(), group in any::<u32>()) {
            let group = GroupId(group);
            let frame = encode(group, &message).unwrap();
            prop_assert_eq!(decode(frame).unwrap(), PeerMessage { group, message });
        }

        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(bytes.clone().into());
            let checksum = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            let _ = decode(bytes.into());
        }
    }
}
