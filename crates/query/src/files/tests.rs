//! Stored tables are these bytes, with these properties, and those that were kept are read
//! (`docs/formats/training-set-files.md`).

use std::{env, fmt::Write as _, fs, path::PathBuf};

use arrow::{
    array::{
        ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
        DictionaryArray, DurationMillisecondArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array,
        Float32Array, Float64Array, Int8Array, Int64Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
        IntervalYearMonthArray, LargeListArray, LargeStringArray, ListArray, ListViewArray, MapArray,
        MapBuilder, NullArray, RunArray, StringArray, StringBuilder, StructArray, Time32SecondArray,
        Time64NanosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
        UInt64Array,
    },
    buffer::Buffer,
    datatypes::{
        DataType, Field, Float32Type, Int32Type, Int64Type, IntervalDayTime, IntervalMonthDayNano, i256,
    },
};
use expect_test::expect;
use lineate_storage::blob::MemBlobs;
use lineate_types::HasKind;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use super::*;
use crate::columns::ColumnHashes;

/// The kept table: three rows, a column of every type that spines and features bring.
const KEPT: &str = "training-set-v1.parquet";
const KEPT_HASH: &str = "b3:a6c69e710dd7511e80d28ef4082c518a3ccfad39287f376aa7fc1d0a88644a66";

fn kept_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/testdata").join(KEPT)
}

/// A map of text to float64 of three rows.
fn map() -> MapArray {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), arrow::array::Float64Builder::new());
    builder.keys().append_value("z");
    builder.values().append_value(1.5);
    builder.keys().append_value("a");
    builder.values().append_null();
    for valid in [true, false, true] {
        builder.append(valid).expect("as many keys as values");
    }
    builder.finish()
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let time = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
    let halves = Float16Array::new(Buffer::from_slice_ref([0x3c00_u16, 0x8000, 0x7e01]).into(), None);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    let structure = StructArray::from(vec![
        (
            Arc::new(Field::new("Odd \"Name\"", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![None, Some("x"), Some("")])) as ArrayRef,
        ),
    ]);
    let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
    let vectors = [Some(vec![Some(1.0), Some(-0.0)]), None, Some(vec![Some(f32::NAN), Some(2.5)])];
    let fixed = [[7_u8; 4], [0; 4], [255; 4]];
    vec![
        ("event_timestamp", Arc::new(time(vec![Some(1), Some(-1), Some(1_370_088_000_000_000)]))),
        ("Label of the row", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(-1), None, Some(127)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(9_007_199_254_740_993)]))),
        ("f16", Arc::new(halves)),
        ("f32", Arc::new(Float32Array::from(vec![Some(f32::from_bits(0x7fc0_beef)), None, Some(0.1)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(f64::NEG_INFINITY)]))),
        ("text", Arc::new(StringArray::from(vec![Some("é"), None, Some("")]))),
        ("large_text", Arc::new(LargeStringArray::from(vec![Some("é"), None, Some("")]))),
        ("bytes", Arc::new(BinaryViewArray::from(vec![Some(&b"\xff\x00"[..]), None, Some(b"")]))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter(fixed.into_iter()).expect("of one size"))),
        ("dictionary", Arc::new(dictionary)),
        ("date", Arc::new(Date32Array::from(vec![Some(15_857), None, Some(-1)]))),
        ("date64", Arc::new(Date64Array::from(vec![Some(86_400_000), None, Some(0)]))),
        ("naive", Arc::new(TimestampSecondArray::from(vec![Some(1), None, Some(-1)]))),
        (
            "zoned",
            Arc::new(
                TimestampNanosecondArray::from(vec![Some(1), None, Some(-1)]).with_timezone("Europe/Berlin"),
            ),
        ),
        ("time32", Arc::new(Time32SecondArray::from(vec![Some(1), None, Some(86_399)]))),
        ("time64", Arc::new(Time64NanosecondArray::from(vec![Some(1), None, Some(86_399)]))),
        ("duration", Arc::new(DurationMillisecondArray::from(vec![Some(1), None, Some(-1)]))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![Some(-15), None, Some(1)])
                    .with_precision_and_scale(38, 9)
                    .expect("a decimal"),
            ),
        ),
        (
            "wide_decimal",
            Arc::new(
                Decimal256Array::from(vec![Some(i256::from_i128(-15)), None, Some(i256::MINUS_ONE)])
                    .with_precision_and_scale(50, 2)
                    .expect("a decimal"),
            ),
        ),
        ("nothing", Arc::new(NullArray::new(3))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists.clone()))),
        ("large_list", Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ("map", Arc::new(map())),
        ("struct", Arc::new(structure)),
        (
            "weather__vector",
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2)),
        ),
    ]
}

