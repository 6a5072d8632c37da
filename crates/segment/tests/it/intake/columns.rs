//! Arrow columns of every kind.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array,
        Decimal32Array, Decimal128Array, Decimal256Array, DictionaryArray, FixedSizeBinaryArray,
        FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
        LargeBinaryArray, LargeListArray, LargeStringArray, ListArray, ListViewArray, MapArray, NullArray,
        RunArray, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
        TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt64Array,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::concat,
    datatypes::{DataType as ArrowType, Field, Float32Type, Float64Type, Int32Type, Int64Type, i256},
};
use expect_test::expect;
use lineate_segment::intake::Intake;

use super::{NOON_US, convert, foreign, table, times, weather};

fn same(column: impl Array + 'static, wanted: &str, expected: impl Array + 'static) {
    let column: ArrayRef = Arc::new(column);
    let found = convert(column.clone(), wanted).expect(wanted);
    assert_eq!(found.to_data(), expected.to_data(), "{} as {wanted}", column.data_type());
}

fn refused(column: impl Array + 'static, wanted: &str) -> String {
    convert(Arc::new(column), wanted).expect_err(wanted)
}

#[test]
fn integers_of_every_width_are_taken_if_they_fit() {
    same(Int8Array::from(vec![Some(-1), None]), "int64", Int64Array::from(vec![Some(-1), None]));
    same(UInt8Array::from(vec![255]), "int32", Int32Array::from(vec![255]));
    same(UInt64Array::from(vec![i64::MAX as u64]), "int64", Int64Array::from(vec![i64::MAX]));
    same(Int64Array::from(vec![i64::from(i32::MIN)]), "int32", Int32Array::from(vec![i32::MIN]));
    let why = refused(UInt64Array::from(vec![Some(1), None, Some(u64::MAX)]), "int64");
    assert_eq!(why, "row 3, column `temp`: 18446744073709551615 does not fit int64");
    let why = refused(Int64Array::from(vec![1 << 31]), "int32");
    assert_eq!(why, "row 1, column `temp`: 2147483648 does not fit int32");
}

#[test]
fn integers_never_become_floats_nor_floats_integers() {
    expect!["column `temp`: expected float64, found Int64"]
        .assert_eq(&refused(Int64Array::from(vec![1]), "float64"));
    expect!["column `temp`: expected int64, found Float64"]
        .assert_eq(&refused(Float64Array::from(vec![1.0]), "int64"));
    expect!["column `temp`: expected float32, found Float64"]
        .assert_eq(&refused(Float64Array::from(vec![1.0]), "float32"));
}

#[test]
fn floats_keep_every_bit() {
    let bits = [0x7ff0_0000_0000_0001, 0xfff8_dead_beef_0001, 0x8000_0000_0000_0000, 1];
    let floats = Float64Array::from_iter_values(bits.map(f64::from_bits));
    let found = convert(Arc::new(floats), "float64").expect("floats");
    let found = found.as_primitive::<Float64Type>().values().iter().map(|float| float.to_bits());
    assert_eq!(found.collect::<Vec<_>>(), bits);

    let singles = Float32Array::from_iter_values([0x7f80_0001, 0x8000_0000_u32].map(f32::from_bits));
    let found = convert(Arc::new(singles), "float64").expect("floats");
    let found = found.as_primitive::<Float64Type>().values().iter().map(|float| float.to_bits());
    assert_eq!(found.collect::<Vec<_>>(), [0x7ff0_0000_2000_0000, 0x8000_0000_0000_0000]);

    let halves = Float16Array::new(Buffer::from_slice_ref([0x3c00, 0x8000_u16]).into(), None);
    let found = convert(Arc::new(halves), "float32").expect("floats");
    let found = found.as_primitive::<Float32Type>().values().iter().map(|float| float.to_bits());
    assert_eq!(found.collect::<Vec<_>>(), [0x3f80_0000, 0x8000_0000]);
}

