//! Text, bytes, uuids and json.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryBuilder, StringArray},
    datatypes::DataType as ArrowType,
};
use lineate_types::{DataType, limits};

use super::Refusal;
use crate::intake::value;

/// Text of any layout as `Utf8`.
pub(super) fn string(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Utf8 => Ok(array.clone()),
        ArrowType::LargeUtf8 => {
            let text = array.as_string::<i64>();
            check_size(text.iter().flatten().map(str::len))?;
            Ok(Arc::new(text.iter().collect::<StringArray>()))
        }
        ArrowType::Utf8View => {
            let text = array.as_string_view();
            check_size(text.iter().flatten().map(str::len))?;
            Ok(Arc::new(text.iter().collect::<StringArray>()))
        }
        found => Err(Refusal::wrong_type(wanted, found)),
    }
}

/// Text that is JSON, kept as given.
pub(super) fn json(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    let text = string(array, &DataType::Json)?;
    for (index, value) in text.as_string::<i32>().iter().enumerate() {
        if let Some(value) = value {
            value::check_json(value).map_err(|why| Refusal::value(index, why))?;
        }
    }
    Ok(text)
}

/// Binary of any layout as `Binary`.
pub(super) fn bytes(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::Binary => Ok(array.clone()),
        ArrowType::LargeBinary => {
            let bytes = array.as_binary::<i64>();
            check_size(bytes.iter().flatten().map(<[u8]>::len))?;
            Ok(Arc::new(bytes.iter().collect::<BinaryArray>()))
        }
        ArrowType::BinaryView => {
            let bytes = array.as_binary_view();
            check_size(bytes.iter().flatten().map(<[u8]>::len))?;
            Ok(Arc::new(bytes.iter().collect::<BinaryArray>()))
        }
        ArrowType::FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary();
            check_size(bytes.iter().flatten().map(<[u8]>::len))?;
            Ok(Arc::new(bytes.iter().collect::<BinaryArray>()))
        }
        found => Err(Refusal::wrong_type(DataType::Bytes, found)),
    }
}

/// 16 bytes, or the text of a uuid.
pub(super) fn uuid(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    match array.data_type() {
        ArrowType::FixedSizeBinary(16) => Ok(array.clone()),
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => {
            let values = bytes(array)?;
            uuids(values.as_binary::<i32>().iter(), |value| {
                value
                    .try_into()
                    .map_err(|_| format!("expected the 16 bytes of a uuid, found {}", value.len()))
            })
        }
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
            let values = string(array, &DataType::Uuid)?;
            uuids(values.as_string::<i32>().iter(), value::uuid)
        }
        found => Err(Refusal::wrong_type("uuid (16 bytes or text)", found)),
    }
}

fn uuids<V>(
    values: impl ExactSizeIterator<Item = Option<V>>,
    parse: impl Fn(V) -> Result<[u8; 16], String>,
) -> Result<ArrayRef, Refusal> {
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(values.len(), 16);
    for (index, value) in values.enumerate() {
        match value {
            Some(value) => {
                let uuid = parse(value).map_err(|why| Refusal::value(index, why))?;
                uuids.append_value(uuid).map_err(|cause| Refusal::value(index, cause.to_string()))?;
            }
            None => uuids.append_null(),
        }
    }
    Ok(Arc::new(uuids.finish()))
}

/// Canonical columns have 32-bit offsets, and a column of a batch has a bound well below that.
fn check_size(lengths: impl Iterator<Item = usize>) -> Result<(), Refusal> {
    let actual = lengths.fold(0_u64, |sum, length| sum.saturating_add(length as u64));
    let limit = limits::INTAKE_COLUMN_BYTES as u64;
    if actual > limit {
        return Err(Refusal::TooMuch { what: "bytes of a column of a batch", actual, limit });
    }
    Ok(())
}
