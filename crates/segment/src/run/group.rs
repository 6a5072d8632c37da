//! Rows grouped by key: distinct keys sorted, and each row's place among them, hashing each key once.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use lineate_types::EntityKey;

use super::{KeyRef, KeyTable};
use crate::{Error, Result};

/// Takes the keys of rows in order. `K` is an [`EntityKey`] or a reference to one.
#[derive(Debug)]
pub(crate) struct KeyGrouper<K> {
    ids: HashMap<K, u32>,
    counts: Vec<u32>,
    id_of_row: Vec<u32>,
}

/// Rows by key. The rows of key `n` are `rows[starts[n]..starts[n + 1]]`, in their given order.
#[derive(Debug, Clone)]
pub(crate) struct KeyGroups {
    pub(crate) keys: KeyTable,
    pub(crate) starts: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

/// Stands for a null key.
const NO_KEY: u32 = u32::MAX;

impl<K: Borrow<EntityKey> + Hash + Eq> KeyGrouper<K> {
    pub(crate) fn new() -> Self {
        Self { ids: HashMap::new(), counts: Vec::new(), id_of_row: Vec::new() }
    }

    /// Adds the next row; one without a key will belong to no group.
    ///
    /// # Errors
    /// There are `u32::MAX` rows already.
    pub(crate) fn push(&mut self, key: Option<K>) -> Result<()> {
        if self.id_of_row.len() >= NO_KEY as usize {
            let (actual, limit) = (self.id_of_row.len() as u64 + 1, u64::from(NO_KEY));
            return Err(Error::TooMuch { what: "rows of a run or spine", actual, limit });
        }
        let Some(key) = key else {
            self.id_of_row.push(NO_KEY);
            return Ok(());
        };
        let next_id = self.counts.len() as u32;
        let id = *self.ids.entry(key).or_insert(next_id);
        match self.counts.get_mut(id as usize) {
            Some(count) => *count += 1,
            None => self.counts.push(1),
        }
        self.id_of_row.push(id);
        Ok(())
    }

    /// Sorts the distinct keys and groups the rows by them.
    ///
    /// # Errors
    /// The distinct keys take more than `u32::MAX` bytes.
    pub(crate) fn finish(self) -> Result<KeyGroups> {
        // The order of the map is forgotten at once: the keys are distinct, and sorted.
        let mut distinct: Vec<(KeyRef<'_>, u32)> =
            self.ids.iter().map(|(key, id)| (KeyRef::of(key.borrow()), *id)).collect();
        distinct.sort_unstable();
        let mut keys = KeyTable::with_capacity(distinct.len());
        let mut starts = Vec::with_capacity(distinct.len() + 1);
        let mut next_of_id = vec![0_u32; self.counts.len()];
        let mut total = 0;
        for (key, id) in distinct {
            keys.push(key)?;
            starts.push(total);
            if let Some((next, count)) = next_of_id.get_mut(id as usize).zip(self.counts.get(id as usize)) {
                *next = total;
                total += count;
            }
        }
        starts.push(total);
        let mut rows = vec![0_u32; total as usize];
        for (row, id) in (0_u32..).zip(&self.id_of_row) {
            let Some(next) = next_of_id.get_mut(*id as usize) else { continue };
            if let Some(place) = rows.get_mut(*next as usize) {
                *place = row;
                *next += 1;
            }
        }
        Ok(KeyGroups { keys, starts, rows })
    }
}

impl KeyGroups {
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
