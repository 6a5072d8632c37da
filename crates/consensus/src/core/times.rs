//! The times of a group: what its log says, and what its leader may stamp and answer.
//!
//! Invariants, with *floor* for the greatest of the last ceiling, commit time and closed time in the log:
//! - the leader stamps above the floor its tenure began with, above every time it stamped, closed or answered
//!   a read at, and at or below a ceiling that stands before the command in the log;
//! - a read is answered at or below a committed ceiling and below every command not yet applied. Whoever leads
//!   next holds that ceiling in its log and stamps above it: so nothing comes at or below the answer;
//! - a leader lowers the ceiling only to where its own tenure has been, never below where it began.

use std::collections::VecDeque;

use lineate_types::{DurationUs, TimestampUs};

use crate::codec::envelope::Envelope;

/// How far a ceiling is raised above a commit time that runs ahead of the clock.
const AHEAD: DurationUs = DurationUs(10_000);

/// What the entries up to some index of a log say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogTimes {
    /// The greatest commit time.
    pub(crate) commit: TimestampUs,
    /// The last ceiling.
    pub(crate) ceiling: TimestampUs,
    /// The greatest closed time.
    pub(crate) closed: TimestampUs,
}

/// What one entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Commit(TimestampUs),
    Ceiling(TimestampUs),
    Closed(TimestampUs),
}

/// The times of a group, of its log and of the tenure of this peer if it leads.
#[derive(Debug)]
pub(crate) struct Times {
    /// Of the applied entries.
    applied: LogTimes,
    /// Of the entries behind them that say something, in order.
    pending: VecDeque<(u64, Mark)>,
    /// Of all of them together.
    appended: LogTimes,
    tenure: Option<Tenure>,
    /// How far ahead of the clock a ceiling is put.
    window: DurationUs,
}

/// One leadership of this peer.
#[derive(Debug, Clone, Copy)]
struct Tenure {
    /// The floor of the log when it began.
    floor: TimestampUs,
    /// The greatest time a read was answered at.
    answered: TimestampUs,
    /// The clock went past the floor, or was too far behind to wait for it.
    open: bool,
}

/// What a leader may do about a time now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Stamp with `commit_time`; where there is a ceiling, it must be appended first.
    At { commit_time: TimestampUs, ceiling: Option<TimestampUs> },
    /// Wait until the clock is past this time, which an earlier leader reserved.
    Wait { until: TimestampUs },
    /// There is no later time left.
    Exhausted,
}

impl LogTimes {
    /// The times of an empty log.
    pub(crate) const EMPTY: Self =
        Self { commit: TimestampUs::MIN, ceiling: TimestampUs::MIN, closed: TimestampUs::MIN };

    /// The greatest time the log speaks of: whoever leads next stamps above it.
    pub(crate) fn floor(&self) -> TimestampUs {
        self.commit.max(self.ceiling).max(self.closed)
    }

    pub(crate) fn take(&mut self, mark: Mark) {
        match mark {
            Mark::None => {}
            Mark::Commit(at) => self.commit = self.commit.max(at),
            Mark::Ceiling(at) => self.ceiling = at,
            Mark::Closed(at) => self.closed = self.closed.max(at),
        }
    }
}

impl Mark {
    pub(crate) fn of(envelope: &Envelope) -> Self {
        match envelope {
            Envelope::Empty => Self::None,
            Envelope::Command { commit_time, .. } => Self::Commit(*commit_time),
            Envelope::Ceiling { at } => Self::Ceiling(*at),
            Envelope::Close { at } => Self::Closed(*at),
        }
    }
}

impl Times {
    /// The times of a log that begins with these and goes on with the entries [`Times::append`]ed next.
    pub(crate) fn new(at_cut: LogTimes, window: DurationUs) -> Self {
        Self { applied: at_cut, pending: VecDeque::new(), appended: at_cut, tenure: None, window }
    }

    /// These times, with ceilings put so far ahead of the clock.
    pub(crate) fn within(self, window: DurationUs) -> Self {
        Self { window, ..self }
    }

    /// Takes note of an entry appended to the log; whatever was there from its index on is replaced.
    pub(crate) fn append(&mut self, index: u64, mark: Mark) {
        if self.pending.back().is_some_and(|(last, _)| *last >= index) {
            while self.pending.back().is_some_and(|(last, _)| *last >= index) {
                self.pending.pop_back();
            }
            self.appended = self.applied;
            self.pending.iter().for_each(|(_, mark)| self.appended.take(*mark));
        }
        if mark != Mark::None {
            self.pending.push_back((index, mark));
            self.appended.take(mark);
        }
    }

    /// Takes note that the entries up to `index` are applied.
    pub(crate) fn apply_to(&mut self, index: u64) {
        while let Some((_, mark)) = self.pending.pop_front_if(|(first, _)| *first <= index) {
            self.applied.take(mark);
        }
    }

