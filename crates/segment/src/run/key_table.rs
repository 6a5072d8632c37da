//! Distinct entity keys in the order of runs: ascending by (bucket, key bytes).

use lineate_types::{Bucket, EntityKey};

use crate::{Error, Result};

/// A borrowed key with its bucket; orders as runs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRef<'a> {
    /// The bucket of the bytes.
    pub bucket: Bucket,
    /// The canonical key bytes (`docs/formats/key.md`).
    pub bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// The key with its bucket, which costs one hash.
    pub fn of(key: &'a EntityKey) -> Self {
        Self { bucket: key.bucket(), bytes: key.as_bytes() }
    }
}

/// Distinct keys, ascending, packed in one buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyTable {
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<u32>,
    buckets: Vec<Bucket>,
}

impl KeyTable {
    /// An empty table with room for some keys.
    pub fn with_capacity(keys: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(keys), buckets: Vec::with_capacity(keys) }
    }

    /// Adds a key above every key before it.
    ///
    /// # Errors
    /// The key is not above the last one, or the keys take more than `u32::MAX` bytes together.
    pub fn push(&mut self, key: KeyRef<'_>) -> Result<()> {
        if self.last().is_some_and(|last| last >= key) {
            return Err(Error::Invalid("the keys of a run must ascend by (bucket, key bytes)".into()));
        }
        let length = self.bytes.len() + key.bytes.len();
        let end = u32::try_from(length).map_err(|_| Error::TooMuch {
            what: "bytes of the distinct keys of a run",
            actual: length as u64,
            limit: u64::from(u32::MAX),
        })?;
        self.bytes.extend_from_slice(key.bytes);
        self.ends.push(end);
        self.buckets.push(key.bucket);
        Ok(())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key at a position.
    pub fn get(&self, position: usize) -> Option<KeyRef<'_>> {
        let end = *self.ends.get(position)? as usize;
        let start = match position.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        Some(KeyRef { bucket: *self.buckets.get(position)?, bytes: self.bytes.get(start..end)? })
    }

    /// The greatest key.
    pub fn last(&self) -> Option<KeyRef<'_>> {
        self.len().checked_sub(1).and_then(|position| self.get(position))
    }

    /// Every key, ascending.
    pub fn iter(&self) -> impl Iterator<Item = KeyRef<'_>> {
        (0..self.len()).filter_map(|position| self.get(position))
    }

    /// Where a key is.
    pub fn find(&self, key: KeyRef<'_>) -> Option<usize> {
        let position = self.lower_bound(0, key);
        (self.get(position) == Some(key)).then_some(position)
    }

    /// The first position at or after `from` whose key is at or above `key`: gallops, so that walking two
    /// tables side by side costs in proportion to the shorter one.
    pub fn lower_bound(&self, from: usize, key: KeyRef<'_>) -> usize {
        let below = |position: usize| self.get(position).is_some_and(|at| at < key);
        let mut low = from;
        let mut step = 1;
        while below(low.saturating_add(step) - 1) {
            low += step;
            step *= 2;
        }
        let mut high = low.saturating_add(step).min(self.len()).max(low);
        while low < high {
            let middle = low + (high - low) / 2;
            if below(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The first position whose bucket is at or above `bucket`.
    pub fn first_of_bucket(&self, bucket: u16) -> usize {
        self.buckets.partition_point(|at| at.0 < bucket)
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.buckets.capacity() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bucket: u16, bytes: &[u8]) -> KeyRef<'_> {
        KeyRef { bucket: Bucket(bucket), bytes }
    }

    #[test]
    fn keys_must_ascend() {
        let mut table = KeyTable::default();
        table.push(key(1, b"b")).expect("first");
        assert!(table.push(key(1, b"b")).is_err());
        assert!(table.push(key(1, b"a")).is_err());
        assert!(table.push(key(0, b"z")).is_err());
        table.push(key(2, b"a")).expect("a greater bucket");
    }

    #[test]
    fn lower_bound_agrees_with_a_plain_search_from_any_start() {
        let mut table = KeyTable::default();
        let bytes: Vec<[u8; 1]> = (0..100).map(|n| [n * 2]).collect();
        for bytes in &bytes {
            table.push(key(3, bytes)).expect("ascends");
        }
        for from in 0..=100 {
            for wanted in 0..=201 {
                let expected = (from..100).find(|n| n * 2 >= wanted).unwrap_or(100.max(from));
                assert_eq!(table.lower_bound(from, key(3, &[wanted as u8])), expected, "{from} {wanted}");
            }
        }
    }
}
