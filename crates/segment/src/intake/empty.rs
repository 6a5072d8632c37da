//! Tables of no rows, by which a schema is checked before its rows are there.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions, new_empty_array},
    datatypes::Schema,
};
use lineate_types::limits;

use super::{convert::type_depth, unwinding::caught};
use crate::{Error, Result};

/// The batch of no rows of a foreign schema.
///
/// # Errors
/// A type nests too deep, or is one that Arrow itself cannot make an array of.
pub(super) fn empty_batch(schema: &Schema) -> Result<RecordBatch> {
    for field in schema.fields() {
        if type_depth(field.data_type()) > limits::INTAKE_TYPE_DEPTH {
            let why = format!("its type nests deeper than {}", limits::INTAKE_TYPE_DEPTH);
            return Err(Error::ColumnType { column: field.name().clone(), why });
        }
    }
    // A schema from a network may name types that make no sense; Arrow panics on some of them.
    let columns = schema.fields().iter().map(|field| {
        caught(|| new_empty_array(field.data_type())).ok_or_else(|| Error::ColumnType {
            column: field.name().clone(),
            why: format!("its type {} makes no sense", field.data_type()),
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(0));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema.clone()), columns, &options)?)
}
