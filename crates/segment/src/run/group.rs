//! Rows grouped by key: distinct keys sorted, and each row's place among them, hashing each key once.

use std::collections::HashMap;

use lineate_types::EntityKey;

use super::{KeyRef, KeyTable};
use crate::{Error, Result};

/// Rows by key. The rows of key `n` are `rows[starts[n]..starts[n + 1]]`, in their given order.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyGroups {
    pub(crate) keys: KeyTable,
    pub(crate) starts: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

impl KeyGroups {
    /// Groups rows, given in order with their keys; rows without a key belong to no group.
    ///
    /// # Errors
    /// There are more than `u32::MAX` rows or bytes of distinct keys.
    pub(crate) fn of<'a>(rows: impl Iterator<Item = Option<&'a EntityKey>>) -> Result<Self> {
        let mut ids: HashMap<&[u8], u32> = HashMap::new();
        let mut distinct: Vec<(KeyRef<'a>, u32)> = Vec::new();
        let mut counts: Vec<u32> = Vec::new();
        let mut id_of_row: Vec<u32> = Vec::new();
        let mut last: Option<(&[u8], u32)> = None;
        for key in rows {
            if id_of_row.len() >= NO_KEY as usize {
                let (actual, limit) = (id_of_row.len() as u64 + 1, u64::from(NO_KEY));
                return Err(Error::TooMuch { what: "rows of a run or spine", actual, limit });
            }
            let Some(key) = key else {
                id_of_row.push(NO_KEY);
                continue;
            };
            let id = match last {
                Some((bytes, id)) if bytes == key.as_bytes() => id,
                _ => *ids.entry(key.as_bytes()).or_insert_with(|| {
                    let id = counts.len() as u32;
                    distinct.push((KeyRef::of(key), id));
                    counts.push(0);
                    id
                }),
            };
            last = Some((key.as_bytes(), id));
            id_of_row.push(id);
            if let Some(count) = counts.get_mut(id as usize) {
                *count += 1;
            }
        }
        distinct.sort_unstable();

        let mut keys = KeyTable::with_capacity(distinct.len());
        let mut starts = Vec::with_capacity(distinct.len() + 1);
        let mut next_of_id = vec![0_u32; counts.len()];
        let mut total = 0;
        for (key, id) in distinct {
            keys.push(key)?;
            starts.push(total);
            if let Some((next, count)) = next_of_id.get_mut(id as usize).zip(counts.get(id as usize)) {
                *next = total;
                total += count;
            }
        }
        starts.push(total);
        let mut rows = vec![0_u32; total as usize];
        for (row, id) in id_of_row.iter().enumerate() {
            let Some(next) = next_of_id.get_mut(*id as usize) else { continue };
            if let Some(place) = rows.get_mut(*next as usize) {
                *place = row as u32;
                *next += 1;
            }
        }
        Ok(Self { keys, starts, rows })
    }

    /// The rows of every key in turn, to be reordered within it.
    pub(crate) fn groups_mut(&mut self) -> impl Iterator<Item = &mut [u32]> {
        let mut rest = self.rows.as_mut_slice();
        self.starts.windows(2).map(move |window| {
            let length = match window {
                [start, end] => (*end - *start) as usize,
                _ => 0,
            };
            let (group, tail) = std::mem::take(&mut rest).split_at_mut(length);
            rest = tail;
            group
        })
    }
}

/// Stands for a null key.
const NO_KEY: u32 = u32::MAX;
