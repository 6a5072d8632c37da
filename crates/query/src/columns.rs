//! The logical hashes of a table's columns.

use arrow::{array::RecordBatch, datatypes::Schema};
use lineate_segment::logical_hash::{TableHasher, logical_type_text};
use lineate_state::meta::ColumnDraft;

use crate::Result;

/// Hashes the columns of a table, batch by batch.
pub(crate) struct ColumnHashes {
    hasher: TableHasher,
    types: Vec<String>,
}

impl ColumnHashes {
    /// Nothing yet, for tables of a schema.
    pub(crate) fn new(schema: &Schema) -> Result<Self> {
        let types = schema.fields().iter().map(|field| logical_type_text(field));
        Ok(Self { hasher: TableHasher::new(schema)?, types: types.collect::<lineate_segment::Result<_>>()? })
    }

    /// Adds rows.
    pub(crate) fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.hasher.update(batch)?)
    }

    /// Each column, in order.
    pub(crate) fn finish(self) -> Vec<ColumnDraft> {
        let columns = self.hasher.finish_columns().into_iter().zip(self.types);
        columns.map(|((name, logical), data_type)| ColumnDraft { name, data_type, logical }).collect()
    }
}
