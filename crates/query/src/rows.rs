//! Reading a stored training set, in row order.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use lineate_node::Node;
use lineate_state::meta::{DatasetState, FileDraft};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::{
    Error, Result,
    files::{TableReader, read_table},
};

/// The rows of a stored training set.
pub struct DatasetRows {
    node: Node,
    files: std::vec::IntoIter<FileDraft>,
    open: Option<ParquetRecordBatchReader>,
    schema: SchemaRef,
}

impl DatasetRows {
    /// The rows of a training set, from the first.
    ///
    /// # Errors
    /// It has no rows stored, or its first file is missing or damaged.
    pub fn new(node: &Node, dataset: &DatasetState) -> Result<Self> {
        let first = dataset
            .draft
            .files
            .first()
            .ok_or_else(|| Error::Output(format!("{} has no stored rows", dataset.draft.name)))?;
        let TableReader { schema, .. } = read_table(node.blobs().as_ref(), &first.physical, 0)?;
        Ok(Self { node: node.clone(), files: dataset.draft.files.clone().into_iter(), open: None, schema })
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for DatasetRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.open.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(|cause| Error::Output(cause.to_string())));
            }
            let file = self.files.next()?;
            match read_table(self.node.blobs().as_ref(), &file.physical, 0) {
                Ok(table) => self.open = Some(table.batches),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