#[test]
fn text_and_bytes_are_taken_in_every_layout() {
    let expected = || StringArray::from(vec![Some("a"), None, Some("é")]);
    same(LargeStringArray::from(vec![Some("a"), None, Some("é")]), "string", expected());
    same(StringViewArray::from(vec![Some("a"), None, Some("é")]), "string", expected());
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("é")].into_iter().collect();
    same(dictionary, "string", expected());
    let runs: RunArray<Int32Type> = vec![Some("a"), None, Some("é")].into_iter().collect();
    same(runs, "string", expected());
    let bytes = || BinaryArray::from_opt_vec(vec![Some(b"\xff"), None]);
    same(LargeBinaryArray::from_opt_vec(vec![Some(b"\xff"), None]), "bytes", bytes());
    same(BinaryViewArray::from_iter([Some(b"\xff"), None]), "bytes", bytes());
    let fixed = FixedSizeBinaryArray::try_from_iter([b"\xff"].into_iter()).expect("fixed");
    same(fixed, "bytes", BinaryArray::from_vec(vec![b"\xff"]));
    expect!["column `temp`: expected bytes, found Utf8"].assert_eq(&refused(expected(), "bytes"));
    expect!["column `temp`: expected string, found Binary"].assert_eq(&refused(bytes(), "string"));
}

#[test]
fn dictionaries_of_any_values_are_unpacked() {
    let keys = Int32Array::from(vec![Some(1), Some(0), None]);
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let dictionary = DictionaryArray::try_new(keys, values).expect("dictionary");
    same(dictionary, "int64", Int64Array::from(vec![None, Some(7), None]));
}

#[test]
fn a_long_value_repeated_by_a_dictionary_has_a_bound() {
    let long = "x".repeat(1 << 20);
    let keys = Int32Array::from(vec![0; 1_000]);
    let values: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
    let dictionary = DictionaryArray::try_new(keys, values).expect("dictionary");
    expect!["bytes of a column once unpacked: 1048576000 is more than the 536870912 allowed"]
        .assert_eq(&refused(dictionary, "string"));
}

#[test]
fn a_column_of_the_null_type_is_all_null() {
    for wanted in ["int64", "string", "vector<float32,2>", "struct<a:int64>", "map<string,int64>", "uuid"] {
        assert_eq!(convert(Arc::new(NullArray::new(3)), wanted).expect(wanted).null_count(), 3);
    }
}

#[test]
fn timestamps_become_microseconds_utc_or_are_refused() {
    let expected = || TimestampMicrosecondArray::from(vec![Some(NOON_US), None]).with_timezone("UTC");
    let zoned = |zone: &str| TimestampMicrosecondArray::from(vec![Some(NOON_US), None]).with_timezone(zone);
    same(zoned("UTC"), "timestamp", expected());
    same(zoned("America/New_York"), "timestamp", expected());
    let seconds = TimestampSecondArray::from(vec![Some(NOON_US / 1_000_000), None]).with_timezone("+02:00");
    same(seconds, "timestamp", expected());
    let millis = TimestampMillisecondArray::from(vec![Some(NOON_US / 1_000), None]).with_timezone("UTC");
    same(millis, "timestamp", expected());
    let nanos = TimestampNanosecondArray::from(vec![Some(NOON_US * 1_000), None]).with_timezone("UTC");
    same(nanos, "timestamp", expected());
    expect!["row 1, column `temp`: 1370088000000000001 ns is finer than a microsecond; round it before"]
        .assert_eq(&refused(
            TimestampNanosecondArray::from(vec![NOON_US * 1_000 + 1]).with_timezone("UTC"),
            "timestamp",
        ));
    expect!["row 2, column `temp`: 9223372036854775807 s does not fit 64 bits of microseconds"]
        .assert_eq(&refused(TimestampSecondArray::from(vec![0, i64::MAX]).with_timezone("UTC"), "timestamp"));
    expect!["column `temp`: expected timestamps with a time zone, found timestamps without one; write them with a zone, or say `naive_times: utc` in the view"]
        .assert_eq(&refused(TimestampMicrosecondArray::from(vec![NOON_US]), "timestamp"));
    expect!["column `temp`: expected timestamp, found Date32"]
        .assert_eq(&refused(Date32Array::from(vec![1]), "timestamp"));
}

