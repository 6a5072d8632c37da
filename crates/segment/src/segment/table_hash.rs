//! The logical hash of the rows of a segment.

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
};
use lineate_types::{Hash, Hasher};

use crate::Result;

/// Takes rows in order.
pub(super) struct TableHasher {
    converter: RowConverter,
    hasher: Hasher,
}

impl TableHasher {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { converter, hasher: Hasher::new_derive_key("lineate 2026 segment rows v0") })
    }

    pub(super) fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in &self.converter.convert_columns(batch.columns())? {
            self.hasher.update(row.as_ref());
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Hash {
        Hash::finish(&self.hasher)
    }
}
