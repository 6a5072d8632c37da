//! The time of an answer about several groups: one that every one of them promised.

use std::collections::BTreeMap;

use lineate_consensus::ReadPoint;
use lineate_types::{GroupId, TimestampUs};

/// Groups that are to agree on a time. The greatest time promised in the first round is the one; groups that
/// promised less are asked again until their promise reaches it.
///
/// Invariant: the time agreed on is at or below the last promise of every group. It never moves after the first
/// round: a later promise of one group binds none of the others.
#[derive(Debug)]
pub(super) struct Agreement {
    target: Option<TimestampUs>,
    at_least: TimestampUs,
    /// The groups that have not promised the target yet.
    waiting: Vec<GroupId>,
    /// The last promise of each group that was asked.
    promised: BTreeMap<GroupId, ReadPoint>,
}

impl Agreement {
    /// The groups that are to agree on a time at or after one.
    pub(super) fn among(groups: impl IntoIterator<Item = GroupId>, at_least: TimestampUs) -> Self {
        Self { target: None, at_least, waiting: groups.into_iter().collect(), promised: BTreeMap::new() }
    }

    /// The groups to ask next.
    pub(super) fn waiting(&self) -> &[GroupId] {
        &self.waiting
    }

    /// The time agreed on, which the groups that wait must reach; before the first round, the least there may be.
    pub(super) fn wanted(&self) -> TimestampUs {
        self.target.unwrap_or(self.at_least)
    }

    /// Takes what the groups of [`Self::waiting`] promised, in that order. The time, once all agree; if there is
    /// no group, the least.
    pub(super) fn take(&mut self, promised: &[ReadPoint]) -> Option<TimestampUs> {
        self.promised.extend(self.waiting.iter().copied().zip(promised.iter().copied()));
        let greatest = promised.iter().map(|point| point.as_of).max().unwrap_or(TimestampUs::MIN);
        let target = *self.target.get_or_insert(greatest.max(self.at_least));
        self.waiting.retain(|group| self.promised.get(group).is_none_or(|point| point.as_of < target));
        self.waiting.is_empty().then_some(target)
    }

    /// The time where the promises of some groups stand still: the least of all, unless something that was answered
    /// came after it.
    pub(super) fn settle(&self) -> Option<TimestampUs> {
        let least = self.promised.values().map(|point| point.as_of).min()?;
        let misses_nothing = self.promised.values().all(|point| point.committed <= least);
        (misses_nothing && least >= self.at_least).then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use lineate_types::ShardId;
    use proptest::prelude::*;

    use super::*;

    fn point(as_of: i64, committed: i64) -> ReadPoint {
        ReadPoint { as_of: TimestampUs(as_of), applied_index: 1, committed: TimestampUs(committed) }
    }

    fn two(at_least: i64) -> Agreement {
        Agreement::among([0, 1].map(|shard| ShardId(shard).group()), TimestampUs(at_least))
    }

    #[test]
    fn a_late_promise_of_one_group_does_not_bind_another() {
        let mut agreement = two(0);
        assert_eq!(agreement.take(&[point(100, 0), point(96, 0)]), None);
        assert_eq!(agreement.waiting(), [ShardId(1).group()]);
        assert_eq!(agreement.take(&[point(104, 0)]), Some(TimestampUs(100)));
    }

    #[test]
    fn a_time_that_is_asked_for_is_waited_for() {
        let mut agreement = two(120);
        assert_eq!(agreement.wanted(), TimestampUs(120));
        assert_eq!(agreement.take(&[point(100, 0), point(130, 0)]), None);
        assert_eq!(agreement.take(&[point(129, 0)]), None, "what the other promised first is the time");
        assert_eq!(agreement.take(&[point(130, 0)]), Some(TimestampUs(130)));
    }

    #[test]
    fn where_promises_stand_still_the_least_is_the_time_unless_it_misses_what_was_answered() {
        let settled = |at_least, promised: [ReadPoint; 2]| {
            let mut agreement = two(at_least);
            assert_eq!(agreement.take(&promised), None);
            agreement.settle()
        };
        assert_eq!(settled(0, [point(100, 90), point(96, 96)]), Some(TimestampUs(96)));
        assert_eq!(settled(0, [point(100, 97), point(96, 96)]), None, "a command at 97 was answered");
        assert_eq!(settled(97, [point(100, 90), point(96, 96)]), None);
    }

    proptest! {
        #[test]
        fn no_answer_is_beyond_a_promise_or_before_what_was_promised_first(
            rounds in proptest::collection::vec(proptest::collection::vec(0..50_i64, 4), 1..20),
        ) {
            let groups: Vec<GroupId> = (0..4).map(|shard| ShardId(shard).group()).collect();
            let mut agreement = Agreement::among(groups.iter().copied(), TimestampUs::MIN);
            let mut last: BTreeMap<GroupId, i64> = BTreeMap::new();
            let first = rounds.first().and_then(|round| round.iter().max()).copied();
            for steps in rounds {
                let promised: Vec<ReadPoint> = agreement
                    .waiting()
                    .iter()
                    .zip(steps)
                    .map(|(group, step)| {
                        // Promises of a group never go back.
                        let at = last.get(group).copied().unwrap_or(0) + step;
                        last.insert(*group, at);
                        point(at, 0)
                    })
                    .collect();
                if let Some(agreed) = agreement.take(&promised) {
                    prop_assert_eq!(Some(agreed.0), first);
                    prop_assert!(last.values().all(|promise| agreed.0 <= *promise));
                    return Ok(());
                }
            }
        }
    }
}
