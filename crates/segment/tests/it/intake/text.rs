//! CSV and NDJSON.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Decimal128Type, Float32Type, Float64Type, Int64Type, TimestampMicrosecondType},
    util::display::array_value_to_string,
};
use expect_test::expect;
use lineate_segment::intake::Intake;

use super::{NOON_US, read_text, weather};

fn one(batches: Result<Vec<RecordBatch>, String>) -> RecordBatch {
    let batches = batches.expect("rows");
    assert_eq!(batches.len(), 1);
    batches.into_iter().next().expect("one")
}

pub(super) const ALL: &[(&str, &str)] = &[
    ("bo", "bool"),
    ("i32", "int32"),
    ("i64", "int64"),
    ("f32", "float32"),
    ("f64", "float64"),
    ("st", "string"),
    ("by", "bytes"),
    ("ti", "timestamp"),
    ("da", "date"),
    ("uu", "uuid"),
    ("js", "json"),
    ("de", "decimal(38,9)"),
    ("li", "list<int64>"),
    ("ma", "map<string,float64>"),
    ("sr", "struct<a:int64,b:string>"),
    ("ve", "vector<float32,2>"),
];

#[test]
fn ndjson_and_csv_give_the_same_rows_for_every_type() {
    let view = weather(ALL);
    let json = r#"{"origin":"JFK","at":"2013-06-01T14:00:00+02:00","known":null,"bo":true,"i32":-1,"i64":9007199254740993,"f32":0.1,"f64":-0.0,"st":"a\"b","by":"/w==","ti":"2013-06-01T12:00:00.000001Z","da":"2013-06-01","uu":"123e4567-e89b-12d3-a456-426614174000","js":{"b" : 1.0},"de":12345678901234567890123456789.123456789,"li":[1,null],"ma":{"z":1.5,"a":null},"sr":{"b":"x","a":1},"ve":[1,2.5]}

{"origin":"LGA","at":"0us","known":"1us","bo":null,"i32":null,"i64":null,"f32":null,"f64":null,"st":null,"by":null,"ti":null,"da":null,"uu":null,"js":null,"de":null,"li":null,"ma":null,"sr":null,"ve":null}
"#;
    let csv = "origin,at,known,bo,i32,i64,f32,f64,st,by,ti,da,uu,js,de,li,ma,sr,ve\r\n\
        JFK,2013-06-01T14:00:00+02:00,,TRUE,-1,9007199254740993,0.1,-0.0,\"a\"\"b\",/w==,2013-06-01T12:00:00.000001Z,2013-06-01,123e4567-e89b-12d3-a456-426614174000,\"{\"\"b\"\" : 1.0}\",12345678901234567890123456789.123456789,\"[1,null]\",\"{\"\"z\"\":1.5,\"\"a\"\":null}\",\"{\"\"b\"\":\"\"x\"\",\"\"a\"\":1}\",\"[1,2.5]\"\r\n\
        \r\n\
        LGA,0us,1us,,,,,,,,,,,,,,,,";
    let from_json = one(read_text(&view, json));
    let from_csv = one(read_text(&view, csv));
    assert_eq!(from_json, from_csv);
    Intake::new(&view).schema().check(&from_json).expect("canonical");
    let column = |name: &str| from_json.column_by_name(name).expect("there");
    assert_eq!(column("i64").as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
    assert_eq!(column("f32").as_primitive::<Float32Type>().value(0).to_bits(), 0.1_f32.to_bits());
    assert_eq!(column("f64").as_primitive::<Float64Type>().value(0).to_bits(), (-0.0_f64).to_bits());
    assert_eq!(column("js").as_string::<i32>().value(0), "{\"b\" : 1.0}");
    let decimal = column("de").as_primitive::<Decimal128Type>().value(0);
    assert_eq!(decimal, 12_345_678_901_234_567_890_123_456_789_123_456_789);
    assert_eq!(column("ti").as_primitive::<TimestampMicrosecondType>().value(0), NOON_US + 1);
    assert!(ALL.iter().all(|(name, _)| column(name).is_null(1)), "the second row is null");
    let nested =
        ["li", "ma", "sr", "ve"].map(|name| array_value_to_string(column(name), 0).expect("printed"));
    assert_eq!(nested, ["[1, ]", "{z: 1.5, a: }", "{a: 1, b: x}", "[1.0, 2.5]"]);
}

#[test]
fn what_json_has_no_number_for_is_a_string() {
    let view = weather(&[("temp", "float64"), ("dec", "decimal(20,2)")]);
    let rows = r#"{"origin":"a","at":"0us","known":null,"temp":"NaN","dec":"1.50"}
{"origin":"a","at":"0us","known":null,"temp":"-Infinity","dec":1.5}"#;
    let batch = one(read_text(&view, rows));
    let temp = batch.column(3).as_primitive::<Float64Type>();
    assert!(temp.value(0).is_nan() && temp.value(1) == f64::NEG_INFINITY);
    assert_eq!(batch.column(4).as_primitive::<Decimal128Type>().values(), &[150, 150]);
}

#[test]
fn an_empty_csv_field_is_null_and_a_quoted_one_an_empty_string() {
    let view = weather(&[("st", "string"), ("by", "bytes"), ("nu", "int64")]);
    let batch = one(read_text(&view, "origin,at,known,st,by,nu\nJFK,0us,,,,\nJFK,0us,\"\",\"\",\"\",\"\"\n"));
    let nulls = |name: &str| {
        let column = batch.column_by_name(name).expect("there");
        (column.is_null(0), column.is_null(1))
    };
    assert_eq!(nulls("st"), (true, false));
    assert_eq!(nulls("by"), (true, false));
    assert_eq!(nulls("nu"), (true, true));
    assert_eq!(nulls("known"), (true, true));
}

#[test]
fn a_tombstone_needs_no_features_in_ndjson() {
    let view = weather(&[("temp", "int64")]);
    let batch = one(read_text(&view, r#"{"origin":"a","at":"0us","known":null,"__deleted":true}"#));
    assert!(batch.column(3).is_null(0));
    assert!(batch.column(4).as_boolean().value(0));
    let error = read_text(&view, r#"{"origin":"a","at":"0us","known":null,"__deleted":false}"#);
    assert!(error.expect_err("missing").contains("column `temp`: the field is missing"));
}

#[test]
fn columns_may_come_in_any_order_with_a_byte_order_mark() {
    let view = weather(&[("temp", "int64")]);
    let batch = one(read_text(&view, "\u{feff}temp,__deleted,known,at,origin\n1,true,,0us,JFK"));
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "JFK");
    assert!(batch.column(4).as_boolean().value(0));
}

#[test]
fn csv_that_is_wrong_says_line_column_and_type() {
    let view = weather(&[("temp", "int64"), ("st", "string")]);
    let error = |text: &str| read_text(&view, text).expect_err(text);
    let rows = |row: &str| error(&format!("origin,at,known,temp,st\nJFK,0us,,1,\"x\ny\"\n{row}\n"));
    expect!["rows.txt: line 4, column `temp`: expected int64, found `1.5`"]
        .assert_eq(&rows("JFK,0us,,1.5,x"));
    expect!["rows.txt: line 4, column `temp`: `9223372036854775808` does not fit int64"]
        .assert_eq(&rows("JFK,0us,,9223372036854775808,x"));
    expect!["rows.txt: line 4, column `origin`: it may not be null"].assert_eq(&rows(",0us,,1,x"));
    expect!["rows.txt: line 4, column `at`: it may not be null"].assert_eq(&rows("JFK,,,1,x"));
    expect!["rows.txt: line 4 has 4 fields; the header has 5"].assert_eq(&rows("JFK,0us,,1"));
    expect!["rows.txt: line 4: text after the closing quote of a field"].assert_eq(&rows("\"J\"FK,0us,,1,x"));
    let why = rows("JFK,2013-06-01T12:00:00,,1,x");
    assert!(why.starts_with("rows.txt: line 4, column `at`: `2013-06-01T12:00:00` is not a time"), "{why}");
    expect!["rows.txt: column `tmp` is not in view `weather@v1`; did you mean `temp`?"]
        .assert_eq(&error("origin,at,known,tmp,st\n"));
    expect!["rows.txt: column `st` (string) of view `weather@v1` is missing; every row carries all columns"]
        .assert_eq(&error("origin,at,known,temp\n"));
    expect!["rows.txt: there are no rows in the file"].assert_eq(&error("origin,at,known,temp,st\n"));
    expect!["rows.txt: column `at` is there twice"].assert_eq(&error("origin,at,at,known,temp,st\n"));
}

#[test]
fn ndjson_that_is_wrong_says_line_field_and_type() {
    let view = weather(&[("temp", "int64"), ("sr", "struct<a:list<int32>>")]);
    let good = r#"{"origin":"JFK","at":"0us","known":null,"temp":1,"sr":{"a":[1]}}"#;
    let error = |row: &str| read_text(&view, &format!("{good}\n\n{row}")).expect_err(row);
    expect!["rows.txt: line 3, column `temp`: expected int64, found `1.0`"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"temp":1.0,"sr":null}"#));
    expect!["rows.txt: line 3, column `temp`: expected int64, found `\"1\"`"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"temp":"1","sr":null}"#));
    expect!["rows.txt: line 3, column `temp`: `9223372036854775808` does not fit int64"].assert_eq(&error(
        r#"{"origin":"JFK","at":"0us","known":null,"temp":9223372036854775808,"sr":null}"#,
    ));
    expect!["rows.txt: line 3, column `sr.a[1]`: `3000000000` does not fit int32"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"temp":1,"sr":{"a":[1,3000000000]}}"#));
    expect!["rows.txt: line 3, column `sr`: field `b` is unknown; did you mean `a`?"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"temp":1,"sr":{"b":[1]}}"#));
    expect!["rows.txt: line 3, column `sr.a`: the field is missing; write null where it is unknown"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"temp":1,"sr":{}}"#));
    expect!["rows.txt: line 3, column `temp`: the field is missing; every row carries all columns, null where unknown"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"sr":null}"#));
    expect!["rows.txt: column `tmp` is not in view `weather@v1` (line 3); did you mean `temp`?"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"tmp":1,"sr":null}"#));
    expect!["rows.txt: line 3: field `temp` is there twice"]
        .assert_eq(&error(r#"{"origin":"JFK","at":"0us","known":null,"temp":1,"temp":1,"sr":null}"#));
    expect!["rows.txt: line 3, column `origin`: it may not be null"]
        .assert_eq(&error(r#"{"origin":null,"at":"0us","known":null,"temp":1,"sr":null}"#));
    expect!["rows.txt: line 3: expected one JSON object: found `[1]`"].assert_eq(&error("[1]"));
    let why = error(&good[..good.len() - 9]);
    assert!(why.starts_with("rows.txt: line 3: expected one JSON object: EOF"), "{why}");
    let why = error(&format!("{good} {good}"));
    assert!(why.starts_with("rows.txt: line 3: expected one JSON object: trailing"), "{why}");
}

#[test]
fn ndjson_is_read_as_it_comes() {
    let view = weather(&[("temp", "int64")]);
    let row = r#"{"origin":"JFK","at":"0us","known":null,"temp":1}"#;
    let text = format!("{row}\n").repeat(20_000);
    let intake = Intake::new(&view);
    let batches: Result<Vec<_>, _> = intake.ndjson(std::io::Cursor::new(text), 1).collect();
    let rows: Vec<usize> = batches.expect("rows").iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [16_384, 3_616]);
    assert!(intake.ndjson(std::io::empty(), 1).next().is_none());
}

#[test]
fn lines_of_a_part_are_counted_from_where_it_begins() {
    let intake = Intake::new(&weather(&[("temp", "int64")]));
    let good = r#"{"origin":"JFK","at":"0us","known":null,"temp":1}"#;
    let why = |line: &str| {
        let text = format!("{good}\n\n{line}\n");
        let mut rows = intake.ndjson(std::io::Cursor::new(text), 8_193);
        rows.find_map(Result::err).expect("refused").to_string()
    };
    expect!["line 8195, column `temp`: expected int64, found `\"warm\"`"]
        .assert_eq(&why(&good.replace('1', "\"warm\"")));
    expect!["line 8195: expected one JSON object: EOF while parsing an object at column 48"]
        .assert_eq(&why(&good[..good.len() - 1]));
    expect!["line 8195, column `origin`: it may not be null"]
        .assert_eq(&why(&good.replace("\"JFK\"", "null")));
}
