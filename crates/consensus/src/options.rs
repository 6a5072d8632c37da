//! How a node drives its groups.

use std::time::Duration;

use lineate_types::{DurationUs, limits};

use crate::{Error, Result};

/// How a node drives its groups. The defaults suit a cluster in one region and a single node alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The length of a tick. Groups of one voter do not tick.
    pub tick: Duration,
    /// Ticks between the heartbeats of a leader.
    pub heartbeat_ticks: usize,
    /// Ticks without a leader after which a follower campaigns, at least.
    pub election_ticks_min: usize,
    /// Ticks without a leader after which a follower campaigns: fewer than this. One more than the least
    /// makes elections deterministic.
    pub election_ticks_max: usize,
    /// Commands proposed and not yet answered, per group.
    pub proposals_in_flight: usize,
    /// Bytes of those commands, per group.
    pub proposal_bytes_in_flight: usize,
    /// Reads and closes asked for and not yet answered, per group.
    pub reads_in_flight: usize,
    /// How far ahead of this node's clock a close may lie.
    pub max_offset: DurationUs,
    /// How far ahead of the clock a leader reserves commit times. A crashed leader's successor stamps above
    /// what was reserved, so this is also the longest wait for the first command after a crash.
    pub ceiling: DurationUs,
    /// How long after its last use a group keeps times reserved in advance, so that a read need not wait for
    /// a sync.
    pub warm: DurationUs,
    /// How long a request waits for a leader, or for space on a full disk, before it fails.
    pub patience: Duration,
    /// Bytes of committed entries waiting for the state machine of a group, above which the group pauses.
    pub apply_backlog_bytes: usize,
    /// Apply threads; each serves a share of the groups.
    pub apply_threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(100),
            heartbeat_ticks: 3,
            election_ticks_min: 10,
            election_ticks_max: 20,
            proposals_in_flight: limits::PROPOSALS_IN_FLIGHT,
            proposal_bytes_in_flight: limits::PROPOSAL_BYTES_IN_FLIGHT,
            reads_in_flight: limits::READS_IN_FLIGHT,
            max_offset: DurationUs(500_000),
            ceiling: DurationUs(2_000_000),
            warm: DurationUs(10_000_000),
            patience: Duration::from_secs(5),
            apply_backlog_bytes: limits::PROPOSAL_BYTES_IN_FLIGHT,
            apply_threads: 1,
        }
    }
}

impl Options {
    /// Checks that the options fit each other.
    ///
    /// # Errors
    /// [`Error::Options`] says which do not.
    pub fn check(&self) -> Result<()> {
        let wrong = |reason: &str| Err(Error::Options { reason: reason.to_owned() });
        if self.tick.is_zero() || self.heartbeat_ticks == 0 {
            return wrong("a tick and the heartbeat interval must be longer than nothing");
        }
        if self.election_ticks_min <= self.heartbeat_ticks {
            return wrong("an election timeout must be longer than the heartbeat interval");
        }
        if self.election_ticks_max <= self.election_ticks_min {
            return wrong("the greatest election timeout must be above the least");
        }
        if self.proposals_in_flight == 0 || self.proposal_bytes_in_flight == 0 || self.reads_in_flight == 0 {
            return wrong("at least one proposal and one read must be allowed in flight");
        }
        if self.ceiling.0 <= 0 || self.max_offset.0 < 0 || self.warm.0 < 0 {
            return wrong("the ceiling must be above zero, the offset and the warm time not below");
        }
        if self.apply_threads == 0 || self.apply_backlog_bytes == 0 {
            return wrong("at least one apply thread and one byte of backlog are needed");
        }
        Ok(())
    }
}
