//! Linearizable reads on their way: asked for, confirmed by a quorum, applied.
//!
//! Each batch of reads has a context of its own, never reused in a process: a read is never joined to a batch
//! whose heartbeats are already sent. Deliberately absent: leases; a read costs a round to a quorum. What a lone voter
//! may answer by itself is in [`grant`](super::grant).

use std::collections::BTreeMap;

/// Names a batch of reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadBatch(u64);

/// The batches on their way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Reads {
    next: u64,
    waiting: BTreeMap<ReadBatch, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The term it was asked for in; another term means that raft-rs forgot it.
    term: u64,
    /// It can be answered when this index is applied; none until a quorum confirmed it.
    confirmed: Option<u64>,
    /// The index of an entry it waits for besides.
    at_least: u64,
}

impl Reads {
    /// A new batch, and the context to ask raft-rs with.
    pub(super) fn open(&mut self, term: u64, at_least: u64) -> (ReadBatch, Vec<u8>) {
        let batch = ReadBatch(self.next);
        self.next += 1;
        self.waiting.insert(batch, Waiting { term, confirmed: None, at_least });
        (batch, batch.0.to_le_bytes().to_vec())
    }

    /// Takes note that a quorum confirmed a batch at a commit index.
    pub(super) fn confirm(&mut self, context: &[u8], index: u64) {
        let Some(context) = context.first_chunk::<8>() else { return };
        if let Some(waiting) = self.waiting.get_mut(&ReadBatch(u64::from_le_bytes(*context))) {
            waiting.confirmed = Some(index);
        }
    }

    /// Takes out the batches that can be answered.
    pub(super) fn take_ready(&mut self, applied: u64, settle: bool) -> Vec<ReadBatch> {
        self.take(|waiting| {
            (settle || waiting.at_least <= applied) && waiting.confirmed.is_some_and(|index| index <= applied)
        })
    }

    /// Takes out the batches nobody will confirm: all, unless this peer still leads in their term.
    pub(super) fn take_lost(&mut self, leads: bool, term: u64) -> Vec<ReadBatch> {
        self.take(|waiting| !leads || waiting.term != term)
    }

    fn take(&mut self, mut done: impl FnMut(&Waiting) -> bool) -> Vec<ReadBatch> {
        self.waiting.extract_if(.., |_, waiting| done(waiting)).map(|(batch, _)| batch).collect()
    }
}
