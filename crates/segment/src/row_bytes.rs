//! The size of single rows: no row is longer than [`limits::ROW_BYTES`].
//!
//! A row's size is the sum over its values: the width of a fixed-width value, the bytes of text or binary plus
//! four, four plus the elements of a list or map, the fields of a struct; a null counts one byte.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType as ArrowType, Schema},
};
use lineate_types::limits;

/// The sizes of the rows of one batch.
#[derive(Debug)]
pub enum RowSizes {
    /// Every row takes as much.
    Alike(u64),
    /// Each row has its own.
    Each(Vec<u64>),
}

impl RowSizes {
    /// The sizes of the rows of a canonical batch.
    pub fn of(batch: &RecordBatch) -> Self {
        let fields = batch.schema_ref().fields();
        match fields.iter().all(|field| !is_varying(field.data_type())) {
            true => Self::Alike(fields.iter().map(|field| least_bytes(field.data_type())).sum()),
            false => Self::Each(sizes(batch)),
        }
    }

    /// The size of a row.
    pub fn get(&self, row: usize) -> u64 {
        match self {
            Self::Alike(bytes) => *bytes,
            Self::Each(rows) => rows.get(row).copied().unwrap_or(0),
        }
    }
}

/// Bytes that every row of canonical columns takes at least.
pub fn least_row_bytes(schema: &Schema) -> u64 {
    schema.fields().iter().map(|field| least_bytes(field.data_type())).sum()
}

fn is_varying(data_type: &ArrowType) -> bool {
    use ArrowType::{Binary, List, Map, Struct, Utf8};
    matches!(data_type, Utf8 | Binary | List(_) | Map(..) | Struct(_))
}

fn least_bytes(data_type: &ArrowType) -> u64 {
    match data_type {
        ArrowType::Boolean => 1,
        ArrowType::FixedSizeBinary(width) => width.unsigned_abs().into(),
        ArrowType::FixedSizeList(element, length) => {
            least_bytes(element.data_type()).saturating_mul(length.unsigned_abs().into())
        }
        ArrowType::Struct(fields) => fields.iter().map(|field| least_bytes(field.data_type())).sum(),
        other => other.primitive_width().unwrap_or(4) as u64,
    }
}

fn sizes(batch: &RecordBatch) -> Vec<u64> {
    let mut rows = vec![0; batch.num_rows()];
    for column in batch.columns() {
        add_sizes(column, &mut rows);
    }
    rows
}

/// The first row of a canonical batch that is too long, with its bytes.
pub(crate) fn first_too_long(batch: &RecordBatch) -> Option<(usize, u64)> {
    let bound: usize = batch.columns().iter().map(upper_bound).sum();
    if bound <= limits::ROW_BYTES {
        return None;
    }
    sizes(batch).into_iter().enumerate().find(|(_, bytes)| *bytes > limits::ROW_BYTES as u64)
}

/// Bytes no row of the column exceeds; cheap, and generous where it must be.
fn upper_bound(column: &ArrayRef) -> usize {
    let widest = |offsets: &[i32]| {
        offsets
            .windows(2)
            .map(|pair| pair.last().zip(pair.first()).map_or(0, |(b, a)| b - a))
            .max()
            .unwrap_or(0)
    };
    match column.data_type() {
        ArrowType::Boolean => 1,
        ArrowType::Utf8 => widest(column.as_string::<i32>().value_offsets()) as usize + 4,
        ArrowType::Binary => widest(column.as_binary::<i32>().value_offsets()) as usize + 4,
        ArrowType::FixedSizeBinary(width) => width.unsigned_abs() as usize,
        ArrowType::FixedSizeList(element, length) => {
            element.data_type().primitive_width().unwrap_or(8) * length.unsigned_abs() as usize
        }
        other => match other.primitive_width() {
            Some(width) => width,
            None => limits::ROW_BYTES,
        },
    }
}

/// Adds the size of each value to its row's.
fn add_sizes(column: &ArrayRef, rows: &mut [u64]) {
    match column.data_type() {
        ArrowType::Utf8 => add_lengths(column.as_string::<i32>().value_offsets(), rows),
        ArrowType::Binary => add_lengths(column.as_binary::<i32>().value_offsets(), rows),
        ArrowType::List(_) => {
            let list = column.as_list::<i32>();
            add_children(list.values(), list.value_offsets(), rows);
        }
        ArrowType::Map(..) => {
            let map = column.as_map();
            add_children(map.keys(), map.value_offsets(), rows);
            add_children(map.values(), map.value_offsets(), rows);
        }
        ArrowType::Struct(_) => {
            for child in column.as_struct().columns() {
                add_sizes(child, rows);
            }
        }
        _ => {
            let width = upper_bound(column) as u64;
            rows.iter_mut().for_each(|row| *row = row.saturating_add(width));
        }
    }
}

fn add_lengths(offsets: &[i32], rows: &mut [u64]) {
    for (row, pair) in rows.iter_mut().zip(offsets.windows(2)) {
        if let [start, end] = pair {
            *row = row.saturating_add(u64::from(end.abs_diff(*start)) + 4);
        }
    }
}

fn add_children(values: &ArrayRef, offsets: &[i32], rows: &mut [u64]) {
    let mut children = vec![0_u64; values.len()];
    add_sizes(values, &mut children);
    for (row, pair) in rows.iter_mut().zip(offsets.windows(2)) {
        let [start, end] = pair else { continue };
        let held = children.get(*start as usize..*end as usize).unwrap_or_default();
        *row = held.iter().fold(row.saturating_add(4), |sum, bytes| sum.saturating_add(*bytes));
    }
}
