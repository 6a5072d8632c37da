//! Arrow columns of any kind, turned into canonical columns exactly or refused.
//!
//! What is taken for what (every other pair is refused):
//!
//! | wanted | taken |
//! |---|---|
//! | bool | boolean |
//! | int32, int64 | integers of any width and sign whose values fit |
//! | float32 | float16, float32 |
//! | float64 | float16, float32, float64 |
//! | string | text of any layout |
//! | bytes | binary of any layout, fixed size too |
//! | timestamp | timestamps of any unit with a zone, whole microseconds, in range |
//! | date | date32; date64 at midnight |
//! | uuid | binary of any layout, 16 bytes each; text |
//! | json | text that is JSON |
//! | decimal | decimals of any width whose values need no rounding and fit |
//! | list, vector | lists of any layout; a vector has its length and no null elements |
//! | map | maps from text, no key twice |
//! | struct | structs with exactly these fields, in any order |
//!
//! Dictionary and run-end encoding are layouts: they are unpacked. The null type is a column of nulls.
//! Floats keep every bit, also of NaN.

mod decimal;
mod layout;
mod nested;
mod number;
mod scalar;
mod time;

use arrow::{
    array::{Array, ArrayRef, new_null_array},
    datatypes::DataType as ArrowType,
};
use lineate_types::DataType;

pub(super) use layout::{type_depth, unpack};

use super::refusal::Refusal;
use crate::schema::arrow_type;

/// What a view says about the reading of foreign values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Whether timestamps without a zone are read as UTC rather than refused.
    pub naive_times_are_utc: bool,
}

/// The canonical column of a type for a foreign column.
pub(super) fn convert(array: &ArrayRef, wanted: &DataType, rules: Rules) -> Result<ArrayRef, Refusal> {
    let array = &unpack(array)?;
    if *array.data_type() == ArrowType::Null {
        return Ok(new_null_array(&arrow_type(wanted), array.len()));
    }
    match wanted {
        DataType::Bool => match array.data_type() {
            ArrowType::Boolean => Ok(array.clone()),
            found => Err(Refusal::wrong_type(wanted, found)),
        },
        DataType::Int32 => number::int32(array),
        DataType::Int64 => number::int64(array),
        DataType::Float32 => number::float32(array),
        DataType::Float64 => number::float64(array),
        DataType::String => scalar::string(array, wanted),
        DataType::Json => scalar::json(array),
        DataType::Bytes => scalar::bytes(array),
        DataType::Uuid => scalar::uuid(array),
        DataType::Timestamp => time::timestamps(array, rules.naive_times_are_utc),
        DataType::Date => time::dates(array),
        DataType::Decimal { precision, scale } => decimal::decimals(array, *precision, *scale),
        DataType::List(element) => nested::lists(array, element, rules),
        DataType::Vector { double, length } => nested::vectors(array, *double, *length, rules),
        DataType::Map(value) => nested::maps(array, value, rules),
        DataType::Struct(fields) => nested::structs(array, fields, rules),
    }
}
