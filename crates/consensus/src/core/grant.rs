//! Reads in place: a lone voter's leave to answer reads without asking its raft thread.
//!
//! A read needs to know two things: that nobody else leads, and up to where it must be applied. A cluster asks a
//! quorum; a group whose only voter is this peer knows both by itself, and lends the knowledge out as a
//! [`ReadGrant`]. While one is out, its holder answers reads under a lock; before anything is stamped, closed, given
//! back or handed out to be applied, it is taken back under the same lock ([`Group::take_back`]).
//!
//! Why such a read is linearizable:
//! - **Nobody else leads.** A leader needs the votes of a majority of the voters. This peer is the only voter, votes
//!   once in a term and for itself, and its log is held by one process. While a change of the voters is in the log and
//!   not applied, there is no grant, and reads go the ordinary way, through Raft's ReadIndex.
//! - **It sees what was answered before.** A command is answered after it was applied, and applied after it was handed
//!   out. There is a grant only where everything that is committed is applied, and it is taken back before more is
//!   handed out. So whatever was answered before a read of a grant is at or below its applied index.
//! - **No later command comes at or below its time.** Answers lie at or below the ceiling that is committed and the one
//!   the log ends with, and below every command stamped and not applied. What is stamped later is stamped after the
//!   grant came back with its last answer, and above that. After a crash, whoever leads stamps above the ceiling. These
//!   are the rules of every other read, see [`Times`](super::times).
//! - **It does not go back**: an answer is at or above the one before.
//!
//! A leader of an earlier term's entries has no grant before it applied the first entry of its own. A node that failed
//! gives no grant, and refuses reads before it looks for one.

use lineate_types::TimestampUs;

use super::{effects::ReadPoint, group::Group};

/// Leave to answer reads of a group, until it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadGrant {
    applied_index: u64,
    committed: TimestampUs,
    /// At or above every commit time applied and every time a read was answered at.
    latest: TimestampUs,
    /// No answer above this.
    ceiling: TimestampUs,
    /// Below every commit time that is stamped and not applied.
    settled: TimestampUs,
    /// The clock at the last answer.
    used: Option<TimestampUs>,
}

impl ReadGrant {
    /// Answers a read at or above a time. None where it must go the ordinary way: a ceiling must be appended for it,
    /// or commands that are not applied yet keep it below `at_least`.
    pub fn answer(&mut self, now: TimestampUs, at_least: TimestampUs) -> Option<ReadPoint> {
        let present = now.max(self.latest);
        let as_of = present.min(self.settled);
        if present > self.ceiling || as_of < at_least {
            return None;
        }
        self.latest = self.latest.max(as_of);
        self.used = Some(now);
        Some(ReadPoint { as_of, applied_index: self.applied_index, committed: self.committed })
    }
}

impl Group {
    /// Leave to answer reads in place, where there can be one.
    pub fn grant(&self) -> Option<ReadGrant> {
        let raft = &self.node.raft;
        let knows_alone = self.is_alone() && self.check_leads().is_ok() && !raft.has_pending_conf();
        let is_settled = raft.commit_to_current_term() && raft.raft_log.committed == self.applied_index();
        (knows_alone && is_settled).then(|| ReadGrant {
            applied_index: self.applied_index(),
            committed: self.times.applied().commit,
            latest: self.times.present(TimestampUs::MIN),
            ceiling: self.times.readable(),
            settled: self.times.settled(),
            used: None,
        })
    }

    /// Takes a grant back. To be called before any other call that changes this group but [`Group::persisted`] and
    /// [`Group::applied`].
    pub fn take_back(&mut self, grant: ReadGrant) {
        if let Some(now) = grant.used {
            self.times.note_answered(grant.latest);
            self.note_used(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: ReadGrant = ReadGrant {
        applied_index: 7,
        committed: TimestampUs(100),
        latest: TimestampUs(100),
        ceiling: TimestampUs(200),
        settled: TimestampUs(150),
        used: None,
    };

    fn answers(now: i64, at_least: i64) -> Option<i64> {
        let mut grant = GRANT;
        let point = grant.answer(TimestampUs(now), TimestampUs(at_least));
        assert_eq!(point.is_some(), grant != GRANT, "what is not answered leaves no trace");
        point.map(|point| point.as_of.0)
    }

    #[test]
    fn an_answer_lies_at_the_clock_between_what_was_answered_and_what_is_not_applied() {
        assert_eq!(answers(120, 0), Some(120));
        assert_eq!(answers(90, 0), Some(100), "a clock that stepped back");
        assert_eq!(answers(180, 0), Some(150), "a command at 151 is not applied");
    }

    #[test]
    fn what_needs_a_ceiling_or_a_command_applied_goes_the_ordinary_way() {
        assert_eq!(answers(200, 0), Some(150));
        assert_eq!(answers(201, 0), None);
        assert_eq!(answers(180, 150), Some(150));
        assert_eq!(answers(180, 151), None);
    }
}
