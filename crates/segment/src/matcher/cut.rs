//! Which rows count at a time: the words of the point-in-time contract, for one row.

use lineate_types::{DurationUs, MatchMode, TimestampUs};

use crate::Rank;

/// What limits the rows that may answer, for one view and one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Which rows count as known at a label's time.
    pub mode: MatchMode,
    /// The view's default mode, which [`MatchMode::Served`] builds on.
    pub default_mode: MatchMode,
    /// Rows committed after this do not exist.
    pub snapshot: TimestampUs,
    /// How long a row stays an answer, inclusive; none means for ever.
    pub ttl: Option<DurationUs>,
}

/// What a winning row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its values are the answer, nulls included.
    Live,
    /// It is a tombstone: the key has ended.
    Deleted,
    /// It is older than the time-to-live, and so is every other row: there is no answer.
    Expired,
}

/// A row that is the latest one visible at a time in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its rank; the greatest of all runs wins.
    pub rank: Rank,
    /// Its row number in its run.
    pub row: u32,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

impl Cut {
    /// Whether the created time decides too.
    pub fn heeds_created(&self) -> bool {
        match self.mode {
            MatchMode::Event => false,
            MatchMode::Known => true,
            MatchMode::Served => self.default_mode == MatchMode::Known,
        }
    }

    /// Whether the commit time decides too, beyond the snapshot.
    pub fn heeds_commit(&self) -> bool {
        self.mode == MatchMode::Served
    }

    /// The first time at which a row counts, whatever the snapshot.
    pub fn visible_at(&self, rank: &Rank) -> TimestampUs {
        let mut visible = rank.event_time;
        if self.heeds_created() {
            visible = visible.max(rank.known_at());
        }
        if self.heeds_commit() {
            visible = visible.max(rank.commit_time);
        }
        visible
    }

    /// Whether a row is a candidate at a time. The time-to-live is no part of this: the winner has the greatest
    /// event time, so if it is expired, every candidate is (see [`Self::outcome`]).
    pub fn admits(&self, rank: &Rank, at: TimestampUs) -> bool {
        rank.commit_time <= self.snapshot && self.visible_at(rank) <= at
    }

    /// What the winner at a time says. A tombstone stays one however old it is.
    pub fn outcome(&self, event_time: TimestampUs, deleted: bool, at: TimestampUs) -> Outcome {
        let expired = self.ttl.is_some_and(|ttl| event_time < at.saturating_sub(ttl));
        match (deleted, expired) {
            (true, _) => Outcome::Deleted,
            (false, true) => Outcome::Expired,
            (false, false) => Outcome::Live,
        }
    }
}
