//! What the log holds of a group, and how the state of its machine stands to that.
//!
//! A group is opened on a [`Survey`]: its log was read through from the cut on, and its entries made the state. Where
//! other entries made it, nobody guesses: it does not open before the state is made again.

use std::ops::Range;

use bytes::Bytes;
use lineate_storage::log::{Cut, GroupState, HardState, LogEntry, RaftLog};
use lineate_types::{DurationUs, GroupId};

use super::{
    founding::{FOUNDATION, read_record},
    times::{Mark, Times},
};
use crate::{
    Applied, Error, Result, chain,
    codec::{envelope, record::Record},
};

/// Bytes an entry takes in the log besides its data, roughly.
const ENTRY_OVERHEAD: u64 = 64;
/// Bytes read at once when the log is read through.
const SCAN_BYTES: usize = 4 * 1024 * 1024;

/// How the state of a group stands to its log.
#[derive(Debug)]
pub enum Standing {
    /// The entries of the log, and no others, made it up to where it stands.
    Fits(Survey),
    /// It stands before the log begins.
    Behind {
        /// The index the log begins after.
        cut: u64,
    },
    /// Other entries made it.
    Foreign,
}

/// What the log holds of a group, for a state that its entries made.
#[derive(Debug)]
pub struct Survey {
    pub(super) group: GroupId,
    pub(super) hard_state: HardState,
    pub(super) record: Record,
    pub(super) cut: Cut,
    pub(super) last_index: u64,
    pub(super) applied: Applied,
    pub(super) times: Times,
    /// What the entries from the cut up to the applied one take in the log.
    pub(super) applied_bytes: u64,
    /// What was asked about: the empty state is asked about as such.
    asked: Applied,
}

/// Whether a state at `applied` can go on with the log of its group. Reads the log through once.
///
/// # Errors
/// [`Error::CorruptLog`] where the log contradicts itself, and where the state stands beyond its end: acknowledged
/// entries are lost, and no other state brings them back.
pub fn standing(log: &dyn RaftLog, group: GroupId, applied: Applied) -> Result<Standing> {
    let state = log.state(group).ok_or(Error::UnknownGroup { group })?;
    let record = read_record(group, &state)?;
    let (asked, applied) = (applied, position(group, applied, &state));
    if applied.index < state.cut.index {
        return Ok(Standing::Behind { cut: state.cut.index });
    }
    if applied.index > state.last_index {
        return Err(beyond(group, applied.index, state.last_index));
    }
    if log.term(group, applied.index) != Some(applied.term) {
        return Ok(Standing::Foreign);
    }
    // What is applied was committed; the log writes the commit index only along with entries.
    let commit = state.hard_state.commit.max(applied.index);
    let mut times = Times::new(record.times, DurationUs(0));
    let mut applied_bytes = 0;
    let mut chain = record.chain;
    scan(log, group, state.cut.index + 1..state.last_index + 1, |LogEntry { index, term, payload }| {
        times.append(index, Mark::of(&envelope::decode(&payload)?));
        if index <= applied.index {
            applied_bytes += log_bytes(&payload);
            chain = chain::next(&chain, index, term, &payload);
        }
        Ok(())
    })?;
    if chain != applied.chain {
        return Ok(Standing::Foreign);
    }
    times.apply_to(applied.index);
    Ok(Standing::Fits(Survey {
        group,
        hard_state: HardState { commit, ..state.hard_state },
        record,
        cut: state.cut,
        last_index: state.last_index,
        applied,
        times,
        applied_bytes,
        asked,
    }))
}

impl Survey {
    /// The survey of a state that must fit.
    ///
    /// # Errors
    /// As [`standing`], and [`Error::CorruptLog`] where the state does not fit.
    pub fn of(log: &dyn RaftLog, group: GroupId, applied: Applied) -> Result<Self> {
        let Applied { index, term, chain } = applied;
        let found = match standing(log, group, applied)? {
            Standing::Fits(survey) => return Ok(survey),
            Standing::Behind { cut } => {
                format!(
                    "it begins after index {cut} and the state stands at {index}; the state must be rebuilt"
                )
            }
            Standing::Foreign => format!(
                "other entries than those it holds up to index {index} made the state (term {term}, chain {chain}); the state must be rebuilt"
            ),
        };
        Err(Error::CorruptLog { group, found })
    }

    /// Whether it is about this state.
    pub(crate) fn is_of(&self, group: GroupId, applied: Applied) -> bool {
        (self.group, self.asked) == (group, applied)
    }
}

/// Bytes an entry takes in the log, roughly.
pub(super) fn log_bytes(data: &Bytes) -> u64 {
    data.len() as u64 + ENTRY_OVERHEAD
}

/// Where a state stands in the log: the empty one counts as standing where a founded log begins.
fn position(group: GroupId, applied: Applied, state: &GroupState) -> Applied {
    if applied == Applied::NOTHING && state.cut == FOUNDATION {
        let Cut { index, term } = FOUNDATION;
        return Applied { index, term, chain: chain::founded(group) };
    }
    applied
}

fn beyond(group: GroupId, index: u64, last: u64) -> Error {
    let found =
        format!("it ends at index {last} and the state stands at {index}; acknowledged entries are lost");
    Error::CorruptLog { group, found }
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
