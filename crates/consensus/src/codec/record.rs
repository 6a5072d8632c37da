//! The record of a group, kept in the log beside its entries, format `docs/formats/raft-group.md`: who votes,
//! what the entries before the cut said about times, their chain, and which blob holds the state they made.

use bytes::{Bytes, BytesMut};
use lineate_storage::blob::BlobInfo;
use lineate_types::{Hash, TimestampUs};

use super::reader::Reader;
use crate::{Result, core::LogTimes};

/// Version of the format.
const VERSION: u8 = 3;
/// Voters of one group.
const VOTERS: usize = 64;
/// Stands for none: a checkpoint has bytes.
const NO_CHECKPOINT: BlobInfo = BlobInfo { hash: Hash::from_bytes([0; 32]), bytes: 0 };

/// What a group must remember besides its entries and its hard state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The peers that vote, ascending.
    pub(crate) voters: Vec<u64>,
    /// The times of the entries at or below the cut.
    pub(crate) times: LogTimes,
    /// The chain of the entries at or below the cut.
    pub(crate) chain: Hash,
    /// The whole state at or behind the cut; none as long as the log was never cut.
    pub(crate) checkpoint: Option<BlobInfo>,
}

/// Writes a record.
pub(crate) fn encode(record: &Record) -> Bytes {
    let mut bytes = BytesMut::with_capacity(104 + 8 * record.voters.len());
    bytes.extend_from_slice(&[VERSION]);
    for time in [record.times.commit, record.times.ceiling, record.times.closed] {
        bytes.extend_from_slice(&time.0.to_le_bytes());
    }
    bytes.extend_from_slice(record.chain.as_bytes());
    let checkpoint = record.checkpoint.unwrap_or(NO_CHECKPOINT);
    bytes.extend_from_slice(&checkpoint.bytes.to_le_bytes());
    bytes.extend_from_slice(checkpoint.hash.as_bytes());
    let count = u32::try_from(record.voters.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
    for voter in &record.voters {
        bytes.extend_from_slice(&voter.to_le_bytes());
    }
    bytes.freeze()
}

/// Reads a record.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) where the bytes are not a record of a known version.
pub(crate) fn decode(bytes: Bytes) -> Result<Record> {
    let mut reader = Reader::new("the record of a raft group", bytes);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(reader.malformed(format!("format version {version}, this release knows {VERSION}")));
    }
    let [commit, ceiling, closed] = [reader.i64()?, reader.i64()?, reader.i64()?].map(TimestampUs);
    let chain = Hash::from_bytes(reader.array()?);
    let checkpoint = BlobInfo { bytes: reader.u64()?, hash: Hash::from_bytes(reader.array()?) };
    if checkpoint.bytes == 0 && checkpoint != NO_CHECKPOINT {
        return Err(reader.malformed(format!("checkpoint {} of no bytes", checkpoint.hash)));
    }
    let count = reader.count("voters", VOTERS)?;
    let voters = (0..count).map(|_| reader.u64()).collect::<Result<Vec<_>>>()?;
    if voters.is_empty() || voters.first() == Some(&0) || !voters.is_sorted_by(|one, next| one < next) {
        return Err(reader.malformed(format!(
            "voters {voters:?}, at least one is needed, above zero, each once, ascending"
        )));
    }
    reader.end()?;
    let checkpoint = Some(checkpoint).filter(|checkpoint| *checkpoint != NO_CHECKPOINT);
    Ok(Record { voters, times: LogTimes { commit, ceiling, closed }, chain, checkpoint })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::hex;

    const CHAIN: Hash = Hash::from_bytes([9; 32]);

    #[test]
    fn the_bytes_of_a_record_are_these() {
        let times = LogTimes { commit: TimestampUs(1), ceiling: TimestampUs(2), closed: TimestampUs(-1) };
        let founded = encode(&Record { voters: vec![1, 515], times, chain: CHAIN, checkpoint: None });
        expect!["0301000000000000000200000000000000ffffffffffffffff0909090909090909090909090909090909090909090909090909090909090909000000000000000000000000000000000000000000000000000000000000000000000000000000000200000001000000000000000302000000000000"].assert_eq(&hex(&founded));
        let checkpoint = Some(BlobInfo { hash: Hash::from_bytes([7; 32]), bytes: 258 });
        let cut = encode(&Record { voters: vec![1, 515], times, chain: CHAIN, checkpoint });
        expect!["0301000000000000000200000000000000ffffffffffffffff0909090909090909090909090909090909090909090909090909090909090909020100000000000007070707070707070707070707070707070707070707070707070707070707070200000001000000000000000302000000000000"].assert_eq(&hex(&cut));
    }

    #[test]
    fn a_record_of_another_version_or_shape_is_refused() {
        let good =
            encode(&Record { voters: vec![3], times: LogTimes::EMPTY, chain: CHAIN, checkpoint: None });
        assert!(decode(good.clone()).is_ok());
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.to_vec();
            change(&mut bytes);
            decode(bytes.into())
        };
        assert!(changed(&|bytes| bytes[0] = 2).is_err(), "version");
        assert!(changed(&|bytes| bytes[65] = 1).is_err(), "a checkpoint of no bytes");
        assert!(changed(&|bytes| bytes.push(0)).is_err(), "too long");
        assert!(changed(&|bytes| bytes[97] = 2).is_err(), "fewer voters than counted");
        assert!(changed(&|bytes| bytes[100] = 0xff).is_err(), "a count beyond the bound");
        assert!(changed(&|bytes| bytes[101] = 0).is_err(), "voter zero");
        for length in 0..good.len() {
            assert!(decode(good.slice(..length)).is_err(), "cut to {length} bytes");
        }
    }

    proptest! {
        #[test]
        fn records_round_trip(
            voters in prop::collection::btree_set(1_u64.., 1..8),
            times in any::<[i64; 3]>(),
            chain in any::<[u8; 32]>(),
            checkpoint in any::<Option<([u8; 32], u64)>>(),
        ) {
            let [commit, ceiling, closed] = times.map(TimestampUs);
            let checkpoint = checkpoint.map(|(hash, bytes)| {
                BlobInfo { hash: Hash::from_bytes(hash), bytes: bytes.max(1) }
            });
            let times = LogTimes { commit, ceiling, closed };
            let record = Record { voters: voters.into_iter().collect(), times, chain: Hash::from_bytes(chain), checkpoint };
            prop_assert_eq!(decode(encode(&record)).ok(), Some(record));
        }
    }
}
