//! Hostile bytes: errors, never panics, never more memory than the bytes warrant.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray,
        StructArray,
    },
    datatypes::{Field, Int32Type, Int64Type, Schema},
    ipc::writer::{
        DictionaryHandling, DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
        StreamWriter,
    },
};
use bytes::Bytes;
use expect_test::expect;
use lineate_segment::intake::{ForeignFile, Intake, IpcDecoder, IpcLimits, decode_ipc_stream, encode_ipc};
use proptest::prelude::*;

use super::{foreign, table, weather};

/// Every layout a push may use, in few bytes.
fn pushed() -> RecordBatch {
    let dictionary: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![])]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let fields = vec![Field::new("a", inner.data_type().clone(), true)];
    let structs = StructArray::try_new(fields.into(), vec![inner], None).expect("structs");
    table(vec![
        ("di", Arc::new(dictionary)),
        ("li", Arc::new(list)),
        ("sr", Arc::new(structs)),
        ("st", Arc::new(StringArray::from(vec![Some("x"), None, Some("yz")]))),
        ("vi", Arc::new(StringViewArray::from(vec!["a value longer than twelve bytes", "", "b"]))),
    ])
}

fn compressed(batch: &RecordBatch, codec: arrow::ipc::CompressionType) -> Bytes {
    let options = IpcWriteOptions::default().try_with_compression(Some(codec)).expect("a codec");
    let mut bytes = Vec::new();
    let mut writer =
        StreamWriter::try_new_with_options(&mut bytes, batch.schema_ref(), options).expect("a writer");
    writer.write(batch).expect("written");
    writer.finish().expect("closed");
    drop(writer);
    bytes.into()
}

#[test]
fn a_batch_decodes_to_itself_and_encodes_alike() {
    let batch = pushed();
    let bytes = encode_ipc(&batch).expect("encoded");
    assert_eq!(bytes, encode_ipc(&batch).expect("encoded"));
    let (schema, batches) = decode_ipc_stream(&bytes, IpcLimits::PUSH).expect("decoded");
    assert_eq!((schema, batches), (batch.schema(), vec![batch]));
}

#[test]
fn canonical_batches_pass_through_ipc_unchanged() {
    let intake = Intake::new(&weather(&[("id", "uuid"), ("doc", "json"), ("emb", "vector<float32,2>")]));
    let null = || -> ArrayRef { Arc::new(arrow::array::NullArray::new(1)) };
    let rows = foreign(vec![("id", null()), ("doc", null()), ("emb", null())]);
    let batch = intake.convert(&rows, 0).expect("canonical");
    let (_, batches) =
        decode_ipc_stream(&encode_ipc(&batch).expect("encoded"), IpcLimits::PUSH).expect("decoded");
    assert_eq!(batches, [batch]);
}

