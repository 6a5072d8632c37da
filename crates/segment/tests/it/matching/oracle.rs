//! The point-in-time contract in plain loops over plain rows. Shares nothing with the crate under test: it
//! reads as the contract reads, and costs labels times rows.

use crate::fixture::{Commit, Row};

/// Which mode, in the contract's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Event,
    Known,
    /// With the default mode: whether that is `known`.
    Served {
        known: bool,
    },
}

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) origin: Option<String>,
    pub(crate) flight: Option<i64>,
    pub(crate) time: i64,
    pub(crate) mode: Mode,
    pub(crate) snapshot: i64,
    pub(crate) ttl: Option<i64>,
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The row of this id gives the features.
    Row(i64),
    /// No row, or a tombstone.
    Absent,
    /// The latest row is older than the time-to-live; its event time.
    Expired(i64),
}

/// Event time, whether there is a created time, created time, commit time, ordinal: the order of rows.
type Place = (i64, i64, i64, i64, usize);

/// What the contract says.
pub(crate) fn answer(history: &[Commit], question: &Question) -> Answer {
    let (Some(origin), Some(flight)) = (&question.origin, question.flight) else { return Answer::Absent };
    let mut with_ttl: Option<(Place, &Row)> = None;
    let mut without_ttl = with_ttl;
    for commit in history {
        for (ordinal, row) in commit.rows.iter().enumerate() {
            if row.origin != *origin || row.flight != flight {
                continue;
            }
            if row.event_time > question.time || commit.time > question.snapshot {
                continue;
            }
            let created_or_commit = match row.created_time {
                Some(created) => created,
                None => commit.time,
            };
            let created_has_come = created_or_commit <= question.time;
            let commit_has_come = commit.time <= question.time;
            let counts = match question.mode {
                Mode::Event => true,
                Mode::Known => created_has_come,
                Mode::Served { known } => commit_has_come && (!known || created_has_come),
            };
            if !counts {
                continue;
            }
            // A missing created time ranks lowest: below every number.
            let (has_created, created) = match row.created_time {
                Some(created) => (1, created),
                None => (0, 0),
            };
            let rank = (row.event_time, has_created, created, commit.time, ordinal);
            if without_ttl.is_none_or(|(best, _)| rank > best) {
                without_ttl = Some((rank, row));
            }
            let oldest = match question.ttl {
                Some(ttl) => question.time.checked_sub(ttl).unwrap_or(i64::MIN),
                None => i64::MIN,
            };
            if row.event_time >= oldest && with_ttl.is_none_or(|(best, _)| rank > best) {
                with_ttl = Some((rank, row));
            }
        }
    }
    match (with_ttl, without_ttl) {
        (Some((_, row)), _) if !row.deleted => Answer::Row(row.id),
        (None, Some((_, row))) if !row.deleted => Answer::Expired(row.event_time),
        _ => Answer::Absent,
    }
}
