//! The task that compacts: which history comes next, and when one is tried again that could not be compacted.
//!
//! Invariants:
//! - one compaction at a time on a node, and one of a history before the next history has its turn;
//! - nothing waits for it: sealing, recording and the bound of open runs are another task's
//!   ([`crate::maintenance`]), and a compaction is committed only if its inputs are still in the manifest;
//! - what could not be compacted is tried again when other segments are to be merged, or after a pause, which grows
//!   while it fails. No failure is met more often than once a [`PAUSE`].

use std::{collections::BTreeMap, time::Duration};

use lineate_types::{HistoryId, ShardId, limits};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{CompactionBounds, Node, compaction::Attempt, maintenance::PAUSE};

/// How long what fails again and again is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// One history in one shard.
type Place = (ShardId, HistoryId);

/// Compacts until the node stops.
pub(crate) async fn run(node: Node, stop: CancellationToken) {
    let mut turns = Turns::default();
    loop {
        let again = turns.again();
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.manifests_changed().notified() => {}
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
        }
        while !stop.is_cancelled() && node.compact_next(&mut turns).await {}
    }
}

impl Node {
    /// Compacts the next history that has something to merge, if there is one; says whether one was.
    async fn compact_next(&self, turns: &mut Turns) -> bool {
        for place in turns.order(self.places_to_compact(turns)) {
            let (shard, history) = place;
            let alone = self.compacting().lock().await;
            let last = self.last_sealed(shard, history);
            let Some(inputs) = self.choose_inputs(shard, history, &CompactionBounds::default()) else {
                turns.settled(place, last);
                continue;
            };
            let numbers = inputs.numbers().to_vec();
            if !turns.may_try(place, &numbers, Instant::now()) {
                continue;
            }
            let attempt = self.compact_inputs(inputs).await;
            drop(alone);
            match attempt {
                Ok(Attempt::Done | Attempt::Overtaken) => {
                    turns.tried(place);
                    return true;
                }
                Ok(Attempt::NoRoom) => turns.put_off(place, numbers, Instant::now()),
                Err(error) => {
                    let pause = turns.failed(place, numbers, Instant::now());
                    tracing::warn!(
                        %shard, %history, %error, again_s = pause.as_secs(),
                        "segments were not compacted and are tried again"
                    );
                }
            }
        }
        false
    }

    /// Histories that may have something to merge, as far as can be told without looking at their segments.
    fn places_to_compact(&self, turns: &Turns) -> Vec<Place> {
        let mut places = Vec::new();
        for shard in self.shard_ids() {
            let machine = self.shard(shard).read();
            let many = machine.histories().filter(|(id, history)| {
                let last = history.sealed.keys().next_back().copied();
                history.sealed.len() > limits::SEGMENTS_BEFORE_COMPACTION
                    && !turns.is_settled((shard, *id), last)
            });
            places.extend(many.map(|(id, _)| (shard, id)));
        }
        places
    }

    /// The number that names the state of a manifest: numbers ascend, and whatever changes it uses one.
    fn last_sealed(&self, shard: ShardId, history: HistoryId) -> Option<u64> {
        self.shard(shard)
            .read()
            .history(history)
            .and_then(|history| history.sealed.keys().next_back().copied())
    }
}

/// Whose turn it is.
#[derive(Debug, Default)]
struct Turns {
    last: Option<Place>,
    /// The last number of a manifest in which there was nothing to merge.
    settled: BTreeMap<Place, Option<u64>>,
    waiting: BTreeMap<Place, Waiting>,
}

/// A history that could not be compacted.
#[derive(Debug)]
struct Waiting {
    inputs: Vec<u64>,
    tried: Instant,
    /// How long the same inputs wait.
    pause: Duration,
}

impl Waiting {
    fn again(&self) -> Instant {
        self.tried + self.pause
    }
}

impl Turns {
    /// Places in the order of their turns: those after the last one first. Others wait for nothing.
    fn order(&mut self, mut places: Vec<Place>) -> Vec<Place> {
        places.sort_unstable();
        self.waiting.retain(|place, _| places.binary_search(place).is_ok());
        let next = places.partition_point(|place| Some(*place) <= self.last);
        places.rotate_left(next);
        places
    }

    fn is_settled(&self, place: Place, last: Option<u64>) -> bool {
        self.settled.get(&place).is_some_and(|settled| *settled == last)
    }

    /// There is nothing to merge in a manifest.
    fn settled(&mut self, place: Place, last: Option<u64>) {
        self.waiting.remove(&place);
        self.settled.insert(place, last);
    }

    /// Other inputs than those that failed are tried soon, the same ones after their pause.
    fn may_try(&mut self, place: Place, inputs: &[u64], now: Instant) -> bool {
        let Some(waiting) = self.waiting.get_mut(&place) else { return true };
        if waiting.inputs != inputs {
            waiting.inputs = inputs.to_vec();
            waiting.pause = PAUSE;
        }
        waiting.again() <= now
    }

    /// A compaction was made, or its inputs were gone.
    fn tried(&mut self, place: Place) {
        self.last = Some(place);
        self.waiting.remove(&place);
    }

    /// There is no room on the disk: that is looked at again soon, since looking takes nothing.
    fn put_off(&mut self, place: Place, inputs: Vec<u64>, now: Instant) {
        self.last = Some(place);
        self.waiting.insert(place, Waiting { inputs, tried: now, pause: PAUSE });
    }

    /// A compaction failed; gives how long its inputs wait.
    fn failed(&mut self, place: Place, inputs: Vec<u64>, now: Instant) -> Duration {
        self.last = Some(place);
        let before = self.waiting.get(&place).map(|waiting| waiting.pause);
        let pause = before.map_or(PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.waiting.insert(place, Waiting { inputs, tried: now, pause });
        pause
    }

    /// When to look again although nothing changes.
    fn again(&self) -> Option<Instant> {
        self.waiting.values().map(Waiting::again).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(shard: u16) -> Place {
        (ShardId(shard), HistoryId(1))
    }

    #[test]
    fn what_fails_waits_longer_each_time_and_other_inputs_do_not() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let inputs = [1, 2, 3];
        let mut pauses = Vec::new();
        for _ in 0..15 {
            assert!(turns.may_try(place(0), &inputs, now));
            let pause = turns.failed(place(0), inputs.to_vec(), now);
            assert_eq!(turns.again(), Some(now + pause));
            assert!(!turns.may_try(place(0), &inputs, now + pause - Duration::from_millis(1)));
            assert!(turns.may_try(place(1), &inputs, now), "another shard");
            now += pause;
            pauses.push(pause);
        }
        assert!(pauses.is_sorted());
        assert_eq!((pauses.first(), pauses.last()), (Some(&PAUSE), Some(&LONGEST_PAUSE)));
        assert!(!turns.may_try(place(0), &[1, 2, 4], now - LONGEST_PAUSE), "not at once");
        assert!(turns.may_try(place(0), &[1, 2, 4], now - LONGEST_PAUSE + PAUSE), "the manifest changed");
        turns.tried(place(0));
        assert_eq!(turns.failed(place(0), inputs.to_vec(), now), PAUSE, "it went well in between");
        turns.order(vec![place(1)]);
        assert_eq!(turns.again(), None, "nothing is left to merge");
    }

    #[test]
    fn every_history_has_its_turn() {
        let mut turns = Turns::default();
        let mut seen = Vec::new();
        for _ in 0..6 {
            let first = turns.order(vec![place(2), place(0), place(1)]).first().copied().expect("three");
            turns.tried(first);
            seen.push(first.0.0);
        }
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
    }
}
