//! CSV fields into columns.

use serde_json::value::RawValue;

use super::builder::{Builder, Column, Fault};
use crate::intake::{refusal::excerpt, value};

impl Builder {
    /// Adds a field. An empty one is null, except a quoted empty one of a string or bytes column.
    pub(in crate::intake) fn push_cell(&mut self, text: &str, quoted: bool) -> Result<(), Fault> {
        let may_be_empty = quoted && matches!(self.column, Column::String(_) | Column::Bytes(_));
        if text.is_empty() && !may_be_empty {
            self.push_null();
            return Ok(());
        }
        match &mut self.column {
            Column::Bool(values) => values.append_value(value::bool(text)?),
            Column::Int32(values) => values.append_value(value::integer(text, "int32")?),
            Column::Int64(values) => values.append_value(value::integer(text, "int64")?),
            Column::Float32(values) => values.append_value(value::float(text, "float32")?),
            Column::Float64(values) => values.append_value(value::float(text, "float64")?),
            Column::String(values) => values.append_value(text),
            Column::Json(values) => {
                value::check_json(text)?;
                values.append_value(text);
            }
            Column::Bytes(values) => values.append_value(value::bytes(text)?),
            Column::Timestamp(values) => {
                values.append_value(value::timestamp(text, self.naive_times_are_utc)?);
            }
            Column::Date(values) => values.append_value(value::date(text)?),
            Column::Uuid(values) => {
                values.append_value(value::uuid(text)?).map_err(|cause| cause.to_string())?;
            }
            Column::Decimal { values, precision, scale } => {
                values.append_value(value::decimal(text, *precision, *scale)?);
            }
            Column::List { .. } | Column::Map { .. } | Column::Struct { .. } | Column::Vector { .. } => {
                let raw: &RawValue = serde_json::from_str(text)
                    .map_err(|cause| format!("expected JSON, found {}: {cause}", excerpt(text)))?;
                return self.push_json(raw);
            }
        }
        Ok(())
    }
}
