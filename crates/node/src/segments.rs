//! Open segments, so that a footer and a key index are read once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lineate_segment::{
    Error as SegmentError,
    segment::{Segment, SegmentInfo},
};
use lineate_storage::{Error as StorageError, blob::BlobStore};
use lineate_types::{Hash, TimestampUs};

use crate::Result;

/// A bounded cache of open segments.
pub(crate) struct Segments {
    blobs: Arc<dyn BlobStore>,
    open: Mutex<LeastRecent<FileKey, Arc<Segment>>>,
}

/// By file and commit time: one file can be in a manifest twice, loaded at two times.
type FileKey = (Hash, Option<TimestampUs>);

impl Segments {
    /// Segments of a blob store, so many at most.
    pub(crate) fn new(blobs: Arc<dyn BlobStore>, most: usize) -> Self {
        Self { blobs, open: Mutex::new(LeastRecent::new(most)) }
    }

    /// The segment a manifest names, opened now or before.
    ///
    /// # Errors
    /// It is not here, or damaged.
    pub(crate) fn open(&self, info: &SegmentInfo) -> Result<Arc<Segment>> {
        let key = (info.segment, info.commit_times().map(|range| range.max));
        if let Some(segment) = self.lock().get(&key) {
            return Ok(segment.clone());
        }
        // Opened without the lock: two callers may do it, and one of the two is kept.
        let segment = Arc::new(self.open_anew(info)?);
        Ok(self.lock().get_or_insert(key, segment).clone())
    }

    /// Opens a segment. Where no file descriptor is left, those of the segments go that were not used for longest.
    fn open_anew(&self, info: &SegmentInfo) -> Result<Segment> {
        loop {
            let refused = match Segment::open(self.blobs.as_ref(), info) {
                Err(error @ SegmentError::Storage(StorageError::Descriptors { .. })) => error,
                opened => return Ok(opened?),
            };
            // They are closed here, without the lock, unless somebody reads them.
            let closing = self.lock().take_older_half();
            if closing.is_empty() {
                return Err(refused.into());
            }
            tracing::debug!(segments = closing.len(), "segments are closed, no file descriptor was left");
        }
    }

    /// Forgets a file that no manifest names any more.
    pub(crate) fn forget(&self, blob: &Hash) {
        self.lock().retain(|(segment, _)| segment != blob);
    }

    fn lock(&self) -> MutexGuard<'_, LeastRecent<FileKey, Arc<Segment>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A map of bounded size, from which the entry goes that was not used for longest.
struct LeastRecent<K, V> {
    most: usize,
    /// When each was last used, and its value.
    entries: BTreeMap<K, (u64, V)>,
    /// The same, in the order of use.
    uses: BTreeMap<u64, K>,
    /// Counts uses.
    now: u64,
}

impl<K: Copy + Ord, V> LeastRecent<K, V> {
    fn new(most: usize) -> Self {
        Self { most, entries: BTreeMap::new(), uses: BTreeMap::new(), now: 0 }
    }

    fn get(&mut self, key: &K) -> Option<&V> {
        let (used, value) = self.entries.get_mut(key)?;
        self.now += 1;
        self.uses.remove(used);
        self.uses.insert(self.now, *key);
        *used = self.now;
        Some(value)
    }

    /// What is there; `value` if nothing was.
    fn get_or_insert(&mut self, key: K, value: V) -> &V {
        if self.get(&key).is_none() {
            while self.entries.len() >= self.most.max(1)
                && let Some((_, oldest)) = self.uses.pop_first()
            {
                self.entries.remove(&oldest);
            }
            self.now += 1;
            self.uses.insert(self.now, key);
        }
        let used = self.now;
        &self.entries.entry(key).or_insert((used, value)).1
    }

    /// Takes those out that were not used for longest: half of all, and the last one.
    fn take_older_half(&mut self) -> Vec<V> {
        let older = self.entries.len().div_ceil(2);
        let keys = (0..older).filter_map(|_| self.uses.pop_first());
        keys.filter_map(|(_, key)| self.entries.remove(&key)).map(|(_, value)| value).collect()
    }

    fn retain(&mut self, mut wanted: impl FnMut(&K) -> bool) {
        self.entries.retain(|key, _| wanted(key));
        self.uses.retain(|_, key| wanted(key));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LeastRecent;

    proptest! {
        #[test]
        fn the_most_recently_used_are_kept(most in 1_usize..5, steps in prop::collection::vec((0_u8..4, 0_u8..8), 0..60)) {
            let mut cache = LeastRecent::new(most);
            // Oldest first.
            let mut expected: Vec<u8> = Vec::new();
            for (what, key) in steps {
                match what {
                    0 => {
                        let is_there = expected.contains(&key);
                        prop_assert_eq!(cache.get(&key).copied(), is_there.then_some(key));
                        if is_there {
                            expected.retain(|held| *held != key);
                            expected.push(key);
                        }
                    }
                    1 => {
                        prop_assert_eq!(*cache.get_or_insert(key, key), key);
                        expected.retain(|held| *held != key);
                        expected.push(key);
                        expected.drain(..expected.len().saturating_sub(most));
                    }
                    2 => {
                        let taken = cache.take_older_half();
                        let older: Vec<u8> = expected.drain(..expected.len().div_ceil(2)).collect();
                        prop_assert_eq!(taken, older);
                    }
                    _ => {
                        cache.retain(|held| *held != key);
                        expected.retain(|held| *held != key);
                    }
                }
                let held: Vec<u8> = cache.uses.values().copied().collect();
                prop_assert_eq!(&held, &expected);
                prop_assert_eq!(cache.entries.len(), expected.len());
            }
        }
    }
}
