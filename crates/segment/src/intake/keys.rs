//! The key columns of a request for a few entities.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    datatypes::{DataType as ArrowType, Field, Schema},
};
use lineate_types::{DataType, KeyType, Name};

use super::{
    convert::{Rules, convert, unpack},
    refusal::{Refusal, Rows, hint},
    text::Builder,
};
use crate::{Error, Result, schema::arrow_field};

/// The named key columns of a batch in their canonical types, nulls kept. A column of text stands for a key of
/// any type, each value read as in a CSV file. Without `naive_times_are_utc`, timestamps without a zone are
/// refused.
///
/// # Errors
/// A column is missing, or a value cannot be taken exactly.
pub fn convert_keys(
    entities: &RecordBatch,
    keys: &[(Name, KeyType)],
    naive_times_are_utc: bool,
) -> Result<RecordBatch> {
    let rules = Rules { naive_times_are_utc };
    let mut fields: Vec<Arc<Field>> = Vec::with_capacity(keys.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(keys.len());
    for (name, key_type) in keys {
        let data_type = key_type.data_type();
        let column = entities.column_by_name(name.as_str()).ok_or_else(|| {
            let schema = entities.schema_ref();
            let present = schema.fields().iter().map(|field| field.name().as_str());
            Error::MissingColumn {
                column: name.to_string(),
                expected: data_type.to_string(),
                owner: "the request".to_owned(),
                hint: hint(name.as_str(), present),
            }
        })?;
        let converted = convert_column(column, *key_type, rules);
        columns.push(converted.map_err(|refusal| refusal.of_column(name.as_str(), Rows::From(0)))?);
        fields.push(Arc::new(arrow_field(name.as_str(), &data_type, true)));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(entities.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

fn convert_column(
    column: &ArrayRef,
    key_type: KeyType,
    rules: Rules,
) -> std::result::Result<ArrayRef, Refusal> {
    let column = unpack(column)?;
    match column.data_type() {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View if key_type != KeyType::String => {
            read_text(&convert(&column, &DataType::String, rules)?, key_type, rules)
        }
        _ => convert(&column, &key_type.data_type(), rules),
    }
}

fn read_text(column: &ArrayRef, key_type: KeyType, rules: Rules) -> std::result::Result<ArrayRef, Refusal> {
    let texts = column.as_string::<i32>();
    let mut builder = Builder::new(&key_type.data_type(), rules.naive_times_are_utc);
    for row in 0..texts.len() {
        if texts.is_null(row) {
            builder.push_null();
            continue;
        }
        let text = texts.value(row);
        if text.is_empty() && key_type != KeyType::Bytes {
            return Err(Refusal::value(row, format!("expected {key_type}, found an empty text")));
        }
        builder.push_cell(text, true).map_err(|fault| Refusal::value(row, fault.why))?;
    }
    builder.finish().map_err(|cause| Refusal::value(0, cause.to_string()))
}
