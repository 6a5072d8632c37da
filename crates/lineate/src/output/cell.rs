//! Values of Arrow columns, as JSON carries them and as people read them.
//!
//! Bytes are base64; decimals, NaN and infinities are text; times are RFC 3339 in microseconds and UTC; a `json`
//! value stays the text it is.

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, MapArray, StructArray},
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type,
        Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lineate_types::{KeyValue, TimestampUs};
use serde_json::{Map, Number, Value};

/// The value of a row of a column as JSON; a row outside the column is null.
pub(crate) fn json(field: &Field, array: &ArrayRef, row: usize) -> Value {
    if row >= array.len() || array.is_null(row) {
        return Value::Null;
    }
    match field.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => float32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float64(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => BASE64_STANDARD.encode(array.as_binary::<i32>().value(row)).into(),
        DataType::LargeBinary => BASE64_STANDARD.encode(array.as_binary::<i64>().value(row)).into(),
        DataType::BinaryView => BASE64_STANDARD.encode(array.as_binary_view().value(row)).into(),
        DataType::FixedSizeBinary(_) => fixed(field, array.as_fixed_size_binary(), row),
        DataType::Date32 => KeyValue::Date(array.as_primitive::<Date32Type>().value(row)).to_string().into(),
        DataType::Date64 => {
            let days = array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000);
            i32::try_from(days).map_or(Value::Null, |days| KeyValue::Date(days).to_string().into())
        }
        DataType::Timestamp(unit, Some(_)) => timestamp(*unit, array, row),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row).into(),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row).into(),
        DataType::List(element) => list(element, &array.as_list::<i32>().value(row)),
        DataType::LargeList(element) => list(element, &array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(element, _) => list(element, &array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => structure(array.as_struct(), row),
        DataType::Map(..) => map(array.as_map(), row),
        DataType::Dictionary(_, value) => {
            let dictionary = array.as_any_dictionary();
            let position = dictionary.normalized_keys().get(row).copied().unwrap_or(usize::MAX);
            json(&Field::new(field.name(), (**value).clone(), true), dictionary.values(), position)
        }
        _ => display(array, row).into(),
    }
}

/// The value of a row of a column for people; null is `null`.
pub(crate) fn text(field: &Field, array: &ArrayRef, row: usize) -> String {
    match json(field, array, row) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn float64(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| odd_float(value).into(), Value::Number)
}

/// The shortest digits that read back as the same 32-bit number.
fn float32(value: f32) -> Value {
    match value.to_string().parse().ok().and_then(Number::from_f64) {
        Some(number) if value.is_finite() => Value::Number(number),
        _ => odd_float(f64::from(value)).into(),
    }
}

fn odd_float(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn timestamp(unit: TimeUnit, array: &ArrayRef, row: usize) -> Value {
    let micros = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000)
        }
        TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().value(row);
            (nanos % 1_000 == 0).then_some(nanos / 1_000)
        }
    };
    // What microseconds cannot say is shown as Arrow does.
    micros.map_or_else(|| display(array, row), |micros| TimestampUs(micros).to_string()).into()
}

fn fixed(field: &Field, array: &FixedSizeBinaryArray, row: usize) -> Value {
    let bytes = array.value(row);
    match (field.extension_type_name(), <[u8; 16]>::try_from(bytes)) {
        (Some("arrow.uuid"), Ok(uuid)) => KeyValue::Uuid(uuid).to_string().into(),
        _ => BASE64_STANDARD.encode(bytes).into(),
    }
}

fn list(element: &Field, values: &ArrayRef) -> Value {
    (0..values.len()).map(|position| json(element, values, position)).collect()
}

fn structure(array: &StructArray, row: usize) -> Value {
    let members = array.fields().iter().zip(array.columns());
    Value::Object(members.map(|(field, column)| (field.name().clone(), json(field, column, row))).collect())
}

fn map(array: &MapArray, row: usize) -> Value {
    let entries = array.value(row);
    let (Some(key_field), Some(value_field)) = (entries.fields().first(), entries.fields().get(1)) else {
        return Value::Null;
    };
    let mut members = Map::new();
    for position in 0..entries.len() {
        let key = text(key_field, entries.column(0), position);
        members.insert(key, json(value_field, entries.column(1), position));
    }
    Value::Object(members)
}

fn display(array: &ArrayRef, row: usize) -> String {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|cause| cause.to_string(), |formatter| formatter.value(row).to_string())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use arrow::array::{
        BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int64Array,
        ListArray, StringArray, TimestampMicrosecondArray,
    };
    use expect_test::expect;

    use super::*;

    fn column(array: impl Array + 'static) -> String {
        column_of(Field::new("c", array.data_type().clone(), true), Arc::new(array))
    }

    fn column_of(field: Field, array: ArrayRef) -> String {
        let values: Value = (0..array.len()).map(|row| json(&field, &array, row)).collect();
        values.to_string()
    }

    #[test]
    fn every_value_has_one_json_form() {
        let uuid = Field::new("u", DataType::FixedSizeBinary(16), true)
            .with_metadata(HashMap::from([("ARROW:extension:name".into(), "arrow.uuid".into())]));
        let uuids: FixedSizeBinaryArray =
            FixedSizeBinaryArray::try_from_iter([*b"0123456789abcdef"].iter()).expect("16 bytes");
        let decimals = Decimal128Array::from(vec![Some(12_345), Some(-5), None])
            .with_precision_and_scale(10, 2)
            .expect("fits");
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        let structs = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
        )]);
        let dictionary: DictionaryArray<Int32Type> = [Some("x"), None, Some("x")].into_iter().collect();
        let lines = [
            column(BooleanArray::from(vec![Some(true), None])),
            column(Int64Array::from(vec![i64::MIN, i64::MAX])),
            column(Float64Array::from(vec![0.1, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300])),
            column(Float32Array::from(vec![0.1, f32::NAN, 16_777_216.0])),
            column(StringArray::from(vec![Some("a\"b"), None])),
            column(BinaryArray::from(vec![b"\x00\xff".as_slice()])),
            column(TimestampMicrosecondArray::from(vec![1, i64::MAX]).with_timezone("UTC")),
            column(arrow::array::Date32Array::from(vec![15_857])),
            column_of(uuid, Arc::new(uuids)),
            column(decimals),
            column(lists),
            column(structs),
            column(dictionary),
        ];
        expect![[r#"
            [true,null]
            [-9223372036854775808,9223372036854775807]
            [0.1,-0.0,"NaN","Infinity","-Infinity",1e+300]
            [0.1,"NaN",16777216.0]
            ["a\"b",null]
            ["AP8="]
            ["1970-01-01T00:00:00.000001Z","9223372036854775807us"]
            ["2013-06-01"]
            ["30313233-3435-3637-3839-616263646566"]
            ["123.45","-0.05",null]
            [[1,null],null]
            [{"a":1},{"a":2}]
            ["x",null,"x"]"#]]
        .assert_eq(&lines.join("\n"));
    }
}
