//! The newest payloads in memory, oldest out first, bounded in bytes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use lineate_types::GroupId;

type Key = (GroupId, u64);

/// Payloads by group and index.
#[derive(Debug)]
pub(super) struct Cache {
    payloads: BTreeMap<Key, (u64, Bytes)>,
    /// Keys in the order they came; one that came again stands here twice, and only the newest stamp counts.
    order: VecDeque<(Key, u64)>,
    stamp: u64,
    bytes: usize,
    limit_bytes: usize,
}

impl Cache {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { payloads: BTreeMap::new(), order: VecDeque::new(), stamp: 0, bytes: 0, limit_bytes }
    }

    pub(super) fn get(&self, group: GroupId, index: u64) -> Option<Bytes> {
        self.payloads.get(&(group, index)).map(|(_, payload)| payload.clone())
    }

    /// Remembers a payload, in place of an older one of this index.
    pub(super) fn insert(&mut self, group: GroupId, index: u64, payload: Bytes) {
        let key = (group, index);
        self.stamp += 1;
        self.bytes += cost(&payload);
        self.order.push_back((key, self.stamp));
        if let Some((_, old)) = self.payloads.insert(key, (self.stamp, payload)) {
            self.bytes -= cost(&old);
        }
        while self.bytes > self.limit_bytes || self.order.len() > 2 * self.payloads.len() + 1 {
            let Some((key, stamp)) = self.order.pop_front() else { break };
            if self.payloads.get(&key).is_some_and(|(newest, _)| *newest == stamp) {
                self.remove(key);
            }
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some((_, payload)) = self.payloads.remove(&key) {
            self.bytes -= cost(&payload);
        }
    }
}

/// Bytes a payload is counted as, with what remembering it takes.
fn cost(payload: &Bytes) -> usize {
    payload.len() + 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_payloads_go_first_and_an_overwritten_one_never_comes_back() {
        let group = GroupId(1);
        let mut cache = Cache::new(4 * (128 + 8));
        for index in 1..=6 {
            cache.insert(group, index, Bytes::copy_from_slice(&u64::to_le_bytes(index)));
        }
        assert_eq!(cache.get(group, 2), None);
        assert!(cache.get(group, 3).is_some());
        cache.insert(group, 3, Bytes::from_static(b"new text"));
        cache.insert(group, 7, Bytes::from_static(b"eight by"));
        assert_eq!(cache.get(group, 3), Some(Bytes::from_static(b"new text")));
        assert_eq!(cache.get(group, 4), None);
    }

    #[test]
    fn rewriting_one_index_for_ever_stays_bounded() {
        let mut cache = Cache::new(1 << 20);
        for _ in 0..10_000 {
            cache.insert(GroupId(0), 1, Bytes::from_static(b"x"));
        }
        assert!(cache.order.len() <= 4, "{}", cache.order.len());
    }
}
