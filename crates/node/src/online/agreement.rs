//! The time of an answer about several groups: one that every one of them promised.

use lineate_types::{GroupId, TimestampUs};

/// Groups that are to agree on a time. The greatest time promised in the first round is the one; groups that
/// promised less are asked again until their promise reaches it.
///
/// Invariant: the time agreed on is at or below the last promise of every group. It never moves after the first
/// round: a later promise of one group binds none of the others.
#[derive(Debug)]
pub(super) struct Agreement {
    target: Option<TimestampUs>,
    /// The groups that have not promised the target yet.
    waiting: Vec<GroupId>,
}

impl Agreement {
    pub(super) fn among(groups: impl IntoIterator<Item = GroupId>) -> Self {
        Self { target: None, waiting: groups.into_iter().collect() }
    }

    /// The groups to ask next.
    pub(super) fn waiting(&self) -> &[GroupId] {
        &self.waiting
    }

    /// The time agreed on, which the groups that wait must reach; the least before the first round.
    pub(super) fn wanted(&self) -> TimestampUs {
        self.target.unwrap_or(TimestampUs::MIN)
    }

    /// Takes what the groups of [`Self::waiting`] promised, in that order. The time, once all agree; if there is
    /// no group, the least.
    pub(super) fn take(&mut self, promised: &[TimestampUs]) -> Option<TimestampUs> {
        let greatest = promised.iter().copied().max().unwrap_or(TimestampUs::MIN);
        let target = *self.target.get_or_insert(greatest);
        let mut promised = promised.iter();
        self.waiting.retain(|_| promised.next().is_none_or(|at| *at < target));
        self.waiting.is_empty().then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lineate_types::ShardId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_late_promise_of_one_group_does_not_bind_another() {
        let [first, second] = [0, 1].map(|shard| ShardId(shard).group());
        let mut agreement = Agreement::among([first, second]);
        assert_eq!(agreement.take(&[TimestampUs(100), TimestampUs(96)]), None);
        assert_eq!(agreement.waiting(), [second]);
        assert_eq!(agreement.take(&[TimestampUs(104)]), Some(TimestampUs(100)));
    }

    proptest! {
        #[test]
        fn no_answer_is_beyond_a_promise_or_before_what_was_promised_first(
            rounds in proptest::collection::vec(proptest::collection::vec(0..50_i64, 4), 1..20),
        ) {
            let groups: Vec<GroupId> = (0..4).map(|shard| ShardId(shard).group()).collect();
            let mut agreement = Agreement::among(groups.iter().copied());
            let mut last: BTreeMap<GroupId, i64> = BTreeMap::new();
            let first = rounds.first().and_then(|round| round.iter().max()).copied();
            for steps in rounds {
                let promised: Vec<TimestampUs> = agreement
                    .waiting()
                    .iter()
                    .zip(steps)
                    .map(|(group, step)| {
                        // Promises of a group never go back.
                        let at = last.get(group).copied().unwrap_or(0) + step;
                        last.insert(*group, at);
                        TimestampUs(at)
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
