//! Layouts that say nothing of a column's type: dictionaries and run-end encoding.

use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray, UInt32Array},
    compute::take,
    datatypes::{DataType as ArrowType, Int16Type, Int32Type, Int64Type, RunEndIndexType},
    downcast_dictionary_array,
};
use lineate_types::limits;

use super::Refusal;

/// The same values without dictionary or run-end encoding at the top.
pub(in crate::intake) fn unpack(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    let mut array = array.clone();
    // A dictionary of a dictionary is odd, and allowed.
    for _ in 0..limits::TYPE_DEPTH {
        array = match array.data_type() {
            ArrowType::Dictionary(..) => dictionary(&array)?,
            ArrowType::RunEndEncoded(ends, _) => match ends.data_type() {
                ArrowType::Int16 => runs::<Int16Type>(&array)?,
                ArrowType::Int32 => runs::<Int32Type>(&array)?,
                _ => runs::<Int64Type>(&array)?,
            },
            _ => return Ok(array),
        };
    }
    Err(Refusal::wrong_type("values", "dictionaries of dictionaries, too deep"))
}

fn dictionary(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    let array: &dyn Array = array.as_ref();
    downcast_dictionary_array!(
        array => gather(array.values(), array.keys()),
        other => Err(Refusal::wrong_type("a dictionary", other))
    )
}

fn gather(values: &ArrayRef, indices: &dyn Array) -> Result<ArrayRef, Refusal> {
    check_expansion(values, indices.len())?;
    take(values, indices, None).map_err(|cause| Refusal::wrong_type("a dictionary", cause))
}

fn runs<R: RunEndIndexType>(array: &ArrayRef) -> Result<ArrayRef, Refusal> {
    let Some(runs) = array.as_run_opt::<R>() else {
        return Err(Refusal::wrong_type("run-end encoding", array.data_type()));
    };
    let rows = (0..array.len()).map(|row| u32::try_from(runs.get_physical_index(row)).unwrap_or(u32::MAX));
    let indices: PrimitiveArray<_> = UInt32Array::from_iter_values(rows);
    gather(runs.values(), &indices)
}

/// Repeating a long value many times can make a small message huge: bounded by the longest value.
fn check_expansion(values: &ArrayRef, rows: usize) -> Result<(), Refusal> {
    let limit = limits::INTAKE_COLUMN_BYTES as u64;
    if (values.get_buffer_memory_size() as u64).saturating_mul(rows as u64) <= limit {
        return Ok(());
    }
    let longest = longest(values);
    match longest.saturating_mul(rows as u64) {
        actual if actual > limit => {
            Err(Refusal::TooMuch { what: "bytes of a column once unpacked", actual, limit })
        }
        _ => Ok(()),
    }
}

/// An upper bound of the bytes of one value.
fn longest(values: &ArrayRef) -> u64 {
    let offsets = |offsets: &[i32]| {
        offsets.iter().zip(offsets.iter().skip(1)).map(|(a, b)| b.abs_diff(*a)).max().map_or(0, u64::from)
    };
    let large = |offsets: &[i64]| {
        offsets.iter().zip(offsets.iter().skip(1)).map(|(a, b)| b.abs_diff(*a)).max().unwrap_or(0)
    };
    match values.data_type() {
        ArrowType::Utf8 => offsets(values.as_string::<i32>().value_offsets()),
        ArrowType::LargeUtf8 => large(values.as_string::<i64>().value_offsets()),
        ArrowType::Binary => offsets(values.as_binary::<i32>().value_offsets()),
        ArrowType::LargeBinary => large(values.as_binary::<i64>().value_offsets()),
        // Taking from views copies 16 bytes each.
        ArrowType::Utf8View | ArrowType::BinaryView => 16,
        other => match other.primitive_width() {
            Some(width) => width as u64,
            None => values.get_buffer_memory_size() as u64,
        },
    }
}

/// How deep an Arrow type nests, counting itself.
pub(in crate::intake) fn type_depth(data_type: &ArrowType) -> usize {
    let mut deepest = 0;
    let mut open = vec![(data_type, 1)];
    while let Some((data_type, depth)) = open.pop() {
        deepest = deepest.max(depth);
        match data_type {
            ArrowType::List(child)
            | ArrowType::LargeList(child)
            | ArrowType::ListView(child)
            | ArrowType::LargeListView(child)
            | ArrowType::FixedSizeList(child, _)
            | ArrowType::Map(child, _) => open.push((child.data_type(), depth + 1)),
            ArrowType::Struct(fields) => {
                open.extend(fields.iter().map(|field| (field.data_type(), depth + 1)));
            }
            ArrowType::Union(fields, _) => {
                open.extend(fields.iter().map(|(_, field)| (field.data_type(), depth + 1)));
            }
            ArrowType::Dictionary(_, values) => open.push((values, depth + 1)),
            ArrowType::RunEndEncoded(_, values) => open.push((values.data_type(), depth + 1)),
            _ => {}
        }
    }
    deepest
}
