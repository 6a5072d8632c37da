//! The Raft log: one for all groups of a node.
//!
//! Invariants, the same for every implementation:
//! - a batch is durable when [`RaftLog::append`] returns, and after a crash it is there wholly or not at all;
//! - batches survive in order: a later batch never survives an earlier one that was acknowledged;
//! - indexes of a group are contiguous from its cut to its last entry, terms never fall;
//! - a hard state never goes back: not in term, not in commit, and a vote never changes within a term;
//! - an entry at or below the commit index is never overwritten, nor contradicted by a cut;
//! - what breaks a rule is refused whole, before a byte is written.
//!
//! Deliberately absent: what a payload means, elections, removal of a group.

mod file;
mod group;
mod memory;

use std::ops::Range;

use bytes::Bytes;
use lineate_types::GroupId;

use crate::Result;

pub use file::{FileLog, LogOptions, RecoveryReport, TornTail};
pub use memory::{LogFault, MemLog};

/// One entry of a group's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the group's log, from 1.
    pub index: u64,
    /// The term of the leader that proposed it.
    pub term: u64,
    /// Opaque bytes, at most [`lineate_types::limits::LOG_ENTRY_BYTES`].
    pub payload: Bytes,
}

/// What a Raft peer must remember besides its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// The newest term seen.
    pub term: u64,
    /// The peer voted for in `term`, or 0.
    pub vote: u64,
    /// The newest index known to be committed.
    pub commit: u64,
}

/// The place before which a group's log is forgotten. `(0, 0)` at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Entries at or below this index are gone.
    pub index: u64,
    /// The term of the entry at `index`.
    pub term: u64,
}

/// What one append changes in one group. The cut takes effect first, then the entries, then the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupBatch {
    /// The group; it comes into being with its first batch.
    pub group: GroupId,
    /// The new hard state.
    pub hard_state: Option<HardState>,
    /// Contiguous entries; whatever the log holds from the first of them on is replaced.
    pub entries: Vec<LogEntry>,
    /// The new configuration (voters, learners), opaque.
    pub conf: Option<Bytes>,
    /// Entries at or below the cut may be forgotten. Where the log holds no entry of exactly this index and
    /// term (a snapshot arrived), the whole log is dropped and begins after the cut. A cut is committed: it
    /// lifts the commit index to itself. A cut at or behind the present one changes nothing.
    pub cut: Option<Cut>,
}

/// What one append changes. A group may occur more than once; parts take effect in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogBatch {
    /// The changes, group by group.
    pub parts: Vec<GroupBatch>,
}

/// What the log knows of a group, entries aside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupState {
    /// The newest hard state.
    pub hard_state: HardState,
    /// The newest configuration.
    pub conf: Option<Bytes>,
    /// Where the log begins: the first entry that can be read is `cut.index + 1`.
    pub cut: Cut,
    /// The newest entry, or `cut.index` where there is none.
    pub last_index: u64,
}

/// A durable log of many Raft groups. Appends are serial, reads may run beside them and see what is durable.
pub trait RaftLog: Send + Sync {
    /// Makes the batch durable with one sync, however many groups it touches.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) and [`Error::TooLarge`](crate::Error::TooLarge): a rule of
    /// the module is broken, nothing happened. An error that passes ([`Error::passes`](crate::Error::passes)):
    /// nothing happened, the same batch may be appended again when there is space, or a file descriptor. Anything else: whether the batch survives is unknown,
    /// and every later call fails; end the process and reopen.
    fn append(&self, batch: &LogBatch) -> Result<()>;

    /// The groups that ever appended, ascending.
    fn groups(&self) -> Vec<GroupId>;

    /// What is known of a group; none where it never appended.
    fn state(&self, group: GroupId) -> Option<GroupState>;

    /// The entries `range` of a group, from the low end, as many as fit into `max_bytes` of payload, at least
    /// one where the range is not empty.
    ///
    /// # Errors
    /// [`Error::Forgotten`](crate::Error::Forgotten) where the range begins at or below the cut,
    /// [`Error::Beyond`](crate::Error::Beyond) where it ends beyond the last entry,
    /// [`Error::NotFound`](crate::Error::NotFound) where the group never appended,
    /// [`Error::Corrupt`](crate::Error::Corrupt) where a stored entry does not verify.
    fn entries(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<LogEntry>>;

    /// The term of an entry; at the cut the cut's term; none before the cut, beyond the last entry, and in a
    /// group that never appended. Known without the disk, and so also once the log is poisoned: Raft takes a term
    /// that cannot be told for a broken invariant.
    fn term(&self, group: GroupId, index: u64) -> Option<u64>;
}

impl LogBatch {
    /// A batch of one part.
    pub fn of(part: GroupBatch) -> Self {
        Self { parts: vec![part] }
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(GroupBatch::is_empty)
    }
}

impl GroupBatch {
    /// A part that changes nothing yet.
    pub fn new(group: GroupId) -> Self {
        Self { group, hard_state: None, entries: Vec::new(), conf: None, cut: None }
    }

    /// Whether nothing would change, besides the group coming into being.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none() && self.entries.is_empty() && self.conf.is_none() && self.cut.is_none()
    }
}
