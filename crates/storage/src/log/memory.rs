//! The Raft log in memory, with a disk that fails when told to.
//!
//! It promises exactly what [`RaftLog`] promises, until a [`LogFault`] says otherwise. [`MemLog::crash`] gives
//! the log as it is found after power loss.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lineate_types::GroupId;

use super::{
    GroupState, LogBatch, LogEntry, RaftLog,
    group::{Groups, check, check_range},
};
use crate::{Error, Result};

/// What happens to one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFault {
    /// Nothing: the append succeeds. Useful to place a later fault.
    None,
    /// The disk is full: the append is refused, nothing is written, the log stays usable.
    Full,
    /// The sync fails or the power goes in the middle of it: the log is poisoned, and the batch, never
    /// acknowledged, is found after [`MemLog::crash`] wholly (`survives`) or not at all.
    SyncFails {
        /// Whether the batch reached the disk.
        survives: bool,
    },
    /// The disk lies: the append is acknowledged, but lost in a crash unless a later honest one succeeds.
    Lie,
}

/// A Raft log in memory.
#[derive(Debug, Default)]
pub struct MemLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What callers see.
    visible: Groups<Bytes>,
    /// What a crash leaves.
    durable: Groups<Bytes>,
    /// Acknowledged, not durable: what the disk lied about.
    lied: Vec<LogBatch>,
    faults: VecDeque<LogFault>,
    full: bool,
    poison: Option<String>,
    /// Successful appends so far: the syncs a disk would have made.
    syncs: u64,
}

impl MemLog {
    /// An empty log on a healthy disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues faults; each following append takes one.
    pub fn inject(&self, faults: impl IntoIterator<Item = LogFault>) {
        self.lock().faults.extend(faults);
    }

    /// Fills the disk, so that every append is refused, or gives it space again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Cuts the power: this log refuses every later call, and the one returned is what a restart finds.
    pub fn crash(&self) -> Self {
        let mut inner = self.lock();
        inner.poison = Some("the power is off".to_owned());
        let durable = inner.durable.clone();
        let found = Inner { visible: durable.clone(), durable, full: inner.full, ..Inner::default() };
        Self { inner: Mutex::new(found) }
    }

    /// Appends that succeeded since this log was opened.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check_alive(&self) -> Result<()> {
        match &self.poison {
            Some(reason) => Err(Error::Poisoned { store: "the raft log", reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn settle_lies(&mut self) {
        for batch in std::mem::take(&mut self.lied) {
            apply(&mut self.durable, &batch);
        }
    }
}

impl RaftLog for MemLog {
    fn append(&self, batch: &LogBatch) -> Result<()> {
        let mut inner = self.lock();
        inner.check_alive()?;
        check(&inner.visible, batch)?;
        let fault = inner.faults.pop_front().unwrap_or(LogFault::None);
        if inner.full || fault == LogFault::Full {
            return Err(Error::io("append to", "the raft log", std::io::ErrorKind::StorageFull.into()));
        }
        if let LogFault::SyncFails { survives } = fault {
            let reason = "the sync of an append failed".to_owned();
            inner.poison = Some(reason.clone());
            if survives {
                inner.settle_lies();
                apply(&mut inner.durable, batch);
            }
            return Err(Error::Poisoned { store: "the raft log", reason });
        }
        apply(&mut inner.visible, batch);
        inner.syncs += 1;
        if fault == LogFault::Lie {
            inner.lied.push(batch.clone());
        } else {
            inner.settle_lies();
            apply(&mut inner.durable, batch);
        }
        Ok(())
    }

    fn groups(&self) -> Vec<GroupId> {
        self.lock().visible.keys().copied().collect()
    }

    fn state(&self, group: GroupId) -> Option<GroupState> {
        self.lock().visible.get(&group).map(|known| known.state.clone())
    }

    fn entries(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<LogEntry>> {
        let inner = self.lock();
        inner.check_alive()?;
        check_range(&inner.visible, group, &range)?;
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        for index in range {
            let Some(slot) = inner.visible.get(&group).and_then(|known| known.slot(index)) else { break };
            bytes = bytes.saturating_add(slot.stored.len());
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(LogEntry { index, term: slot.term, payload: slot.stored.clone() });
        }
        Ok(entries)
    }

    fn term(&self, group: GroupId, index: u64) -> Option<u64> {
        self.lock().visible.get(&group)?.term(index)
    }
}

/// Applies a checked batch, payloads shared, not copied.
fn apply(groups: &mut Groups<Bytes>, batch: &LogBatch) {
    for part in &batch.parts {
        let payloads = part.entries.iter().map(|entry| entry.payload.clone());
        groups.entry(part.group).or_default().apply(part, payloads, &mut drop);
    }
}
