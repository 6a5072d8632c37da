//! How a group comes into being, and its record.
//!
//! A founded log begins after index 1, term 1, committed: the empty state counts as that position. So a peer
//! that knows nothing can never be brought up by entries alone, without the voters that only a record or a
//! snapshot tells it.

use lineate_storage::{
    blob::BlobInfo,
    log::{Cut, GroupBatch, GroupState, HardState, RaftLog},
};
use lineate_types::GroupId;

use super::times::LogTimes;
use crate::{
    Error, Result, chain,
    codec::record::{self, Record},
};

/// Where a founded log begins.
pub(super) const FOUNDATION: Cut = Cut { index: 1, term: 1 };

/// The first batch of a group with these voters. Every voter must found it with the same.
pub fn founding(group: GroupId, voters: &[u64]) -> GroupBatch {
    let mut voters = voters.to_vec();
    voters.sort_unstable();
    voters.dedup();
    let record = Record { voters, times: LogTimes::EMPTY, chain: chain::founded(group), checkpoint: None };
    GroupBatch {
        hard_state: Some(HardState { term: FOUNDATION.term, vote: 0, commit: FOUNDATION.index }),
        conf: Some(record::encode(&record)),
        cut: Some(FOUNDATION),
        ..GroupBatch::new(group)
    }
}

/// What holds the state that the entries before a group's log made: none where the log is whole, or not there.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::CorruptLog`] where the log does not say.
pub fn checkpoint(log: &dyn RaftLog, group: GroupId) -> Result<Option<BlobInfo>> {
    log.state(group).map_or(Ok(None), |state| Ok(read_record(group, &state)?.checkpoint))
}

pub(super) fn read_record(group: GroupId, state: &GroupState) -> Result<Record> {
    let corrupt = |found: &str| Error::CorruptLog { group, found: found.to_owned() };
    let conf = state.conf.clone().ok_or_else(|| corrupt("it has no record of its voters"))?;
    let record = record::decode(conf)?;
    if record.checkpoint.is_none() && state.cut != FOUNDATION {
        return Err(corrupt("it was cut, and its record names no checkpoint of what came before"));
    }
    Ok(record)
}
