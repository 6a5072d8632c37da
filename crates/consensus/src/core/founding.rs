//! How a group comes into being, and how it is found again.
//!
//! A founded log begins after index 1, term 1, committed: the empty state counts as that position. So a peer
//! that knows nothing can never be brought up by entries alone, without the voters that only a record or a
//! snapshot tells it.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use lineate_storage::{
    blob::BlobInfo,
    log::{Cut, GroupBatch, GroupState, HardState, LogEntry, RaftLog},
};
use lineate_types::GroupId;

use super::times::{LogTimes, Mark, Times};
use crate::{
    Applied, Error, Options, Result, chain,
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

/// How the state of a group stands to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The entries of the log, and no others, made it up to where it stands.
    Fits,
    /// It stands before the log begins.
    Behind {
        /// The index the log begins after.
        cut: u64,
    },
    /// Other entries made it.
    Foreign,
}

/// Whether a state at `applied` can go on with the log of its group. Reads the log from the cut to there.
///
/// # Errors
/// [`Error::CorruptLog`] also where the state stands beyond the end of the log: acknowledged entries are lost, and no
/// other state brings them back.
pub fn standing(log: &dyn RaftLog, group: GroupId, applied: Applied) -> Result<Standing> {
    let state = log.state(group).ok_or(Error::UnknownGroup { group })?;
    let record = read_record(group, &state)?;
    let applied = position(group, applied, &state);
    let roughly = compare(log, group, applied, &state)?;
    if roughly != Standing::Fits {
        return Ok(roughly);
    }
    let mut chain = record.chain;
    scan(log, group, state.cut.index + 1..applied.index + 1, |entry| {
        chain = chain::next(&chain, entry.index, entry.term, &entry.payload);
        Ok(())
    })?;
    Ok(if chain == applied.chain { Standing::Fits } else { Standing::Foreign })
}

/// A group as it was found: its log agrees with itself and with its state machine.
pub(super) struct Found {
    pub(super) hard_state: HardState,
    pub(super) record: Record,
    pub(super) cut: Cut,
    pub(super) last_index: u64,
    pub(super) applied: Applied,
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
    let applied = position(group, applied, &state);
    check(group, applied, compare(&**log, group, applied, &state)?)?;
    // What is applied was committed; the log writes the commit index only along with entries.
    let commit = state.hard_state.commit.max(applied.index);
    let mut times = Times::new(record.times, options.ceiling);
    let mut applied_bytes = 0;
    let mut chain = record.chain;
    scan(&**log, group, state.cut.index + 1..state.last_index + 1, |LogEntry { index, term, payload }| {
        let envelope = envelope::decode(&payload)?;
        times.append(index, Mark::of(&envelope));
        if index <= applied.index {
            applied_bytes += log_bytes(&payload);
            chain = chain::next(&chain, index, term, &payload);
        }
        Ok(())
    })?;
    if chain != applied.chain {
        check(group, applied, Standing::Foreign)?;
    }
    times.apply_to(applied.index);
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

/// Where a state stands in the log: the empty one counts as standing where a founded log begins.
fn position(group: GroupId, applied: Applied, state: &GroupState) -> Applied {
    if applied == Applied::NOTHING && state.cut == FOUNDATION {
        let Cut { index, term } = FOUNDATION;
        return Applied { index, term, chain: chain::founded(group) };
    }
    applied
}

/// What index and term say of a state; the chain may still tell it apart.
fn compare(log: &dyn RaftLog, group: GroupId, applied: Applied, state: &GroupState) -> Result<Standing> {
    let Applied { index, term, .. } = applied;
    if index < state.cut.index {
        return Ok(Standing::Behind { cut: state.cut.index });
    }
    if index > state.last_index {
        let last = state.last_index;
        return Err(Error::CorruptLog {
            group,
            found: format!(
                "it ends at index {last} and the state stands at {index}; acknowledged entries are lost"
            ),
        });
    }
    Ok(if log.term(group, index) == Some(term) { Standing::Fits } else { Standing::Foreign })
}

fn check(group: GroupId, applied: Applied, standing: Standing) -> Result<()> {
    let index = applied.index;
    let found = match standing {
        Standing::Fits => return Ok(()),
        Standing::Behind { cut } => {
            format!("it begins after index {cut} and the state stands at {index}; the state must be rebuilt")
        }
        Standing::Foreign => format!(
            "other entries than those it holds up to index {index} made the state (term {}, chain {}); the state must be rebuilt",
            applied.term, applied.chain
        ),
    };
    Err(Error::CorruptLog { group, found })
}

fn scan(
    log: &dyn RaftLog,
    group: GroupId,
    range: Range<u64>,
    mut visit: impl FnMut(LogEntry) -> Result<()>,
) -> Result<()> {
    let mut next = range.start;
    while next < range.end {
        let entries = log.entries(group, next..range.end, SCAN_BYTES)?;
        if entries.is_empty() {
            return Err(Error::CorruptLog { group, found: format!("it has no entry {next}") });
        }
        for entry in entries {
            next = entry.index + 1;
            visit(entry)?;
        }
    }
    Ok(())
}
