//! The fixed choices of the Parquet file: encodings, pages, row groups, metadata.

use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use lineate_types::limits;
use parquet::{
    basic::{Compression, Encoding},
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
    schema::types::ColumnPath,
};

use crate::schema::{COMMIT_TIME_COLUMN, ORDINAL_COLUMN, ViewSchema};

/// The version of the segment format, in the file's metadata under `FORMAT_KEY`.
pub const SEGMENT_FORMAT_VERSION: &str = "1";
/// The metadata key of the format version.
pub(super) const FORMAT_KEY: &str = "lineate.format";
/// The metadata key of the history's number.
pub(super) const HISTORY_KEY: &str = "lineate.history";
/// The metadata key of the least and greatest bucket, `0-63`.
pub(super) const BUCKETS_KEY: &str = "lineate.buckets";
/// The metadata key of the number of rows.
pub(super) const ROWS_KEY: &str = "lineate.rows";
/// The metadata key of where commit times are: `column` or `manifest`.
pub(super) const COMMIT_KEY: &str = "lineate.commit_time";
/// The metadata key of the names of the key columns, in their order, with commas between.
pub(super) const KEYS_KEY: &str = "lineate.keys";
/// The metadata key of the name of the event time.
pub(super) const EVENT_TIME_KEY: &str = "lineate.event_time";
/// The metadata key of the name of the created time, where rows carry one.
pub(super) const CREATED_TIME_KEY: &str = "lineate.created_time";
/// The metadata key of the least and greatest event time in microseconds, `0..9`.
pub(super) const EVENT_TIMES_KEY: &str = "lineate.event_times_us";

/// What wrote the file, as Parquet wants it said. Not the release: the same rows give the same bytes.
const CREATED_BY: &str = "lineate version 1.0.0";
/// Bytes of the dictionary of a payload column: a point lookup reads all of it.
const PAYLOAD_DICTIONARY_BYTES: usize = 16 * 1024;
/// Bytes of one page, for wide values.
const PAGE_BYTES: usize = 1024 * 1024;

/// The writer properties for rows of a stored schema.
pub(super) fn properties(schema: &ViewSchema, stored: &SchemaRef) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_write_batch_size(limits::SEGMENT_PAGE_ROWS)
        .set_data_page_row_count_limit(limits::SEGMENT_PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_max_row_group_row_count(Some(limits::SEGMENT_ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(limits::SEGMENT_ROW_GROUP_BYTES));
    for (position, field) in stored.fields().iter().enumerate() {
        let column = ColumnPath::from(field.name().as_str());
        let is_time = position == schema.event_time()
            || Some(position) == schema.created_time()
            || [COMMIT_TIME_COLUMN, ORDINAL_COLUMN].contains(&field.name().as_str());
        builder = if is_time {
            time_column(builder, column)
        } else if schema.key_columns().contains(&position) {
            key_column(builder, column, field.data_type())
        } else if matches!(field.data_type(), ArrowType::Utf8 | ArrowType::Binary) {
            builder
                .set_column_dictionary_enabled(column.clone(), true)
                .set_column_dictionary_page_size_limit(column, PAYLOAD_DICTIONARY_BYTES)
        } else {
            builder
        };
    }
    builder.build()
}

fn time_column(builder: WriterPropertiesBuilder, column: ColumnPath) -> WriterPropertiesBuilder {
    builder
        .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED)
        .set_column_statistics_enabled(column, EnabledStatistics::Page)
}

/// The rows of a key lie together, so that the indices of a dictionary are long runs.
fn key_column(
    builder: WriterPropertiesBuilder,
    column: ColumnPath,
    data_type: &ArrowType,
) -> WriterPropertiesBuilder {
    builder
        .set_column_dictionary_enabled(column.clone(), *data_type != ArrowType::Boolean)
        .set_column_statistics_enabled(column, EnabledStatistics::Page)
}
