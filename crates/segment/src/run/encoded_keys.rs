//! The keys of many rows, one behind the other in one buffer, each hashed once.

use arrow::array::RecordBatch;
use lineate_types::Bucket;

use super::KeyRef;
use crate::{
    Error, Result,
    schema::{EntityKeys, ViewSchema},
};

/// Keys in the order of their rows, with their buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedKeys {
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
    buckets: Vec<Bucket>,
}

impl EncodedKeys {
    /// The keys of a canonical batch, in row order.
    ///
    /// # Errors
    /// A key column has another Arrow type or holds a null, or a key is too long.
    pub fn of(batch: &RecordBatch, schema: &ViewSchema) -> Result<Self> {
        let columns: Vec<_> =
            batch.columns().iter().zip(schema.keys()).map(|(column, key)| (column, key.key_type)).collect();
        let columns = EntityKeys::new(&columns)?;
        let rows = batch.num_rows();
        let mut keys =
            Self { bytes: Vec::new(), ends: Vec::with_capacity(rows), buckets: Vec::with_capacity(rows) };
        for row in 0..rows {
            if !keys.push_row(&columns, row)? {
                return Err(Error::Invalid(format!("row {} has a null key", row + 1)));
            }
        }
        Ok(keys)
    }

    /// Adds the key of a row of key columns; false, and nothing is added, if any part of it is null.
    pub(crate) fn push_row(&mut self, columns: &EntityKeys<'_>, row: usize) -> Result<bool> {
        let start = self.bytes.len();
        if !columns.encode_behind(row, &mut self.bytes)? {
            return Ok(false);
        }
        let key = self.bytes.get(start..).unwrap_or_default();
        self.buckets.push(Bucket::of_key(key));
        self.ends.push(self.bytes.len());
        Ok(true)
    }

    /// Adds the key of the next row.
    pub fn push(&mut self, key: KeyRef<'_>) {
        self.bytes.extend_from_slice(key.bytes);
        self.ends.push(self.bytes.len());
        self.buckets.push(key.bucket);
    }

    /// The keys of some rows, in the order asked for.
    ///
    /// # Errors
    /// There is no such row.
    pub fn take(&self, rows: &[u32]) -> Result<Self> {
        let mut taken = Self::default();
        for row in rows {
            let key = self.get(*row as usize);
            taken.push(key.ok_or_else(|| Error::Invalid(format!("there is no key of row {row}")))?);
        }
        Ok(taken)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key of a row.
    pub fn get(&self, row: usize) -> Option<KeyRef<'_>> {
        let end = *self.ends.get(row)?;
        let start = match row.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        Some(KeyRef { bucket: *self.buckets.get(row)?, bytes: self.bytes.get(start..end)? })
    }

    /// Every key, in row order.
    pub fn iter(&self) -> impl Iterator<Item = KeyRef<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).zip(&self.buckets).map(|((start, end), bucket)| KeyRef {
            bucket: *bucket,
            bytes: self.bytes.get(start..*end).unwrap_or_default(),
        })
    }

    /// The bucket of every key, in row order.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Adds keys behind these.
    pub(crate) fn extend(&mut self, keys: &Self) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&keys.bytes);
        self.ends.extend(keys.ends.iter().map(|end| before + end));
        self.buckets.extend_from_slice(&keys.buckets);
    }

    /// Bytes of the keys themselves.
    pub(crate) fn key_bytes(&self) -> usize {
        self.bytes.len()
    }
}
