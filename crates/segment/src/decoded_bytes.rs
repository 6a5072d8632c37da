//! How many bytes the columns of a Parquet file take in memory once decoded, as far as its metadata says.
//!
//! The size of a column in the file says little: a dictionary holds a long value once, however many rows have it.

use lineate_types::limits;
use parquet::{
    basic::Type,
    file::metadata::{ColumnChunkMetaData, ParquetMetaData},
};

/// Rows of which no column is too long for the 32-bit offsets of Arrow, whatever they hold.
pub(crate) const SAFE_ROWS: usize = i32::MAX as usize / limits::ROW_BYTES;

/// Bytes of one row of the root columns that `is_wanted`, decoded: the average of the widest row group.
pub fn row_bytes(metadata: &ParquetMetaData, is_wanted: impl Fn(usize) -> bool) -> u64 {
    let schema = metadata.file_metadata().schema_descr();
    let of_group = metadata.row_groups().iter().map(|group| {
        let leaves = group.columns().iter().enumerate();
        let wanted = leaves.filter(|(leaf, _)| is_wanted(schema.get_column_root_idx(*leaf)));
        let bytes = wanted.fold(0_u64, |bytes, (_, chunk)| bytes.saturating_add(chunk_bytes(chunk)));
        bytes / group.num_rows().max(1).unsigned_abs()
    });
    of_group.max().unwrap_or(0)
}

/// Bytes that the values of varying length take, decoded, in some row groups of the root columns that `is_wanted`.
pub(crate) fn varying_bytes(
    metadata: &ParquetMetaData,
    row_groups: &[usize],
    is_wanted: impl Fn(usize) -> bool,
) -> u64 {
    let schema = metadata.file_metadata().schema_descr();
    let groups = row_groups.iter().filter_map(|group| metadata.row_groups().get(*group));
    let chunks = groups.flat_map(|group| group.columns().iter().enumerate());
    let varying = chunks.filter(|(leaf, chunk)| {
        let is_repeated = chunk.column_descr().max_rep_level() > 0;
        is_wanted(schema.get_column_root_idx(*leaf))
            && (is_repeated || chunk.column_type() == Type::BYTE_ARRAY)
    });
    varying.fold(0, |bytes, (_, chunk)| {
        bytes.saturating_add(chunk_bytes(chunk).max(chunk.num_values().max(0).unsigned_abs()))
    })
}

fn chunk_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let values = chunk.num_values().max(0).unsigned_abs();
    let width = match chunk.column_type() {
        Type::BOOLEAN => return values.div_ceil(8),
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE | Type::INT96 => 8,
        Type::FIXED_LEN_BYTE_ARRAY => chunk.column_descr().type_length().max(1).unsigned_abs().into(),
        Type::BYTE_ARRAY => {
            let encoded = chunk.uncompressed_size();
            let bytes = chunk.unencoded_byte_array_data_bytes().unwrap_or(encoded).max(0).unsigned_abs();
            return bytes.saturating_add(values.saturating_mul(4));
        }
    };
    values.saturating_mul(width)
}
