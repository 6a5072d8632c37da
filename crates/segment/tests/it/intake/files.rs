//! Files of every format, whole and damaged.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray},
    compute::concat_batches,
    datatypes::TimestampMicrosecondType,
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions, StreamWriter},
    },
};
use bytes::Bytes;
use expect_test::expect;
use lineate_segment::{
    intake::{FileFormat, ForeignFile, Intake},
    run::batch_bytes,
};
use lineate_types::{ErrorKind, HasKind};
use parquet::{
    arrow::ArrowWriter,
    file::properties::{EnabledStatistics, WriterProperties},
};

use super::{table, times, weather};

fn rows(count: usize) -> RecordBatch {
    let keys: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("K{}", row % 7))));
    let at = times((0..count as i64).map(Some).collect());
    let temp: ArrayRef =
        Arc::new(Float64Array::from_iter((0..count).map(|row| (row % 3 > 0).then_some(row as f64 / 8.0))));
    table(vec![("at", at.clone()), ("known", at), ("origin", keys), ("temp", temp)])
}

fn parquet(batch: &RecordBatch) -> Bytes {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10_000)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
    bytes.into()
}

fn arrow_file(batch: &RecordBatch) -> Bytes {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, batch.schema_ref(), options.expect("lz4"))
        .expect("a writer");
    writer.write(batch).expect("written");
    writer.finish().expect("closed");
    drop(writer);
    bytes.into()
}

fn arrow_stream(batch: &RecordBatch) -> Bytes {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD));
    let mut bytes = Vec::new();
    let mut writer =
        StreamWriter::try_new_with_options(&mut bytes, batch.schema_ref(), options.expect("zstd"))
            .expect("a writer");
    writer.write(batch).expect("written");
    writer.finish().expect("closed");
    drop(writer);
    bytes.into()
}

fn read(bytes: Bytes) -> Result<Vec<RecordBatch>, lineate_segment::Error> {
    let file = ForeignFile::from_bytes("rows", bytes);
    Intake::new(&weather(&[("temp", "float64")])).open(&file)?.collect()
}

#[test]
fn every_format_gives_the_same_rows_in_bounded_batches() {
    let foreign = rows(40_000);
    let intake = Intake::new(&weather(&[("temp", "float64")]));
    let expected = intake.convert(&foreign, 0).expect("rows");
    for (bytes, format) in [
        (parquet(&foreign), FileFormat::Parquet),
        (arrow_file(&foreign), FileFormat::ArrowFile),
        (arrow_stream(&foreign), FileFormat::ArrowStream),
    ] {
        assert_eq!(ForeignFile::from_bytes("rows", bytes.clone()).format().expect("known"), format);
        let batches = read(bytes).expect("rows");
        assert!(batches.iter().all(|batch| batch.num_rows() <= 16_384), "{format}");
        assert_eq!(concat_batches(&expected.schema(), &batches).expect("one schema"), expected, "{format}");
    }
}

#[test]
fn a_file_on_a_disk_reads_as_one_in_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.csv");
    std::fs::write(&path, parquet(&rows(100))).expect("written");
    let file = ForeignFile::open(&path).expect("there");
    let batches =
        Intake::new(&weather(&[("temp", "float64")])).open(&file).expect("parquet, whatever its name");
    assert_eq!(batches.map(|batch| batch.expect("rows").num_rows()).sum::<usize>(), 100);
    let absent = ForeignFile::open(&directory.path().join("absent")).expect_err("absent").to_string();
    assert!(absent.contains("absent: cannot be opened:"), "{absent}");
    assert!(ForeignFile::open(directory.path()).is_err());
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let foreign = rows(300);
    for (whole, step) in [(parquet(&foreign), 7), (arrow_file(&foreign), 7), (arrow_stream(&foreign), 3)] {
        assert!(read(whole.clone()).is_ok());
        for length in (0..whole.len()).step_by(step) {
            let error = read(whole.slice(..length)).expect_err("cut short");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{length}: {error}");
        }
    }
    let error = |bytes: Bytes| read(bytes).expect_err("cut short").to_string();
    expect!["rows: the parquet file is cut short"].assert_eq(&error(parquet(&foreign).slice(..1_000)));
    expect!["rows: the arrow file is cut short"].assert_eq(&error(arrow_file(&foreign).slice(..1_000)));
    expect!["rows: the arrow stream is cut short: its end mark is missing"]
        .assert_eq(&error(arrow_stream(&foreign).slice(..1_000)));
}

