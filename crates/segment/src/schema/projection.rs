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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};
    use lineate_types::{Feature, HistoryId, KeyColumn, KeyType, Name, ViewDefinition, ViewId};

    use super::*;

    fn version(features: &[(&str, &str)]) -> ViewSchema {
        let name = |text: &str| Name::new(text).expect("a name");
        ViewSchema::of(&ViewDefinition {
            id: ViewId(1),
            history: HistoryId(1),
            project: name("p"),
            name: name("v"),
            version: 1,
            entity: name("e"),
            keys: vec![KeyColumn { name: name("k"), key_type: KeyType::String }],
            event_time: name("at"),
            created_time: None,
            ttl: None,
            naive_times_are_utc: false,
            features: features
                .iter()
                .map(|(feature, text)| Feature {
                    name: name(feature),
                    data_type: text.parse().expect("a type"),
                })
                .collect(),
        })
    }

    fn rows(schema: &ViewSchema) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["x", "y"])),
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("UTC")),
            Arc::new(Int64Array::from(vec![Some(5), None])),
            Arc::new(BooleanArray::from(vec![false, true])),
        ];
        RecordBatch::try_new(schema.arrow().clone(), columns).expect("canonical")
    }

    #[test]
    fn versions_add_features_as_nulls_and_leave_others_out() {
        let (old, new) = (version(&[("a", "int64")]), version(&[("b", "uuid"), ("a", "int64")]));
        let batch = rows(&old);
        let newer = project(&batch, &new).expect("one history");
        new.check(&newer).expect("canonical");
        assert_eq!(newer.column(2).null_count(), 2);
        assert_eq!(newer.column(3).as_ref(), batch.column(2).as_ref());
        assert_eq!(project(&newer, &old).expect("one history"), batch);
        assert_eq!(project(&batch, &old).expect("itself"), batch);
    }

    #[test]
    fn versions_of_other_histories_are_refused() {
        let batch = rows(&version(&[("a", "int64")]));
        assert!(project(&batch, &version(&[("a", "float64")])).is_err());
        let without_mark = batch.project(&[0, 1, 2]).expect("columns");
        assert!(project(&without_mark, &version(&[("b", "int64")])).is_err());
    }
}
