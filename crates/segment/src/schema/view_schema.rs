//! The canonical columns of one view version, with their positions.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit},
};
use lineate_types::{KeyColumn, Name, ViewDefinition};

use super::arrow_type::arrow_field;
use crate::{Error, Result};

/// The boolean column that marks tombstones, in foreign data and in canonical batches.
pub const DELETED_COLUMN: &str = "__deleted";
/// The commit time of stored rows, where it does not come from the manifest.
pub const COMMIT_TIME_COLUMN: &str = "__commit_time";
/// The position of a stored row in its commit.
pub const ORDINAL_COLUMN: &str = "__ordinal";

/// The Arrow type of every time: microseconds, zone `UTC`.
pub fn timestamp_type() -> ArrowType {
    ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The canonical Arrow schema of a view version.
///
/// Columns, in order: the keys as declared, the event time, the created time if the view has one, the
/// features as declared, [`DELETED_COLUMN`]. Keys, event time and the tombstone mark are never null.
#[derive(Debug, Clone)]
pub struct ViewSchema {
    arrow: SchemaRef,
    keys: Vec<KeyColumn>,
    created_time: Option<usize>,
    features: Range<usize>,
}

impl ViewSchema {
    /// The schema of a view version.
    pub fn of(view: &ViewDefinition) -> Self {
        let mut fields: Vec<Field> = Vec::new();
        for key in &view.keys {
            fields.push(arrow_field(key.name.as_str(), &key.key_type.data_type(), false));
        }
        fields.push(Field::new(view.event_time.as_str(), timestamp_type(), false));
        let created_time = view.created_time.as_ref().map(|created_time| {
            fields.push(Field::new(created_time.as_str(), timestamp_type(), true));
            fields.len() - 1
        });
        let first_feature = fields.len();
        for feature in &view.features {
            fields.push(arrow_field(feature.name.as_str(), &feature.data_type, true));
        }
        let features = first_feature..fields.len();
        fields.push(Field::new(DELETED_COLUMN, ArrowType::Boolean, false));
        Self { arrow: Arc::new(Schema::new(fields)), keys: view.keys.clone(), created_time, features }
    }

    /// The Arrow schema.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The keys, in declared order; they are the first columns.
    pub fn keys(&self) -> &[KeyColumn] {
        &self.keys
    }

    /// The positions of the key columns.
    pub fn key_columns(&self) -> Range<usize> {
        0..self.keys.len()
    }

    /// The position of the event time.
    pub fn event_time(&self) -> usize {
        self.keys.len()
    }

    /// The position of the created time, where the view has one.
    pub fn created_time(&self) -> Option<usize> {
        self.created_time
    }

    /// The positions of the features, in declared order.
    pub fn features(&self) -> Range<usize> {
        self.features.clone()
    }

    /// The position of the tombstone mark, the last column.
    pub fn deleted(&self) -> usize {
        self.features.end
    }

    /// The position of the feature of this name.
    pub fn feature(&self, name: &Name) -> Option<usize> {
        let features = self.arrow.fields().get(self.features())?;
        features.iter().position(|field| field.name() == name.as_str()).map(|at| at + self.features.start)
    }

    /// The schema of stored rows: the canonical columns, then [`COMMIT_TIME_COLUMN`] if the commit time is
    /// not the manifest's, then [`ORDINAL_COLUMN`].
    pub fn stored(&self, commit_time: bool) -> SchemaRef {
        let commit_time = commit_time.then(|| Field::new(COMMIT_TIME_COLUMN, timestamp_type(), false));
        let ordinal = Field::new(ORDINAL_COLUMN, ArrowType::Int64, false);
        let columns = self.arrow.fields().iter().map(|field| field.as_ref().clone());
        Arc::new(Schema::new(columns.chain(commit_time).chain([ordinal]).collect::<Vec<_>>()))
    }

    /// Checks that a batch is canonical: these columns in this order, of these types, without nulls where
    /// there may be none. Field metadata other than extensions is not looked at.
    ///
    /// # Errors
    /// The batch is not canonical; the message names the first column that differs.
    pub fn check(&self, batch: &RecordBatch) -> Result<()> {
        let expected = self.arrow.fields();
        if batch.num_columns() != expected.len() {
            return Err(Error::Invalid(format!(
                "a canonical batch has {} columns here, not {}",
                expected.len(),
                batch.num_columns()
            )));
        }
        let columns = expected.iter().zip(batch.schema_ref().fields()).zip(batch.columns());
        for ((expected, found), column) in columns {
            if expected.name() != found.name() || expected.data_type() != found.data_type() {
                return Err(Error::Invalid(format!(
                    "expected column `{}` of type {}, found `{}` of type {}",
                    expected.name(),
                    expected.data_type(),
                    found.name(),
                    found.data_type()
                )));
            }
            if !expected.is_nullable() && column.null_count() > 0 {
                return Err(Error::Invalid(format!("column `{}` may not be null", expected.name())));
            }
        }
        Ok(())
    }
}