#[test]
fn zoneless_times_are_utc_where_the_view_says_so() {
    let mut view = weather(&[]);
    view.naive_times_are_utc = true;
    let naive: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![NOON_US / 1_000]));
    let rows = table(vec![
        ("origin", Arc::new(StringArray::from(vec!["JFK"]))),
        ("at", naive.clone()),
        ("known", naive),
    ]);
    let batch = Intake::new(&view).convert(&rows, 0).expect("naive times");
    assert_eq!(batch.column(1).to_data(), times(vec![Some(NOON_US)]).to_data());
}

#[test]
fn dates_are_whole_days() {
    let day_ms = 86_400_000;
    same(Date64Array::from(vec![-day_ms, 2 * day_ms]), "date", Date32Array::from(vec![-1, 2]));
    expect!["row 2, column `temp`: 1 ms is not a whole day"]
        .assert_eq(&refused(Date64Array::from(vec![0, 1]), "date"));
}

#[test]
fn uuids_come_from_bytes_or_text() {
    let uuid = || FixedSizeBinaryArray::try_from_iter([*b"0123456789abcdef"].into_iter()).expect("uuid");
    same(uuid(), "uuid", uuid());
    same(StringArray::from(vec!["30313233-3435-3637-3839-616263646566"]), "uuid", uuid());
    same(BinaryViewArray::from_iter([Some(b"0123456789abcdef")]), "uuid", uuid());
    expect!["row 1, column `temp`: expected the 16 bytes of a uuid, found 1"]
        .assert_eq(&refused(BinaryArray::from_vec(vec![b"0"]), "uuid"));
    expect!["row 1, column `temp`: expected a uuid such as 123e4567-e89b-12d3-a456-426614174000, found `x`"]
        .assert_eq(&refused(StringViewArray::from(vec!["x"]), "uuid"));
    let short = FixedSizeBinaryArray::try_from_iter([*b"0123"].into_iter()).expect("short");
    expect!["column `temp`: expected uuid (16 bytes or text), found FixedSizeBinary(4)"]
        .assert_eq(&refused(short, "uuid"));
}

#[test]
fn json_is_checked_and_kept_as_given() {
    let text = || StringArray::from(vec![Some(" {\"b\": 1.0, \"a\": [null]} "), None]);
    same(text(), "json", text());
    expect!["row 2, column `temp`: `{\"a\":}` is not JSON: expected value at line 1 column 6"]
        .assert_eq(&refused(StringArray::from(vec!["1", "{\"a\":}"]), "json"));
}

#[test]
fn decimals_rescale_only_exactly() {
    let expected = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).expect("fits");
    let wider = Decimal128Array::from(vec![15_000]).with_precision_and_scale(20, 4).expect("fits");
    same(wider, "decimal(5,2)", expected.clone());
    let narrow = Decimal32Array::from(vec![15]).with_precision_and_scale(3, 1).expect("fits");
    same(narrow, "decimal(5,2)", expected.clone());
    let widest = Decimal256Array::from(vec![i256::from_i128(150_000)]);
    let widest = widest.with_precision_and_scale(70, 5).expect("fits");
    same(widest, "decimal(5,2)", expected);
    let fine = Decimal128Array::from(vec![15_001]).with_precision_and_scale(20, 4).expect("fits");
    expect!["row 1, column `temp`: the number has more than the 2 digits after the point that are kept"]
        .assert_eq(&refused(fine, "decimal(5,2)"));
    let long = Decimal128Array::from(vec![1_000]).with_precision_and_scale(4, 0).expect("fits");
    expect!["row 1, column `temp`: the number has more digits than decimal(5,2) holds"]
        .assert_eq(&refused(long, "decimal(5,2)"));
    expect!["column `temp`: expected decimal(5,2), found Int64"]
        .assert_eq(&refused(Int64Array::from(vec![1]), "decimal(5,2)"));
}