fn table() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns().into_iter().enumerate().map(|(position, (name, column))| (name, column, position > 0)),
    )
    .expect("a table")
}

fn write(blobs: &MemBlobs, batches: &[RecordBatch]) -> BlobInfo {
    let mut writer = TableWriter::new(blobs, batches[0].schema()).expect("room");
    batches.iter().for_each(|batch| writer.push(batch).expect("room"));
    let (info, rows) = writer.finish().expect("room");
    assert_eq!(rows, batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    info
}

/// The logical hash of every column.
fn hashes(batches: &[RecordBatch]) -> Vec<(String, String, Hash)> {
    let mut hashes = ColumnHashes::new(&batches[0].schema()).expect("every type has a hash");
    batches.iter().for_each(|batch| hashes.update(batch).expect("of the schema"));
    hashes.finish().into_iter().map(|column| (column.name, column.data_type, column.logical)).collect()
}

/// Set `UPDATE_EXPECT` to write the file anew. Where a release of the Parquet library writes other bytes, the file
/// stays, and what it writes is kept beside it.
#[test]
fn a_table_is_written_as_these_bytes() {
    let made = MemBlobs::new();
    let info = write(&made, &[table()]);
    let bytes = made.read(&info.hash).expect("just written");
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(kept_path(), &bytes).expect("writes");
    }
    assert_eq!(bytes, fs::read(kept_path()).expect("is kept"));
    assert_eq!(info.hash.to_string(), KEPT_HASH);
}

#[test]
fn a_table_that_was_kept_is_read() {
    let blobs = MemBlobs::new();
    let mut writer = blobs.writer().expect("room");
    io::Write::write_all(&mut writer, &fs::read(kept_path()).expect("is kept")).expect("room");
    let info = writer.finish().expect("room");
    assert_eq!(info.hash.to_string(), KEPT_HASH);
    let TableReader { schema, batches: rows, .. } = read_table(&blobs, &info.hash, 0).expect("a table");
    let rows: Vec<RecordBatch> = rows.map(|batch| batch.expect("rows")).collect();
    assert_eq!(schema, table().schema());
    assert_eq!(hashes(&rows), hashes(&[table()]), "bit for bit");
}

