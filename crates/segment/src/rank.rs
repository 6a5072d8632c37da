//! The total order of the rows of one key: whichever visible row ranks highest is the answer.

use lineate_types::TimestampUs;

/// The place of a row among the rows of its key. Fields compare in their order; a missing created time ranks
/// lowest. Raft index, group and node are no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// When it happened.
    pub event_time: TimestampUs,
    /// When its producer knew it, if the row says.
    pub created_time: Option<TimestampUs>,
    /// When this store committed it.
    pub commit_time: TimestampUs,
    /// The row's position in its commit, from 0: file order, then row order.
    pub ordinal: i64,
}

impl Rank {
    /// When the producer knew the row: a null created time counts as the commit time.
    pub fn known_at(&self) -> TimestampUs {
        self.created_time.unwrap_or(self.commit_time)
    }
}