fn item(data_type: ArrowType) -> Arc<Field> {
    Arc::new(Field::new("element", data_type, true))
}

#[test]
fn lists_are_taken_in_every_layout() {
    let expected = || {
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])])
    };
    let large = LargeListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    same(large, "list<int64>", expected());
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(9), None, Some(1)]));
    let views = ListViewArray::try_new(
        item(ArrowType::Int64),
        ScalarBuffer::from(vec![2, 0, 0]),
        ScalarBuffer::from(vec![1, 3, 0]),
        values,
        Some(NullBuffer::from(vec![true, false, true])),
    )
    .expect("views");
    let one =
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![])]);
    same(views, "list<int64>", one);
    let sliced: ArrayRef = Arc::new(expected());
    let found = convert(sliced.slice(1, 2), "list<int64>").expect("lists");
    assert_eq!(found.to_data(), sliced.slice(1, 2).to_data());
    let bad = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![]),
        Some(vec![Some(0), Some(1 << 40)]),
    ]);
    expect!["row 2, column `temp[]`: 1099511627776 does not fit int32"]
        .assert_eq(&refused(bad, "list<int32>"));
    expect!["column `temp`: expected list<int64>, found Int64"]
        .assert_eq(&refused(Int64Array::from(vec![1]), "list<int64>"));
}

#[test]
fn garbage_under_nulls_is_no_value() {
    // The second list is null, and holds a value that would be refused.
    let lists = ListArray::try_new(
        item(ArrowType::Int64),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 2, 3])),
        Arc::new(Int64Array::from(vec![1, 1 << 40, 3])),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let expected = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1)]),
        None,
        Some(vec![Some(3)]),
    ]);
    same(lists.expect("lists"), "list<int32>", expected);

    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 1 << 40]));
    let fields = vec![Field::new("a", ArrowType::Int64, true)].into();
    let structs = StructArray::try_new(fields, vec![numbers], Some(NullBuffer::from(vec![true, false])));
    let found = convert(Arc::new(structs.expect("structs")), "struct<a:int32>").expect("structs");
    assert_eq!(found.as_struct().column(0).null_count(), 1);
}

#[test]
fn vectors_have_their_length_and_no_null_elements() {
    let fixed = |values: Vec<Option<f32>>, nulls: Option<Vec<bool>>| {
        let field = item(ArrowType::Float32);
        let values = Arc::new(Float32Array::from(values));
        FixedSizeListArray::try_new(field, 2, values, nulls.map(NullBuffer::from)).expect("vectors")
    };
    let found = convert(
        Arc::new(fixed(
            vec![Some(1.0), Some(2.0), None, Some(9.0), Some(3.0), Some(4.0)],
            Some(vec![true, false, true]),
        )),
        "vector<float32,2>",
    )
    .expect("vectors");
    let vectors = found.as_fixed_size_list();
    assert_eq!(vectors.values().as_primitive::<Float32Type>().values(), &[1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    assert!(vectors.is_null(1) && vectors.values().null_count() == 0);

    let lists =
        ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(1.0), Some(2.0)]), None]);
    let found = convert(Arc::new(lists), "vector<float64,2>").expect("vectors");
    assert_eq!(found.as_fixed_size_list().value(0).as_primitive::<Float64Type>().values(), &[1.0, 2.0]);
    let all_null =
        convert(Arc::new(fixed(vec![None, None], Some(vec![false]))), "vector<float32,2>").expect("null");
    assert_eq!(all_null.null_count(), 1);

    expect!["row 2, column `temp[]`: a vector has no null elements"]
        .assert_eq(&refused(fixed(vec![Some(1.0), Some(2.0), Some(3.0), None], None), "vector<float32,2>"));
    let ragged = ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(1.0)])]);
    expect!["row 1, column `temp`: expected 2 elements, found 1"]
        .assert_eq(&refused(ragged, "vector<float32,2>"));
    let why = refused(fixed(vec![Some(1.0), Some(2.0)], None), "vector<float32,3>");
    assert!(why.contains("expected vector<float32,3>, found FixedSizeList"), "{why}");
}