#[test]
fn files_without_rows_or_of_other_formats_are_refused() {
    let error = |bytes: Bytes| read(bytes).expect_err("refused").to_string();
    expect!["rows: the file is empty"].assert_eq(&error(Bytes::new()));
    expect!["rows: the file is empty: it holds only blanks"].assert_eq(&error(Bytes::from_static(b" \n\n")));
    for bytes in [parquet(&rows(0)), arrow_file(&rows(0)), arrow_stream(&rows(0))] {
        expect!["rows: there are no rows in the file"].assert_eq(&error(bytes));
    }
    expect!["rows: the file is compressed by gzip; decompress it first"]
        .assert_eq(&error(Bytes::from_static(b"\x1f\x8b\x08\x00")));
    expect!["rows: the file is a json array; write one json object a line instead"]
        .assert_eq(&error(Bytes::from_static(b" [{}]")));
    expect!["rows: the file is of no known format; parquet, arrow, ndjson and csv in UTF-8 are read"]
        .assert_eq(&error(Bytes::from_static(b"\x7fELF\x02\x01\x01\x00")));
    expect!["rows: line 1 is not UTF-8: byte 2 of it is odd"]
        .assert_eq(&error(Bytes::from_static(b"a\xe9,b\n")));
}

#[test]
fn wrong_columns_are_told_before_any_row_is_read() {
    let file = ForeignFile::from_bytes("rows.parquet", parquet(&rows(10)));
    let open = |view| Intake::new(&view).open(&file).expect_err("columns").to_string();
    expect!["rows.parquet: column `temp` is not in view `weather@v1`; did you mean `tmp`?"]
        .assert_eq(&open(weather(&[("tmp", "float64")])));
    expect!["rows.parquet: column `temp`: expected string, found Float64"]
        .assert_eq(&open(weather(&[("temp", "string")])));
}

#[test]
fn a_value_that_is_refused_names_file_row_and_column() {
    let mut view = weather(&[("temp", "float64")]);
    view.created_time = None;
    let keys: ArrayRef =
        Arc::new(StringArray::from_iter((0..20_000).map(|row| (row != 19_999).then(|| format!("K{row}")))));
    let at = times((0..20_000).map(Some).collect());
    let temp: ArrayRef = Arc::new(Float64Array::from(vec![0.5; 20_000]));
    let bytes = parquet(&table(vec![("origin", keys), ("at", at), ("temp", temp)]));
    let file = ForeignFile::from_bytes("rows.parquet", bytes);
    let mut batches = Intake::new(&view).open(&file).expect("the columns fit");
    let error = batches.by_ref().find_map(Result::err).expect("a null key");
    expect!["rows.parquet: row 20000, column `origin`: it may not be null"].assert_eq(&error.to_string());
    assert!(batches.next().is_none(), "nothing comes after an error");
}

/// Twenty texts of 36 kB in a dictionary: a small file, and rows of 295 MB.
#[test]
fn a_small_file_of_long_rows_is_read_a_few_rows_at_a_time() {
    const ROWS: usize = 8_192;
    let rows = |from: usize, to: usize| {
        let text = |row: usize| char::from(b'a' + (row % 20) as u8).to_string().repeat(36_000);
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((from..to).map(text)));
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["JFK"; to - from]));
        let at = times((from as i64..to as i64).map(Some).collect());
        table(vec![("at", at.clone()), ("known", at), ("origin", keys), ("temp", texts)])
    };
    for statistics in [true, false] {
        // Without statistics, as older writers leave them, nothing says how long the values are.
        let enabled = if statistics { EnabledStatistics::Chunk } else { EnabledStatistics::None };
        let properties = WriterProperties::builder().set_statistics_enabled(enabled).build();
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, rows(0, 1).schema(), Some(properties)).expect("a writer");
        for from in (0..ROWS).step_by(512) {
            writer.write(&rows(from, from + 512)).expect("written");
        }
        writer.close().expect("closed");
        assert!(bytes.len() < 4 * 1024 * 1024, "{} bytes", bytes.len());
        let file = ForeignFile::from_bytes("rows.parquet", Bytes::from(bytes));
        let mut read = 0;
        for batch in Intake::new(&weather(&[("temp", "string")])).open(&file).expect("opens") {
            let batch = batch.expect("readable");
            let bytes = batch_bytes(&batch);
            assert!(bytes <= 96 * 1024 * 1024, "{bytes} bytes at once");
            let keys = batch.column_by_name("at").expect("there").as_primitive::<TimestampMicrosecondType>();
            assert_eq!(keys.value(0), read as i64);
            read += batch.num_rows();
        }
        assert_eq!(read, ROWS);
    }
}