    /// The times of the applied entries.
    pub(crate) fn applied(&self) -> LogTimes {
        self.applied
    }

    /// The closed time of the whole log, applied or not.
    pub(crate) fn closing(&self) -> TimestampUs {
        self.appended.closed
    }

    /// Begins the tenure of this peer, or ends it.
    pub(crate) fn set_leading(&mut self, leads: bool) {
        if leads && self.tenure.is_none() {
            let floor = self.appended.floor();
            self.tenure = Some(Tenure { floor, answered: TimestampUs::MIN, open: false });
        }
        if !leads {
            self.tenure = None;
        }
    }

    /// The commit time of the next command. Only the leader may ask.
    pub(crate) fn stamp(&mut self, now: TimestampUs) -> Stamp {
        let window = self.window;
        let Some(tenure) = &mut self.tenure else { return Stamp::Exhausted };
        if !tenure.open {
            let ahead = tenure.floor.0.saturating_sub(now.0);
            if (0..=window.0).contains(&ahead) {
                return Stamp::Wait { until: tenure.floor };
            }
            tenure.open = true;
        }
        let passed = self.appended.commit.max(self.appended.closed).max(tenure.floor).max(tenure.answered);
        let Some(next) = passed.0.checked_add(1) else { return Stamp::Exhausted };
        let commit_time = now.max(TimestampUs(next));
        let ceiling = (commit_time > self.appended.ceiling).then(|| self.raised(now, commit_time));
        Stamp::At { commit_time, ceiling }
    }

    /// The ceiling to append so that a read can be answered at `now`, if the present one is too low.
    pub(crate) fn ceiling_for_read(&self, now: TimestampUs) -> Option<TimestampUs> {
        let wanted = self.present(now);
        (wanted > self.appended.ceiling).then(|| self.raised(now, wanted))
    }

    /// The ceiling to append so that reads need not wait for one soon; none while half of it is ahead.
    pub(crate) fn ceiling_ahead(&self, now: TimestampUs) -> Option<TimestampUs> {
        let soon = now.saturating_add(DurationUs(self.window.0 / 2));
        (self.tenure.is_some() && soon > self.appended.ceiling).then(|| self.raised(now, self.present(now)))
    }

    /// The time at which [`Times::ceiling_ahead`] has one to append.
    pub(crate) fn ceiling_due(&self) -> TimestampUs {
        self.appended.ceiling.saturating_sub(DurationUs(self.window.0 / 2))
    }

    /// The time to answer a read at. Only the leader may ask, for a state that applied what
    /// [`Times::apply_to`] was told.
    pub(crate) fn answer(&mut self, now: TimestampUs) -> TimestampUs {
        let as_of = self.present(now).min(self.readable()).min(self.settled());
        self.note_answered(as_of);
        as_of
    }

    /// Takes note that a read was answered at a time.
    pub(crate) fn note_answered(&mut self, as_of: TimestampUs) {
        if let Some(tenure) = &mut self.tenure {
            tenure.answered = tenure.answered.max(as_of);
        }
    }

    /// The ceiling of reads: the least of those that whoever leads next may find as the last of its log. One that was
    /// lowered counts at once, and as long as none that raises it again is applied.
    pub(crate) fn readable(&self) -> TimestampUs {
        let pending = self.pending.iter().filter_map(|(_, mark)| match mark {
            Mark::Ceiling(at) => Some(*at),
            _ => None,
        });
        pending.fold(self.applied.ceiling, TimestampUs::min)
    }

    /// The greatest time below every commit time that is not applied.
    pub(crate) fn settled(&self) -> TimestampUs {
        let first = self.pending.iter().find_map(|(_, mark)| match mark {
            Mark::Commit(at) => Some(TimestampUs(at.0.saturating_sub(1))),
            _ => None,
        });
        first.unwrap_or(TimestampUs::MAX)
    }

    /// The lower ceiling a leader leaves behind when it goes, if that gives anything back.
    pub(crate) fn released(&self) -> Option<TimestampUs> {
        let tenure = self.tenure?;
        let used = self.appended.commit.max(self.appended.closed).max(tenure.floor).max(tenure.answered);
        (used < self.appended.ceiling).then_some(used)
    }

    /// The clock as reads see it: it does not fall behind a command that was answered, nor a read.
    pub(crate) fn present(&self, now: TimestampUs) -> TimestampUs {
        let answered = self.tenure.map_or(TimestampUs::MIN, |tenure| tenure.answered);
        now.max(self.applied.commit).max(answered)
    }

    fn raised(&self, now: TimestampUs, at_least: TimestampUs) -> TimestampUs {
        let ahead = DurationUs(AHEAD.0.min(self.window.0));
        now.saturating_add(self.window).max(at_least.saturating_add(ahead))
    }
}