fn map(keys: Vec<&str>, values: Vec<Option<i32>>, ends: Vec<i32>) -> MapArray {
    let fields = vec![Field::new("key", ArrowType::Utf8, false), Field::new("value", ArrowType::Int32, true)];
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(Int32Array::from(values))];
    let entries = StructArray::try_new(fields.into(), columns, None).expect("entries");
    let field = Arc::new(Field::new("key_value", entries.data_type().clone(), false));
    MapArray::try_new(field, OffsetBuffer::new(ScalarBuffer::from(ends)), entries, None, false).expect("map")
}

#[test]
fn maps_keep_the_order_of_their_entries_and_have_no_key_twice() {
    let found = convert(
        Arc::new(map(vec!["b", "a", "b"], vec![Some(1), None, Some(2)], vec![0, 2, 3])),
        "map<string,int64>",
    )
    .expect("maps");
    let found = found.as_map();
    assert_eq!(found.keys().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["b", "a", "b"]);
    assert_eq!(found.value_offsets(), [0, 2, 3]);
    expect!["row 2, column `temp`: the key `a` occurs twice in a map"]
        .assert_eq(&refused(map(vec!["a", "a", "a"], vec![None; 3], vec![0, 1, 3]), "map<string,int64>"));
    let why = refused(map(vec!["a"], vec![None], vec![0, 1]), "map<string,string>");
    assert_eq!(why, "column `temp.values`: expected string, found Int32");
}

#[test]
fn structs_match_by_field_name() {
    let a: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let b: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let fields = vec![Field::new("b", ArrowType::Utf8, true), Field::new("a", ArrowType::Int64, true)];
    let structs =
        || StructArray::try_new(fields.clone().into(), vec![b.clone(), a.clone()], None).expect("structs");
    let found = convert(Arc::new(structs()), "struct<a:int64,b:string>").expect("structs");
    assert_eq!(found.as_struct().column_names(), ["a", "b"]);
    expect!["column `temp`: expected struct<a:int64,b:string,c:int64>, found a struct without field `c`"]
        .assert_eq(&refused(structs(), "struct<a:int64,b:string,c:int64>"));
    expect!["column `temp`: field `b` is not in struct<a:int64>; did you mean `a`?"]
        .assert_eq(&refused(structs(), "struct<a:int64>"));
    expect!["column `temp.b`: expected int64, found Utf8"]
        .assert_eq(&refused(structs(), "struct<a:int64,b:int64>"));
}

