//! Keys of a request are read as the keys of a load.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::Int32Type;
use expect_test::expect;
use lineate_segment::intake::{ForeignFile, Intake, convert_keys};
use lineate_types::{KeyColumn, KeyType, ViewDefinition};
use proptest::prelude::*;

use super::{table, weather};
use crate::fixture::name;

const TYPES: [KeyType; 7] = [
    KeyType::Bool,
    KeyType::Int64,
    KeyType::String,
    KeyType::Bytes,
    KeyType::Date,
    KeyType::Timestamp,
    KeyType::Uuid,
];

const TEXTS: [&str; 25] = [
    "",
    "true",
    "FALSE",
    "yes",
    "0",
    "+7",
    "-9223372036854775808",
    "9223372036854775808",
    "1.0",
    " 1",
    "AP8=",
    "AP8",
    "?",
    "2013-06-01",
    "2013-06-31",
    "2013-6-1",
    "15857d",
    "2013-06-01T12:00:00Z",
    "2013-06-01T12:00:00+02:00",
    "2013-06-01T12:00:00",
    "2013-06-01T12:00:00.1234567Z",
    "123us",
    "30313233-3435-3637-3839-616263646566",
    "303132333435363738396162636465AF",
    "30313233-3435",
];

fn view(key_type: KeyType, naive_times_are_utc: bool) -> ViewDefinition {
    let keys = vec![KeyColumn { name: name("k"), key_type }];
    ViewDefinition { keys, naive_times_are_utc, ..weather(&[]) }
}

/// The key as a load of a CSV file takes it.
fn loaded(text: &str, key_type: KeyType, naive: bool) -> Option<ArrayRef> {
    let csv = format!("k,at,known\n\"{text}\",0us,\n");
    let file = ForeignFile::from_bytes("rows.csv", csv.into());
    let rows = Intake::new(&view(key_type, naive)).open(&file).ok()?.next()?.ok()?;
    rows.column_by_name("k").cloned()
}

/// The key as a lookup takes it.
fn looked_up(texts: ArrayRef, key_type: KeyType, naive: bool) -> Result<ArrayRef, String> {
    let entities = table(vec![("k", texts)]);
    let keys = convert_keys(&entities, &[(name("k"), key_type)], naive).map_err(|cause| cause.to_string())?;
    Ok(keys.column(0).clone())
}

fn assert_the_same(text: &str) {
    for (key_type, naive) in TYPES.into_iter().flat_map(|key_type| [(key_type, false), (key_type, true)]) {
        let found = looked_up(Arc::new(StringArray::from(vec![text])), key_type, naive).ok();
        let expected = loaded(text, key_type, naive);
        assert_eq!(
            found.map(|column| column.to_data()),
            expected.map(|column| column.to_data()),
            "{key_type} {text:?}, times without a zone {naive}"
        );
    }
}

#[test]
fn a_key_text_is_taken_by_a_lookup_exactly_as_by_a_load() {
    TEXTS.into_iter().for_each(assert_the_same);
}

proptest! {
    #[test]
    fn any_key_text_is_taken_by_both_or_by_neither(text in "[-+0-9TZ:.a-fu=/ ]{0,24}") {
        assert_the_same(&text);
    }
}

#[test]
fn text_of_every_arrow_type_is_read() {
    let texts = ["1", "-2"];
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for column in columns {
        let kind = column.data_type().clone();
        let keys = looked_up(column, KeyType::Int64, false).expect("reads");
        assert_eq!(keys.to_data(), Int64Array::from(vec![1, -2]).to_data(), "{kind}");
    }
}

#[test]
fn a_null_key_stays_null_and_a_wrong_one_is_named() {
    let keys = looked_up(Arc::new(StringArray::from(vec![None, Some("7")])), KeyType::Int64, false);
    assert_eq!(keys.expect("reads").to_data(), Int64Array::from(vec![None, Some(7)]).to_data());
    let wrong = |text: &str| {
        looked_up(Arc::new(StringArray::from(vec!["1", text])), KeyType::Int64, false).expect_err("wrong")
    };
    expect!["row 2, column `k`: expected int64, found `x`"].assert_eq(&wrong("x"));
    expect!["row 2, column `k`: expected int64, found an empty text"].assert_eq(&wrong(""));
    let nothing = RecordBatch::try_from_iter([("j", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let missing = convert_keys(&nothing.expect("a table"), &[(name("k"), KeyType::Int64)], false);
    expect!["column `k` (int64) of the request is missing; every row carries all columns; did you mean `j`?"]
        .assert_eq(&missing.expect_err("missing").to_string());
}
