//! Rows of one version of a view as rows of another: versions of one history only add nullable features.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};

use super::ViewSchema;
use crate::{Error, Result};

/// The columns of a canonical batch as another version of the same history has them: by name; a feature the
/// batch does not know is null, one that the version does not know is left out.
///
/// # Errors
/// A column that is no feature is missing, or a column has another type: the versions share no history.
pub fn project(batch: &RecordBatch, to: &ViewSchema) -> Result<RecordBatch> {
    if batch.schema_ref().fields() == to.arrow().fields() {
        return Ok(batch.clone());
    }
    let features = to.features();
    let columns = to.arrow().fields().iter().enumerate().map(|(position, field)| -> Result<ArrayRef> {
        match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => Err(Error::Invalid(format!(
                "column `{}` is of type {} in one version and {} in the other",
                field.name(),
                column.data_type(),
                field.data_type()
            ))),
            None if features.contains(&position) => Ok(new_null_array(field.data_type(), batch.num_rows())),
            None => Err(Error::Invalid(format!("column `{}` is missing", field.name()))),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(to.arrow().clone(), columns, &options)?)
}
