//! Spines: time and keys made canonical, the rest carried along.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMillisecondArray, UInt8Array,
    },
    compute::concat_batches,
    datatypes::{DataType as ArrowType, Field, Int8Type, Int64Type},
};
use bytes::Bytes;
use expect_test::expect;
use lineate_segment::{
    intake::{ForeignFile, SpineIntake},
    schema::timestamp_type,
};
use lineate_types::KeyType;

use super::{NOON_US, table, times};

fn intake() -> SpineIntake {
    let keys = [("origin".to_owned(), KeyType::String), ("flight".to_owned(), KeyType::Int64)];
    SpineIntake::new("at", keys, false).expect("keys")
}

fn read(text: &str) -> Result<RecordBatch, String> {
    let file = ForeignFile::from_bytes("labels", Bytes::from(text.to_owned()));
    let batches = intake().open(&file).map_err(|cause| cause.to_string())?;
    let schema = batches.schema().clone();
    let batches: Result<Vec<_>, _> = batches.collect();
    let batches = batches.map_err(|cause| cause.to_string())?;
    Ok(concat_batches(&schema, &batches).expect("one schema"))
}

fn types(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let fields =
        schema.fields().iter().map(|field: &Arc<Field>| format!("{}: {}", field.name(), field.data_type()));
    fields.collect::<Vec<_>>().join(", ")
}

#[test]
fn columns_beside_time_and_keys_are_carried_unchanged() {
    let dictionary: DictionaryArray<Int8Type> = vec![Some("x"), None].into_iter().collect();
    let label: ArrayRef = Arc::new(UInt8Array::from(vec![Some(1), None]));
    let foreign = table(vec![
        ("label", label.clone()),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![NOON_US / 1_000; 2]).with_timezone("+02:00"))),
        ("note", Arc::new(dictionary.clone())),
        ("flight", Arc::new(Int32Array::from(vec![Some(7), None]))),
        ("origin", Arc::new(StringArray::from(vec![None, Some("JFK")]))),
    ]);
    let spine = intake().convert(&foreign, 0).expect("a spine");
    assert_eq!(spine.schema(), intake().schema(foreign.schema_ref()).expect("a spine"));
    assert_eq!(spine.column(0).to_data(), label.to_data());
    assert_eq!(spine.column(1).to_data(), times(vec![Some(NOON_US); 2]).to_data());
    assert_eq!(spine.column(2).to_data(), dictionary.to_data());
    assert_eq!(spine.column(3).to_data(), Int64Array::from(vec![Some(7), None]).to_data());
    assert!(spine.column(4).is_null(0), "a key may be null");
}

#[test]
fn spines_that_do_not_fit_are_refused() {
    let keys = || -> Vec<(&str, ArrayRef)> {
        vec![
            ("origin", Arc::new(StringArray::from(vec!["JFK"]))),
            ("flight", Arc::new(Int64Array::from(vec![1]))),
        ]
    };
    let with = |more: Vec<(&'static str, ArrayRef)>| table(keys().into_iter().chain(more).collect());
    let error = |foreign: RecordBatch| intake().convert(&foreign, 9).expect_err("refused").to_string();
    expect!["column `at` (timestamp) of the spine is missing; every row carries all columns; it is the time of each label, name another column with `--time`"]
        .assert_eq(&error(with(vec![])));
    expect!["row 10, column `at`: the time may not be null"]
        .assert_eq(&error(with(vec![("at", times(vec![None]))])));
    let naive: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1]));
    assert!(error(with(vec![("at", naive)])).contains("timestamps without one"));
    let at = times(vec![Some(1)]);
    expect!["column `at` is there twice"]
        .assert_eq(&error(with(vec![("at", at.clone()), ("at", at.clone())])));
    let intake = intake().with_outputs(["weather__temp".to_owned()]);
    let clash = with(vec![("at", at.clone()), ("weather__temp", at)]);
    expect!["column `weather__temp` of the spine is also one that the training set adds; rename it"]
        .assert_eq(&intake.convert(&clash, 0).expect_err("clash").to_string());
    let twice = [("id".to_owned(), KeyType::String), ("id".to_owned(), KeyType::Int64)];
    assert!(SpineIntake::new("at", twice, false).is_err());
    assert!(SpineIntake::new("id", [("id".to_owned(), KeyType::Int64)], false).is_err());
}

#[test]
fn csv_spines_get_types_by_their_whole_content() {
    let mut text = String::from("origin,flight,at,late,zip,delay,when,note\n");
    for row in 0..20_000 {
        text += &format!("JFK,{row},{row}us,true,02134,{row},2013-06-01T12:00:00Z,{row}\n");
    }
    text += "LGA,,2013-06-01T12:00:00Z,,10001,0.5,,x\n";
    let spine = read(&text).expect("a spine");
    expect![[r#"origin: Utf8, flight: Int64, at: Timestamp(µs, "UTC"), late: Boolean, zip: Utf8, delay: Float64, when: Timestamp(µs, "UTC"), note: Utf8"#]]
        .assert_eq(&types(&spine));
    assert_eq!(spine.num_rows(), 20_001);
    assert_eq!(spine.column(1).as_primitive::<Int64Type>().value(19_999), 19_999);
    assert!(spine.column(1).is_null(20_000) && spine.column(3).is_null(20_000));
    expect!["labels: line 3, column `at`: the time may not be null"]
        .assert_eq(&read("origin,flight,at\nJFK,1,0us\nJFK,1,\n").expect_err("null"));
    expect!["labels: line 2, column `flight`: expected int64, found `x`"]
        .assert_eq(&read("origin,flight,at\nJFK,x,0us\n").expect_err("key"));
    expect!["labels: column `flight` (int64) of the spine is missing; every row carries all columns; did you mean `fligth`?"]
        .assert_eq(&read("origin,fligth,at\nJFK,1,0us\n").expect_err("name"));
}

#[test]
fn ndjson_spines_get_types_by_their_whole_content() {
    let spine = read(
        r#"{"origin":"JFK","flight":1,"at":"0us","y":1,"tags":["a"],"mixed":1}
{"origin":null,"flight":2,"at":"1us","y":2.5,"tags":null,"mixed":"one"}"#,
    )
    .expect("a spine");
    assert_eq!(
        types(&spine),
        format!(
            "origin: Utf8, flight: Int64, at: {}, y: Float64, tags: Utf8, mixed: {}",
            timestamp_type(),
            ArrowType::Utf8
        )
    );
    assert_eq!(spine.column(5).as_string::<i32>().value(1), "\"one\"");
    expect!["labels: line 2, column `y`: the field is missing; every row carries all columns, null where unknown"].assert_eq(
        &read("{\"origin\":\"a\",\"flight\":1,\"at\":\"0us\",\"y\":1}\n{\"origin\":\"a\",\"flight\":1,\"at\":\"0us\"}")
            .expect_err("missing"),
    );
}
