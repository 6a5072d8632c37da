//! How a group comes into being, and how it is found again.
//!
//! A founded log begins after index 1, term 1, committed: the empty state counts as that position. So a peer
//! that knows nothing can never be brought up by entries alone, without the voters that only a record or a
//! snapshot tells it.

use std::sync::Arc;

use bytes::Bytes;
use lineate_storage::{
    blob::BlobInfo,
    log::{Cut, GroupBatch, GroupState, HardState, RaftLog},
};
use lineate_types::GroupId;

use super::times::{LogTimes, Mark, Times};
use crate::{
    Applied, Error, Options, Result,
    codec::{
        envelope,
        record::{self, Record},
    },
};

/// Where a founded log begins.
const FOUNDATION: Cut = Cut { index: 1, term: 1 };
/// Bytes an entry takes in the log besides its data, roughly.
const ENTRY_OVERHEAD: u64 = 64;
/// Bytes read at once when the log is read through.
const SCAN_BYTES: usize = 4 * 1024 * 1024;

/// The first batch of a group with these voters. Every voter must found it with the same.
pub fn founding(group: GroupId, voters: &[u64]) -> GroupBatch {
    let mut voters = voters.to_vec();
    voters.sort_unstable();
    voters.dedup();
    let record = Record { voters, times: LogTimes::EMPTY, checkpoint: None };
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

/// A group as it was found: its log agrees with itself and with its state machine.
pub(super) struct Found {
    pub(super) hard_state: HardState,
    pub(super) record: Record,
    pub(super) cut: Cut,
    pub(super) last_index: u64,
    pub(super) applied: u64,
    pub(super) times: Times,
    /// What the entries from the cut up to the applied one take in the log.
    pub(super) applied_bytes: u64,
}

/// Reads what the log holds of a group and checks it against the position of its state machine.
pub(super) fn find(
    log: &Arc<dyn RaftLog>,
    group: GroupId,
    applied: Applied,
    options: &Options,
) -> Result<Found> {
    let state = log.state(group).ok_or(Error::UnknownGroup { group })?;
    let record = read_record(group, &state)?;
    let applied = check_applied(&**log, group, applied, &state)?;
    // What is applied was committed; the log writes the commit index only along with entries.
    let commit = state.hard_state.commit.max(applied);
    let mut times = Times::new(record.times, options.ceiling);
    let mut applied_bytes = 0;
    scan(&**log, group, &state, |index, data| {
        let envelope = envelope::decode(&data)?;
        times.append(index, Mark::of(&envelope));
        if index <= applied {
            applied_bytes += log_bytes(&data);
        }
        Ok(())
    })?;
    times.apply_to(applied);
    Ok(Found {
        hard_state: HardState { commit, ..state.hard_state },
        record,
        cut: state.cut,
        last_index: state.last_index,
        applied,
        times,
        applied_bytes,
    })
}

/// Bytes an entry takes in the log, roughly.
pub(super) fn log_bytes(data: &Bytes) -> u64 {
    data.len() as u64 + ENTRY_OVERHEAD
}

fn read_record(group: GroupId, state: &GroupState) -> Result<Record> {
    let corrupt = |found: &str| Error::CorruptLog { group, found: found.to_owned() };
    let conf = state.conf.clone().ok_or_else(|| corrupt("it has no record of its voters"))?;
    let record = record::decode(conf)?;
    if record.checkpoint.is_none() && state.cut != FOUNDATION {
        return Err(corrupt("it was cut, and its record names no checkpoint of what came before"));
    }
    Ok(record)
}

fn check_applied(log: &dyn RaftLog, group: GroupId, applied: Applied, state: &GroupState) -> Result<u64> {
    if applied == Applied::default() && state.cut == FOUNDATION {
        return Ok(FOUNDATION.index);
    }
    let Applied { index, term } = applied;
    let corrupt = |found: String| Error::CorruptLog { group, found };
    if index < state.cut.index {
        return Err(corrupt(format!(
            "it begins after index {} and the state stands at {index}; the state must be rebuilt",
            state.cut.index
        )));
    }
    if index > state.last_index {
        return Err(corrupt(format!(
            "it ends at index {} and the state stands at {index}; acknowledged entries are lost",
            state.last_index
        )));
    }
    match log.term(group, index) {
        Some(known) if known == term => Ok(index),
        known => Err(corrupt(format!(
            "entry {index} has term {}, the state applied it with term {term}",
            known.unwrap_or_default()
        ))),
    }
}

fn scan(
    log: &dyn RaftLog,
    group: GroupId,
    state: &GroupState,
    mut visit: impl FnMut(u64, Bytes) -> Result<()>,
) -> Result<()> {
    let mut next = state.cut.index + 1;
    while next <= state.last_index {
        let entries = log.entries(group, next..state.last_index + 1, SCAN_BYTES)?;
        if entries.is_empty() {
            return Err(Error::CorruptLog { group, found: format!("it has no entry {next}") });
        }
        for entry in entries {
            visit(entry.index, entry.payload)?;
            next = entry.index + 1;
        }
    }
    Ok(())
}