#[test]
fn every_flipped_bit_of_a_stream_gives_an_answer_or_an_error() {
    let plain = encode_ipc(&pushed()).expect("encoded");
    let intake = Intake::new(&weather(&[("temp", "int64")]));
    for bit in 0..plain.len() * 8 {
        let mut bytes = plain.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok((schema, batches)) = decode_ipc_stream(&Bytes::from(bytes), IpcLimits::PUSH) {
            let _ = intake.check_schema(&schema);
            for batch in batches {
                let _ = intake.convert(&batch, 0);
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_a_compressed_stream_gives_an_answer_or_an_error() {
    for codec in [arrow::ipc::CompressionType::LZ4_FRAME, arrow::ipc::CompressionType::ZSTD] {
        let whole = compressed(&pushed(), codec);
        assert!(decode_ipc_stream(&whole, IpcLimits::PUSH).is_ok());
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0xff;
            let _ = decode_ipc_stream(&Bytes::from(bytes), IpcLimits::PUSH);
        }
    }
}

#[test]
fn a_stream_cut_short_anywhere_is_refused() {
    let whole = encode_ipc(&pushed()).expect("encoded");
    for length in 0..whole.len() {
        assert!(decode_ipc_stream(&whole.slice(..length), IpcLimits::PUSH).is_err(), "{length}");
    }
    let longer: Bytes = [whole.as_ref(), b"x"].concat().into();
    expect!["1 bytes follow the end of the arrow stream"]
        .assert_eq(&decode_ipc_stream(&longer, IpcLimits::PUSH).expect_err("longer").to_string());
}

#[test]
fn what_a_stream_may_hold_has_bounds() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; 70_000]));
    let bytes = encode_ipc(&table(vec![("a", numbers)])).expect("encoded");
    expect!["rows of an arrow batch: 70000 is more than the 65536 allowed"]
        .assert_eq(&decode_ipc_stream(&bytes, IpcLimits::PUSH).expect_err("rows").to_string());

    let zeros: ArrayRef = Arc::new(Int64Array::from(vec![0; 60_000]));
    let columns: Vec<_> = (0..10).map(|_| ("a", zeros.clone())).collect();
    let limits = IpcLimits { bytes: 1024 * 1024, ..IpcLimits::PUSH };
    for codec in [arrow::ipc::CompressionType::LZ4_FRAME, arrow::ipc::CompressionType::ZSTD] {
        let bytes = compressed(&table(columns.clone()), codec);
        assert!(bytes.len() < 64 * 1024);
        let error = decode_ipc_stream(&bytes, limits).expect_err("too large").to_string();
        assert!(error.starts_with("bytes of an arrow message once decompressed"), "{error}");
    }

    let fields: Vec<Field> =
        (0..20_000).map(|at| Field::new(format!("c{at}"), arrow::datatypes::DataType::Null, true)).collect();
    let bytes = encode_ipc(&RecordBatch::new_empty(Arc::new(Schema::new(fields)))).expect("encoded");
    let error = decode_ipc_stream(&bytes, IpcLimits::PUSH).expect_err("fields").to_string();
    assert!(error.starts_with("fields of an arrow schema: 20000"), "{error}");

    let mut deep = arrow::datatypes::DataType::Int64;
    for _ in 0..40 {
        deep = arrow::datatypes::DataType::List(Arc::new(Field::new("item", deep, true)));
    }
    let schema = Arc::new(Schema::new(vec![Field::new("a", deep.clone(), true)]));
    let bytes = encode_ipc(&RecordBatch::new_empty(schema.clone())).expect("encoded");
    expect!["arrow data is damaged: its types nest deeper than 32"]
        .assert_eq(&decode_ipc_stream(&bytes, IpcLimits::PUSH).expect_err("deep").to_string());
    expect!["column `a`: its type nests deeper than 32"]
        .assert_eq(&Intake::new(&weather(&[])).check_schema(&schema).expect_err("deep").to_string());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), magic in 0_usize..5) {
        let magic: &[u8] = [&b""[..], b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"{"][magic];
        let mut all = magic.to_vec();
        all.extend(&bytes);
        let _ = decode_ipc_stream(&Bytes::from(all.clone()), IpcLimits::PUSH);
        if magic.len() < 8 {
            all.extend(magic);
        }
        let file = ForeignFile::from_bytes("rows", Bytes::from(all));
        if let Ok(batches) = Intake::new(&weather(&[("temp", "float64")])).open(&file) {
            prop_assert!(batches.take(1_000).any(|batch| batch.is_err()));
        }
    }

    #[test]
    fn no_flipped_bytes_of_a_file_panic(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let batch = foreign(vec![("temp", Arc::new(arrow::array::Float64Array::from(vec![0.5; 50])))]);
        let mut parquet = Vec::new();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(&mut parquet, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        let mut arrow = Vec::new();
        let mut writer =
            arrow::ipc::writer::FileWriter::try_new(&mut arrow, batch.schema_ref()).expect("a writer");
        writer.write(&batch).expect("written");
        writer.finish().expect("closed");
        drop(writer);
        for mut bytes in [parquet, arrow] {
            for (at, mask) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            let file = ForeignFile::from_bytes("rows", Bytes::from(bytes));
            if let Ok(batches) = Intake::new(&weather(&[("temp", "float64")])).open(&file) {
                for batch in batches.take(1_000) {
                    let _ = batch;
                }
            }
        }
    }
}

/// The messages of a stream whose dictionary grows by one value with each batch: header and body.
fn growing(batches: usize) -> Vec<(Vec<u8>, Bytes)> {
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let values: Vec<String> = (0..batches).map(|value| format!("value {value}")).collect();
    let batch = |known: usize| {
        let keys = arrow::array::Int32Array::from(vec![known as i32 - 1]);
        let values = StringArray::from_iter_values(values.iter().take(known));
        let column = DictionaryArray::try_new(keys, Arc::new(values)).expect("a dictionary");
        table(vec![("di", Arc::new(column))])
    };
    let (generator, mut tracker) = (IpcDataGenerator::default(), DictionaryTracker::new(false));
    let schema =
        generator.schema_to_bytes_with_dictionary_tracker(batch(1).schema_ref(), &mut tracker, &options);
    let mut messages = vec![(schema.ipc_message, Bytes::new())];
    for known in 1..=batches {
        let mut context = IpcWriteContext::default();
        let (dictionaries, rows) =
            generator.encode(&batch(known), &mut tracker, &options, &mut context).expect("encoded");
        let encoded = dictionaries.into_iter().chain([rows]);
        messages.extend(encoded.map(|message| (message.ipc_message, message.arrow_data.into())));
    }
    messages
}

#[test]
fn a_stream_without_an_end_has_bounded_messages_and_any_number_of_them() {
    let mut decoder = IpcDecoder::new(IpcLimits::PUSH.open_ended());
    let mut rows = 0;
    let messages = growing(100);
    for (header, body) in &messages {
        rows += decoder.message(header, body.clone()).expect("decoded").map_or(0, |batch| batch.num_rows());
    }
    // One schema, then a dictionary or a delta before each batch.
    assert_eq!((rows, messages.len()), (100, 201));
    let (header, body) = messages.last().expect("a batch");
    for _ in 0..=lineate_types::limits::BATCH_ROWS {
        assert!(decoder.message(header, body.clone()).expect("decoded").is_some());
    }
    let (header, body) = &messages[1];
    for _ in 0..=lineate_types::limits::BATCH_ROWS {
        assert!(decoder.message(header, body.clone()).expect("decoded").is_none());
    }
}

#[test]
fn what_is_held_of_dictionaries_is_bounded_however_they_came() {
    let limits = IpcLimits { bytes: 1024, ..IpcLimits::PUSH };
    let mut decoder = IpcDecoder::new(limits.open_ended());
    let refused =
        growing(2_000).iter().find_map(|(header, body)| decoder.message(header, body.clone()).err());
    expect!["bytes of the dictionaries of an arrow stream: 1025 is more than the 1024 allowed"]
        .assert_eq(&refused.expect("too many bytes").to_string());
}
