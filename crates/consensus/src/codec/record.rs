//! The record of a group, kept in the log beside its entries, format `docs/formats/raft-group.md`: who votes,
//! and what the entries before the cut said about times.

use bytes::{Bytes, BytesMut};
use lineate_types::TimestampUs;

use super::reader::Reader;
use crate::{Result, core::LogTimes};

/// Version of the format.
const VERSION: u8 = 1;
/// Voters of one group.
const VOTERS: usize = 64;

/// What a group must remember besides its entries and its hard state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The peers that vote, ascending.
    pub(crate) voters: Vec<u64>,
    /// The times of the entries at or below the cut.
    pub(crate) times: LogTimes,
}

/// Writes a record.
pub(crate) fn encode(record: &Record) -> Bytes {
    let mut bytes = BytesMut::with_capacity(32 + 8 * record.voters.len());
    bytes.extend_from_slice(&[VERSION]);
    for time in [record.times.commit, record.times.ceiling, record.times.closed] {
        bytes.extend_from_slice(&time.0.to_le_bytes());
    }
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
    let count = reader.count("voters", VOTERS)?;
    let voters = (0..count).map(|_| reader.u64()).collect::<Result<Vec<_>>>()?;
    if voters.is_empty() || voters.first() == Some(&0) || !voters.is_sorted_by(|one, next| one < next) {
        return Err(reader.malformed(format!(
            "voters {voters:?}, at least one is needed, above zero, each once, ascending"
        )));
    }
    reader.end()?;
    Ok(Record { voters, times: LogTimes { commit, ceiling, closed } })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::hex;

    #[test]
    fn the_bytes_of_a_record_are_these() {
        let times = LogTimes { commit: TimestampUs(1), ceiling: TimestampUs(2), closed: TimestampUs(-1) };
        let bytes = encode(&Record { voters: vec![1, 515], times });
        expect!["0101000000000000000200000000000000ffffffffffffffff0200000001000000000000000302000000000000"]
            .assert_eq(&hex(&bytes));
    }

    #[test]
    fn a_record_of_another_version_or_shape_is_refused() {
        let good = encode(&Record { voters: vec![3], times: LogTimes::EMPTY });
        assert!(decode(good.clone()).is_ok());
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.to_vec();
            change(&mut bytes);
            decode(bytes.into())
        };
        assert!(changed(&|bytes| bytes[0] = 2).is_err(), "version");
        assert!(changed(&|bytes| bytes.push(0)).is_err(), "too long");
        assert!(changed(&|bytes| bytes[25] = 2).is_err(), "fewer voters than counted");
        assert!(changed(&|bytes| bytes[28] = 0xff).is_err(), "a count beyond the bound");
        assert!(changed(&|bytes| bytes[29] = 0).is_err(), "voter zero");
        for length in 0..good.len() {
            assert!(decode(good.slice(..length)).is_err(), "cut to {length} bytes");
        }
    }

    proptest! {
        #[test]
        fn records_round_trip(voters in prop::collection::btree_set(1_u64.., 1..8), times in any::<[i64; 3]>()) {
            let [commit, ceiling, closed] = times.map(TimestampUs);
            let record = Record { voters: voters.into_iter().collect(), times: LogTimes { commit, ceiling, closed } };
            prop_assert_eq!(decode(encode(&record)).ok(), Some(record));
        }
    }
}