#[test]
fn a_table_has_these_properties() {
    let blobs = MemBlobs::new();
    let rows = |rows: std::ops::Range<i64>| {
        let time = TimestampMicrosecondArray::from_iter_values(rows.clone()).with_timezone("UTC");
        let text = StringArray::from_iter_values(rows.clone().map(|row| format!("{}", row % 7)));
        let long = StringArray::from_iter_values(rows.map(|row| format!("{row:0100}")));
        let columns: [(&str, ArrayRef); 3] =
            [("at", Arc::new(time)), ("text", Arc::new(text)), ("long", Arc::new(long))];
        RecordBatch::try_from_iter(columns).expect("a table")
    };
    let whole = write(&blobs, &[rows(0..65_537)]);
    let parts: Vec<RecordBatch> =
        (0..10).map(|part| rows(part * 6_554..65_537.min((part + 1) * 6_554))).collect();
    let mut text = String::new();
    let mut line = |of: &str, is: &dyn std::fmt::Debug| writeln!(text, "{of}: {is:?}").expect("memory");
    let bytes = blobs.read(&whole.hash).expect("just written");
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(&bytes)
        .expect("a Parquet file");
    let file = metadata.file_metadata();
    line("version", &file.version());
    line("created by", &file.created_by());
    line(
        "metadata",
        &file.key_value_metadata().expect("some").iter().map(|pair| &pair.key).collect::<Vec<_>>(),
    );
    let groups = metadata.row_groups();
    line("rows of the row groups", &groups.iter().map(|group| group.num_rows()).collect::<Vec<_>>());
    for (position, column) in groups[0].columns().iter().enumerate() {
        line("column", &column.column_path().string());
        line("  compression", &column.compression());
        line("  encodings", &column.encodings().collect::<Vec<_>>());
        line("  statistics", &column.statistics().is_some());
        line("  bloom filter", &column.bloom_filter_offset().is_some());
        line("  statistics of pages", &column.column_index_offset().is_some());
        let pages = &metadata.offset_index().expect("an offset index")[0][position];
        line(
            "  first rows of pages",
            &pages.page_locations().iter().map(|page| page.first_row_index).collect::<Vec<_>>(),
        );
    }
    expect![[r#"
        version: 1
        created by: Some("lineate")
        metadata: ["ARROW:schema"]
        rows of the row groups: [65536, 1]
        column: "at"
          compression: ZSTD(ZstdLevel(1))
          encodings: [PLAIN, RLE, RLE_DICTIONARY]
          statistics: true
          bloom filter: false
          statistics of pages: false
          first rows of pages: [0, 20480, 40960, 61440]
        column: "text"
          compression: ZSTD(ZstdLevel(1))
          encodings: [PLAIN, RLE, RLE_DICTIONARY]
          statistics: true
          bloom filter: false
          statistics of pages: false
          first rows of pages: [0, 20480, 40960, 61440]
        column: "long"
          compression: ZSTD(ZstdLevel(1))
          encodings: [PLAIN, RLE, RLE_DICTIONARY]
          statistics: true
          bloom filter: false
          statistics of pages: false
          first rows of pages: [0, 10083, 20480, 30720, 40960, 51200, 61440]
    "#]]
    .assert_eq(&text);
    // Pages end where batches do, so the bytes may differ; what they say does not.
    let hashes_of = |info: BlobInfo| {
        let rows = read_table(&blobs, &info.hash, 0).expect("a table").batches;
        hashes(&rows.map(|batch| batch.expect("rows")).collect::<Vec<_>>())
    };
    assert_eq!(hashes_of(write(&blobs, &parts)), hashes_of(whole));
}

/// Types of spines that have a logical hash and that the columns of the kept table leave out.
#[test]
fn what_parquet_does_not_hold_is_refused_and_the_rest_comes_back() {
    let list_view = ListViewArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None]);
    let runs: RunArray<Int32Type> = vec![Some("a"), None].into_iter().collect();
    let empty = StructArray::new_empty_fields(2, None);
    let cases: [(&str, ArrayRef); 6] = [
        ("interval(year_month)", Arc::new(IntervalYearMonthArray::from(vec![Some(1), None]))),
        (
            "interval(day_time)",
            Arc::new(IntervalDayTimeArray::from(vec![Some(IntervalDayTime::MINUS_ONE), None])),
        ),
        (
            "interval(month_day_nano)",
            Arc::new(IntervalMonthDayNanoArray::from(vec![Some(IntervalMonthDayNano::ONE), None])),
        ),
        ("list view", Arc::new(list_view)),
        ("run-end encoded", Arc::new(runs)),
        ("struct<>", Arc::new(empty)),
    ];
    let mut text = String::new();
    for (name, column) in cases {
        let table = RecordBatch::try_from_iter_with_nullable([("x", column, true)]).expect("a table");
        let blobs = MemBlobs::new();
        let stored = TableWriter::new(&blobs, table.schema()).and_then(|mut writer| {
            writer.push(&table)?;
            writer.finish()
        });
        let what = match stored {
            Err(error) => format!("{:?}: {error}", error.kind()),
            Ok((info, _)) => {
                let TableReader { schema, batches: rows, .. } =
                    read_table(&blobs, &info.hash, 0).expect("a table");
                let rows: Vec<RecordBatch> = rows.map(|batch| batch.expect("rows")).collect();
                let same_type = schema == table.schema();
                assert_eq!(hashes(&rows), hashes(&[table]), "{name}");
                if same_type { "comes back".to_owned() } else { format!("comes back as {}", schema.field(0)) }
            }
        };
        writeln!(text, "{name}: {what}").expect("memory");
    }
    expect![[r#"
        interval(year_month): comes back
        interval(day_time): comes back
        interval(month_day_nano): Invalid: the table cannot be written as Parquet: NYI: Attempting to write an Arrow interval type MonthDayNano to parquet that is not yet implemented
        list view: comes back
        run-end encoded: comes back as Field { "x": nullable Utf8 }
        struct<>: Invalid: the table cannot be written as Parquet: Arrow: Parquet does not support writing empty structs
    "#]].assert_eq(&text);
}

#[test]
fn long_rows_are_read_a_few_at_a_time() {
    assert_eq!(batch_rows(0), ROW_GROUP_ROWS);
    assert_eq!(batch_rows(512), ROW_GROUP_ROWS);
    assert_eq!(batch_rows(3_100), 8_192);
    assert_eq!(batch_rows(limits::ROW_BYTES as u64), 32);
    assert_eq!(batch_rows(u64::MAX), 1);
}
