//! The times and tombstone marks of one canonical batch, looked at column by column.

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray},
    datatypes::TimestampMicrosecondType,
};
use lineate_types::TimestampUs;

use crate::{Error, Result, schema::ViewSchema};

/// What ranks the rows of a key, and which of them end it.
pub(crate) struct RankPart<'a> {
    pub(crate) event_times: &'a TimestampMicrosecondArray,
    created_times: Option<&'a TimestampMicrosecondArray>,
    deleted: &'a BooleanArray,
}

impl<'a> RankPart<'a> {
    /// Checks that the batch is canonical and takes its times and marks.
    ///
    /// # Errors
    /// The batch is not canonical.
    pub(crate) fn of(batch: &'a RecordBatch, schema: &ViewSchema) -> Result<Self> {
        schema.check(batch)?;
        let created_times = schema.created_time().map(|position| times(batch, position)).transpose()?;
        let deleted = batch.columns().get(schema.deleted()).and_then(|column| column.as_boolean_opt());
        Ok(Self {
            event_times: times(batch, schema.event_time())?,
            created_times,
            deleted: deleted.ok_or_else(|| missing(schema.deleted()))?,
        })
    }

    /// The created time of a row, if it has one.
    pub(crate) fn created_time(&self, row: usize) -> Option<TimestampUs> {
        let created_times = self.created_times?;
        created_times.is_valid(row).then(|| TimestampUs(created_times.value(row)))
    }

    /// Whether a row is a tombstone.
    pub(crate) fn is_deleted(&self, row: usize) -> bool {
        self.deleted.value(row)
    }
}

fn times(batch: &RecordBatch, position: usize) -> Result<&TimestampMicrosecondArray> {
    let column = batch.columns().get(position);
    column
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(|| missing(position))
}

fn missing(position: usize) -> Error {
    Error::Invalid(format!("column {position} of a canonical batch is missing or of another type"))
}
