//! The rows of one key that can still answer, from some time on.
//!
//! A row can win at some T >= `from` only if no row of higher rank is visible as early as it is. What is left
//! ascends by rank and by visibility alike, so the winner at T is the last row visible at T: one binary search.
//! Entries are of mode `served`, where a row is visible no earlier than its commit: with T = S nothing else needs
//! to be compared. For other modes the cut leaves out what its snapshot does not hold.

use std::{cmp::Reverse, collections::VecDeque};

use lineate_segment::{Rank, matcher::Cut, run::RunKeys};
use lineate_types::{DurationUs, TimestampUs};

/// A row that can still answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender<P> {
    /// When it begins to count, `from` at the earliest.
    pub(super) visible_at: TimestampUs,
    pub(super) rank: Rank,
    pub(super) deleted: bool,
    /// Where its values are.
    pub(super) place: P,
}

/// The contenders of one key, ascending: all that count at any time from `from`, inclusive, to `until`,
/// exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skyline<P> {
    pub(super) from: TimestampUs,
    pub(super) until: TimestampUs,
    pub(super) rows: VecDeque<Contender<P>>,
}

/// How far behind now a skyline still answers: lookups under way at once have times that differ a little.
const LOOKBACK: DurationUs = DurationUs(1_000_000);

/// No end: times stop before it.
pub(super) const FOREVER: TimestampUs = TimestampUs::MAX;

impl<P> Skyline<P> {
    /// The contenders among rows that descend by rank; rows of one rank are one row. At most `most` are kept,
    /// those that count first.
    pub(super) fn of(
        descending: impl IntoIterator<Item = Contender<P>>,
        from: TimestampUs,
        until: TimestampUs,
        most: usize,
    ) -> Self {
        let mut skyline = Self { from, until, rows: VecDeque::new() };
        for row in descending {
            let visible_at = row.visible_at.max(from);
            let earliest = skyline.rows.front().map_or(skyline.until, |row| row.visible_at);
            if visible_at >= earliest {
                continue;
            }
            skyline.rows.push_front(Contender { visible_at, ..row });
            if skyline.rows.len() > most {
                let last = skyline.rows.pop_back();
                skyline.until = last.map_or(skyline.until, |row| row.visible_at);
            }
            if visible_at == from {
                break;
            }
        }
        skyline
    }

    /// The skyline that answers now and for a while: from a little before now if that leaves room for now, from
    /// now if the key has too many rows that began to count in between.
    pub(super) fn around(now: TimestampUs, skyline: impl Fn(TimestampUs) -> Self) -> Self {
        let wide = skyline(now.saturating_sub(LOOKBACK));
        if wide.until > now { wide } else { skyline(now) }
    }

    /// The contenders of several skylines of one key, none of which begins after `from`.
    pub(super) fn merge(parts: Vec<Self>, from: TimestampUs, most: usize) -> Self {
        let until = parts.iter().map(|part| part.until).min().unwrap_or(FOREVER);
        let mut rows: Vec<Contender<P>> = parts.into_iter().flat_map(|part| part.rows).collect();
        rows.sort_unstable_by_key(|row| Reverse(row.rank));
        Self::of(rows, from, until, most)
    }
}

impl<P> Skyline<P> {
    /// The same rows with other places.
    pub(super) fn map<Q>(self, place: impl Fn(P) -> Q) -> Skyline<Q> {
        let row = |row: Contender<P>| Contender {
            visible_at: row.visible_at,
            rank: row.rank,
            deleted: row.deleted,
            place: place(row.place),
        };
        Skyline { from: self.from, until: self.until, rows: self.rows.into_iter().map(row).collect() }
    }
}

impl Skyline<u32> {
    /// The contenders among the rows of the key at a position of a run; their places are row numbers.
    pub(super) fn of_run(run: &RunKeys, position: usize, cut: &Cut, from: TimestampUs, most: usize) -> Self {
        let descending = run.rows_of(position).rev().filter_map(|index| {
            let rank = run.rank(index);
            (rank.commit_time <= cut.snapshot).then(|| Contender {
                visible_at: cut.visible_at(&rank),
                rank,
                deleted: run.is_deleted(index),
                place: run.row_number(position, index),
            })
        });
        Self::of(descending, from, FOREVER, most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0..12_i64, 0..12_i64), 0..14)
    }

    /// Rows as (event time, created time), numbered by position.
    fn contenders(rows: &[(i64, i64)]) -> Vec<Contender<usize>> {
        let contender = |(place, (event, created)): (usize, &(i64, i64))| Contender {
            visible_at: TimestampUs(*event.max(created)),
            rank: Rank {
                event_time: TimestampUs(*event),
                created_time: Some(TimestampUs(*created)),
                commit_time: TimestampUs(0),
                ordinal: i64::try_from(place).expect("few"),
            },
            deleted: false,
            place,
        };
        let mut contenders: Vec<_> = rows.iter().enumerate().map(contender).collect();
        contenders.sort_by_key(|row| Reverse(row.rank));
        contenders
    }

    fn winner(skyline: &Skyline<usize>, at: i64) -> Option<usize> {
        skyline.rows.iter().rev().find(|row| row.visible_at.0 <= at).map(|row| row.place)
    }

    fn expected(all: &[Contender<usize>], at: i64) -> Option<usize> {
        all.iter().filter(|row| row.visible_at.0 <= at).max_by_key(|row| row.rank).map(|row| row.place)
    }

    #[test]
    fn a_key_with_many_recent_rows_answers_now() {
        let now = TimestampUs(10_000_000);
        let rows: Vec<(i64, i64)> = (0..40).map(|row| (row, now.0 - 40 + row)).collect();
        let all = contenders(&rows);
        let skyline = Skyline::around(now, |from| Skyline::of(all.clone(), from, FOREVER, 4));
        assert_eq!((skyline.from, skyline.until, winner(&skyline, now.0)), (now, FOREVER, Some(39)));
        let few = contenders(&rows[..3]);
        let skyline = Skyline::around(now, |from| Skyline::of(few.clone(), from, FOREVER, 4));
        assert_eq!((skyline.from.0, skyline.rows.len()), (now.0 - LOOKBACK.0, 3));
    }

    proptest! {
        #[test]
        fn it_answers_as_all_rows_do_from_its_time_until_its_end(
            rows in rows(), from in 0..12_i64, most in 1..5_usize,
        ) {
            let all = contenders(&rows);
            let skyline = Skyline::of(all.clone(), TimestampUs(from), FOREVER, most);
            prop_assert!(skyline.rows.len() <= most);
            for at in (from..14).take_while(|at| *at < skyline.until.0) {
                prop_assert_eq!(winner(&skyline, at), expected(&all, at), "at {}", at);
            }
        }

        #[test]
        fn parts_merge_to_the_whole_also_where_they_overlap(
            rows in rows(), from in 0..12_i64, most in 1..5_usize, cuts in (0..14_usize, 0..14_usize),
        ) {
            let all = contenders(&rows);
            let from = TimestampUs(from);
            let part = |wanted: &dyn Fn(usize) -> bool| {
                Skyline::of(all.iter().filter(|row| wanted(row.place)).copied(), from, FOREVER, most)
            };
            let parts = vec![part(&|place| place < cuts.0), part(&|place| place >= cuts.0.min(cuts.1))];
            let skyline = Skyline::merge(parts, from, most);
            for at in (from.0..14).take_while(|at| *at < skyline.until.0) {
                prop_assert_eq!(winner(&skyline, at), expected(&all, at), "at {}", at);
            }
            prop_assert!(skyline.until == FOREVER || !skyline.rows.is_empty());
        }
    }
}
