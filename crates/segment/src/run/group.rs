//! Rows grouped by key: distinct keys sorted, and the rows of each.
//!
//! Keys are sorted by words of 16 bytes: the bucket, the first ten bytes in which keys of the same set differ at
//! all, the row. Integers, dates and numbered names differ in few bytes, so that comparing words decides; where it
//! does not, the keys themselves are compared.

use super::{EncodedKeys, KeyRef, KeyTable};
use crate::{Error, Result};

/// Rows by key. The rows of key `n` are `rows[starts[n]..starts[n + 1]]`, ascending.
#[derive(Debug, Clone)]
pub(crate) struct KeyGroups {
    pub(crate) keys: KeyTable,
    pub(crate) starts: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

/// Bytes of a key in a word.
const PREFIX_BYTES: usize = 10;
const ROW_BITS: u32 = u32::BITS;

impl KeyGroups {
    /// Groups rows by their keys.
    ///
    /// # Errors
    /// There are more than `u32::MAX` keys, or the distinct ones take more than `u32::MAX` bytes.
    pub(crate) fn of(keys: &EncodedKeys) -> Result<Self> {
        let (actual, limit) = (keys.len() as u64, u64::from(u32::MAX));
        if actual > limit {
            return Err(Error::TooMuch { what: "rows of a run or spine", actual, limit });
        }
        let rows = sorted_rows(keys);
        let mut groups = Self { keys: KeyTable::default(), starts: Vec::new(), rows: Vec::new() };
        let mut last: Option<KeyRef<'_>> = None;
        for (place, row) in (0_u32..).zip(&rows) {
            let key = keys.get(*row as usize);
            let Some(key) = key.filter(|key| last != Some(*key)) else { continue };
            groups.keys.push(key)?;
            groups.starts.push(place);
            last = Some(key);
        }
        groups.starts.push(rows.len() as u32);
        groups.rows = rows;
        Ok(groups)
    }

    /// The rows of every key in turn, to be reordered within it.
    pub(crate) fn groups_mut(&mut self) -> impl Iterator<Item = &mut [u32]> {
        let mut rest = self.rows.as_mut_slice();
        self.starts.array_windows().map(move |[start, end]| {
            let (group, tail) = std::mem::take(&mut rest).split_at_mut((end - start) as usize);
            rest = tail;
            group
        })
    }
}

/// The rows by (bucket, key bytes, row).
fn sorted_rows(keys: &EncodedKeys) -> Vec<u32> {
    let prefix = Prefix::of(keys);
    let mut words: Vec<u128> = (0_u32..).zip(keys.iter()).map(|(row, key)| prefix.word(key, row)).collect();
    words.sort_unstable();
    let row_of = |word: &u128| (*word & u128::from(u32::MAX)) as u32;
    let mut rows: Vec<u32> = words.iter().map(row_of).collect();
    if !prefix.decides {
        let mut rest = rows.as_mut_slice();
        for alike in words.chunk_by(|a, b| a >> ROW_BITS == b >> ROW_BITS) {
            let (alike, tail) = std::mem::take(&mut rest).split_at_mut(alike.len());
            rest = tail;
            let key_of = |row: &u32| keys.get(*row as usize);
            // Stable: the rows of a key stay as they are.
            if !alike.is_sorted_by_key(key_of) {
                alike.sort_by_key(key_of);
            }
        }
    }
    rows
}

/// Which bytes of the keys are compared first. The order of those bytes, zeros behind the end of a key, never
/// contradicts the order of the keys: in all bytes before them, keys are alike.
struct Prefix {
    /// Ascending.
    positions: Vec<usize>,
    /// Whether keys that are alike in these bytes are alike.
    decides: bool,
}

impl Prefix {
    fn of(keys: &EncodedKeys) -> Self {
        let first = keys.get(0).map_or(&[] as &[u8], |key| key.bytes);
        let mut differences = vec![0_u8; first.len()];
        let (mut shortest, mut longest) = (first.len(), first.len());
        for key in keys.iter() {
            shortest = shortest.min(key.bytes.len());
            longest = longest.max(key.bytes.len());
            for ((difference, byte), expected) in differences.iter_mut().zip(key.bytes).zip(first) {
                *difference |= byte ^ expected;
            }
        }
        let differs = |position: &usize| {
            *position >= shortest || differences.get(*position).is_some_and(|difference| *difference != 0)
        };
        let positions: Vec<usize> = (0..longest).filter(differs).take(PREFIX_BYTES + 1).collect();
        let decides = positions.len() <= PREFIX_BYTES && shortest == longest;
        Self { positions: positions.into_iter().take(PREFIX_BYTES).collect(), decides }
    }

    fn word(&self, key: KeyRef<'_>, row: u32) -> u128 {
        let byte_at = |position: &usize| key.bytes.get(*position).copied().unwrap_or(0);
        let bytes = self.positions.iter().map(byte_at);
        let prefix = bytes.fold(u128::from(key.bucket.0), |word, byte| word << 8 | u128::from(byte));
        prefix << ROW_BITS | u128::from(row)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lineate_types::Bucket;
    use proptest::prelude::*;

    use super::*;

    /// Keys that are often alike at the beginning, of lengths on both sides of a word's.
    fn key() -> impl Strategy<Value = (u16, Vec<u8>)> {
        let bytes = prop_oneof![
            prop::collection::vec(0..2_u8, 0..4),
            prop::collection::vec(0..2_u8, 11..14),
            (0..3_u8, 0..3_u8).prop_map(|(a, b)| [vec![1, a], vec![7; 12], vec![b]].concat()),
        ];
        (0..3_u16, bytes)
    }

    proptest! {
        #[test]
        fn rows_are_grouped_as_a_map_of_keys_would(
            rows in prop_oneof![
                prop::collection::vec(key(), 0..60),
                prop::collection::vec((0..2_u16, prop::collection::vec(0..2_u8, 12)), 0..60),
            ],
        ) {
            let mut keys = EncodedKeys::default();
            let mut expected: BTreeMap<KeyRef<'_>, Vec<u32>> = BTreeMap::new();
            for (row, (bucket, bytes)) in (0..).zip(&rows) {
                let key = KeyRef { bucket: Bucket(*bucket), bytes };
                keys.push(key);
                expected.entry(key).or_default().push(row);
            }
            let mut groups = KeyGroups::of(&keys).expect("few keys");
            prop_assert!(groups.keys.iter().eq(expected.keys().copied()));
            let grouped: Vec<Vec<u32>> = groups.groups_mut().map(|group| group.to_vec()).collect();
            prop_assert_eq!(grouped, expected.into_values().collect::<Vec<_>>());
        }
    }
}