#[test]
fn names_that_do_not_fit_are_named_with_the_nearest() {
    let intake = Intake::new(&weather(&[("temp", "int64"), ("wind_dir", "float64")]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let float: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let error = |columns| intake.convert(&foreign(columns), 0).expect_err("names").to_string();
    expect!["column `tmp` is not in view `weather@v1`; did you mean `temp`?"]
        .assert_eq(&error(vec![("tmp", number.clone()), ("wind_dir", float.clone())]));
    expect!["column `humidity` is not in view `weather@v1`"].assert_eq(&error(vec![
        ("temp", number.clone()),
        ("wind_dir", float.clone()),
        ("humidity", float.clone()),
    ]));
    expect!["column `wind_dir` (float64) of view `weather@v1` is missing; every row carries all columns"]
        .assert_eq(&error(vec![("temp", number.clone())]));
    expect!["column `temp` is there twice"].assert_eq(&error(vec![
        ("temp", number.clone()),
        ("temp", number.clone()),
        ("wind_dir", float.clone()),
    ]));
    let schema = foreign(vec![("temp", float)]).schema();
    assert!(intake.check_schema(&schema).is_err());
}

#[test]
fn keys_and_event_times_are_never_null() {
    let intake = Intake::new(&weather(&[]));
    let rows = |keys: Vec<Option<&str>>, at: Vec<Option<i64>>| {
        let keys: ArrayRef = Arc::new(StringArray::from(keys));
        let known = times(vec![None; at.len()]);
        intake.convert(&table(vec![("origin", keys), ("at", times(at)), ("known", known)]), 100)
    };
    assert!(rows(vec![Some("JFK")], vec![Some(1)]).is_ok());
    expect!["row 102, column `origin`: it may not be null"]
        .assert_eq(&rows(vec![Some("JFK"), None], vec![Some(1), Some(1)]).expect_err("null key").to_string());
    expect!["row 101, column `at`: it may not be null"]
        .assert_eq(&rows(vec![Some("JFK")], vec![None]).expect_err("null time").to_string());
}

#[test]
fn the_tombstone_mark_may_be_absent_or_null() {
    let intake = Intake::new(&weather(&[("temp", "int64")]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![None, None, None]));
    let marks: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
    let deleted = |columns| {
        let batch = intake.convert(&foreign(columns), 0).expect("rows");
        batch.column(intake.schema().deleted()).as_boolean().values().iter().collect::<Vec<_>>()
    };
    assert_eq!(deleted(vec![("temp", number.clone()), ("__deleted", marks)]), [true, false, false]);
    assert_eq!(deleted(vec![("temp", number.clone())]), [false, false, false]);
    let null: ArrayRef = Arc::new(NullArray::new(3));
    assert_eq!(deleted(vec![("temp", number.clone()), ("__deleted", null)]), [false, false, false]);
    let error = intake.convert(&foreign(vec![("temp", number.clone()), ("__deleted", number)]), 0);
    expect!["column `__deleted`: expected bool, found Int64"]
        .assert_eq(&error.expect_err("mark").to_string());
}

#[test]
fn rows_and_keys_have_a_greatest_size() {
    let intake = Intake::new(&weather(&[("temp", "list<string>")]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
    let lists = ListArray::try_new(item(ArrowType::Utf8), OffsetBuffer::from_lengths([0, 1]), text, None);
    let error = intake.convert(&foreign(vec![("temp", Arc::new(lists.expect("lists")))]), 0);
    expect!["row 2 takes 1048608 bytes; a row has at most 1048576"]
        .assert_eq(&error.expect_err("too long").to_string());

    let intake = Intake::new(&weather(&[]));
    let key = |length: usize| -> ArrayRef { Arc::new(StringArray::from(vec!["k".repeat(length)])) };
    let rows = |key| table(vec![("origin", key), ("at", times(vec![Some(1)])), ("known", times(vec![None]))]);
    assert!(intake.convert(&rows(key(4_092)), 0).is_ok());
    expect!["row 1: the entity key takes 4097 bytes; at most 4096 are allowed"]
        .assert_eq(&intake.convert(&rows(key(4_093)), 0).expect_err("too long").to_string());
}

#[test]
fn slices_convert_as_their_rows() {
    let column: ArrayRef = Arc::new(Int8Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let whole = convert(column.clone(), "int64").expect("numbers");
    let parts = [convert(column.slice(0, 1), "int64"), convert(column.slice(1, 3), "int64")];
    let parts: Vec<ArrayRef> = parts.into_iter().map(|part| part.expect("numbers")).collect();
    let joined = concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).expect("joined");
    assert_eq!(joined.to_data(), whole.to_data());
}
