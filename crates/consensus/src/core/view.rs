//! The log of one group as raft-rs sees it: what is durable, and a tail that is on its way to the disk.
//!
//! raft-rs may hand out entries and go on before they are durable, and must be able to read them back at
//! once. Invariants:
//! - entries from the first of the tail on are answered from the tail, those before it from the log, where
//!   they are durable: so a write in flight is never raced, even if it replaces a suffix;
//! - an entry leaves the tail only when it is durable and was handed out to be applied.

use std::{collections::VecDeque, sync::Arc};

use lineate_storage::{
    self as storage,
    log::{Cut, LogEntry, RaftLog},
};
use lineate_types::GroupId;
use raft::{
    GetEntriesContext, RaftState, Storage, StorageError,
    eraftpb::{ConfState, Entry, HardState, Snapshot},
};

/// Bytes an entry counts besides its data.
const ENTRY_OVERHEAD: u64 = 16;

/// The log of one group, durable or on its way.
pub(super) struct LogView {
    group: GroupId,
    log: Arc<dyn RaftLog>,
    /// As found when the group was opened; raft-rs asks once.
    initial: RaftState,
    cut: Cut,
    last_index: u64,
    /// Contiguous, up to `last_index`; each with the number of the ready it came in.
    tail: VecDeque<(u64, Entry)>,
    /// Readies up to this number are durable.
    persisted: u64,
    /// Entries up to this index were handed out to be applied.
    handed_out: u64,
}

/// What a group was found with.
pub(super) struct Found {
    pub(super) hard_state: HardState,
    pub(super) voters: Vec<u64>,
    pub(super) cut: Cut,
    pub(super) last_index: u64,
    pub(super) applied: u64,
}

impl LogView {
    pub(super) fn new(group: GroupId, log: Arc<dyn RaftLog>, found: Found) -> Self {
        let conf = ConfState::from((found.voters, Vec::new()));
        Self {
            group,
            log,
            initial: RaftState::new(found.hard_state, conf),
            cut: found.cut,
            last_index: found.last_index,
            tail: VecDeque::new(),
            persisted: 0,
            handed_out: found.applied,
        }
    }

    /// Where the log begins.
    pub(super) fn cut(&self) -> Cut {
        self.cut
    }

    /// Takes the entries of a ready: from the first of them on they replace what was there.
    pub(super) fn append(&mut self, ready: u64, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.tail.back().is_some_and(|(_, entry)| entry.index >= first.index) {
            self.tail.pop_back();
        }
        self.tail.extend(entries.iter().map(|entry| (ready, entry.clone())));
        self.last_index = entries.last().map_or(self.last_index, |entry| entry.index);
    }

    /// Takes note that everything up to this ready is durable.
    pub(super) fn set_persisted(&mut self, ready: u64) {
        self.persisted = self.persisted.max(ready);
        self.trim();
    }

    /// Takes note that everything up to this index was handed out to be applied.
    pub(super) fn set_handed_out(&mut self, index: u64) {
        self.handed_out = self.handed_out.max(index);
        self.trim();
    }

    /// Forgets the entries up to the cut. To be called before the log does.
    pub(super) fn set_cut(&mut self, cut: Cut) {
        self.cut = cut;
    }

    fn trim(&mut self) {
        let (persisted, handed_out) = (self.persisted, self.handed_out);
        let done = |(ready, entry): &mut (u64, Entry)| *ready <= persisted && entry.index <= handed_out;
        while self.tail.pop_front_if(done).is_some() {}
    }

    /// The first index that is answered from the tail.
    fn tail_from(&self) -> u64 {
        self.tail.front().map_or(self.last_index + 1, |(_, entry)| entry.index)
    }

    fn tail_at(&self, index: u64) -> Option<&Entry> {
        let position = usize::try_from(index.checked_sub(self.tail_from())?).ok()?;
        self.tail.get(position).map(|(_, entry)| entry)
    }
}

impl Storage for LogView {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.cut.index {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last_index + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let mut room = max_size.into().unwrap_or(u64::MAX);
        let mut found = Vec::new();
        let stored_to = high.min(self.tail_from());
        if low < stored_to {
            let max_bytes = usize::try_from(room).unwrap_or(usize::MAX);
            let stored = self.log.entries(self.group, low..stored_to, max_bytes).map_err(unreadable)?;
            found.extend(stored.into_iter().map(entry));
            room = found.iter().fold(room, |room, entry| room.saturating_sub(size(entry)));
        }
        for index in low + found.len() as u64..high {
            let Some(entry) = self.tail_at(index) else { break };
            if size(entry) > room && !found.is_empty() {
                break;
            }
            room = room.saturating_sub(size(entry));
            found.push(entry.clone());
        }
        if found.is_empty() && low < high {
            return Err(StorageError::Unavailable.into());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.cut.index {
            return Ok(self.cut.term);
        }
        if index < self.cut.index {
            return Err(StorageError::Compacted.into());
        }
        if let Some(entry) = self.tail_at(index) {
            return Ok(entry.term);
        }
        self.log.term(self.group, index).ok_or_else(|| StorageError::Unavailable.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.cut.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

/// The entries of a ready as the log stores them; payloads are shared.
pub(super) fn stored(entries: &[Entry]) -> Vec<LogEntry> {
    let stored =
        |entry: &Entry| LogEntry { index: entry.index, term: entry.term, payload: entry.data.clone() };
    entries.iter().map(stored).collect()
}

fn entry(stored: LogEntry) -> Entry {
    let LogEntry { index, term, payload: data } = stored;
    Entry { index, term, data, ..Entry::default() }
}

fn size(entry: &Entry) -> u64 {
    entry.data.len() as u64 + ENTRY_OVERHEAD
}

fn unreadable(error: storage::Error) -> raft::Error {
    match error {
        storage::Error::Forgotten { .. } => StorageError::Compacted.into(),
        error => StorageError::Other(Box::new(error)).into(),
    }
}
