//! The vectors of `docs/formats/logical-hash.md`.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
        FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Float64Builder, Int32Array,
        Int64Array, ListArray, ListBuilder, MapBuilder, NullArray, StringArray, StringBuilder, StructArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, UInt8Array,
    },
    buffer::NullBuffer,
    datatypes::{DataType as ArrowType, Field, Float32Type, Int8Type, Int64Type, i256},
};
use lineate_segment::{
    logical_hash::{logical_type_text, table_hash},
    schema::arrow_field,
};
use lineate_types::{DataType, Hash};

use super::hash_of;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/logical-hash.md"));

/// Name, type text, values and hash of every vector on the page.
fn page() -> Vec<[String; 4]> {
    let table = PAGE.split("## Test vectors").nth(1).expect("the section");
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<String> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        cells.try_into().expect("four cells")
    })
    .collect()
}

fn array(name: &str) -> ArrayRef {
    const NOON_US: i64 = 1_370_088_000_000_000;
    let strings = || StringArray::from(vec![Some("a"), Some(""), None, Some("é")]);
    let numbers = |values: Vec<Option<i64>>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    match name {
        "empty" => numbers(vec![]),
        "int64" => numbers(vec![Some(1), None, Some(-1)]),
        "int64_long" => numbers((0..10_000).map(Some).collect()),
        "int32" => Arc::new(Int32Array::from(vec![Some(1), None, Some(-1)])),
        "uint8" => Arc::new(UInt8Array::from(vec![255, 0])),
        "float64" => {
            let bits = [0, 0x8000_0000_0000_0000, 0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0001_u64];
            Arc::new(Float64Array::from_iter(
                bits.map(|bits| Some(f64::from_bits(bits))).into_iter().chain([None]),
            ))
        }
        "float32" => Arc::new(Float32Array::from(vec![Some(0.5), None])),
        "bool" => Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)])),
        "null" => Arc::new(NullArray::new(2)),
        "string" | "json" => Arc::new(strings()),
        "bytes" => Arc::new(BinaryArray::from(vec![Some(&b"\0"[..]), Some(b"\xff\0"), None])),
        "timestamp" => {
            let times = TimestampMicrosecondArray::from(vec![Some(0), None, Some(NOON_US)]);
            Arc::new(times.with_timezone("UTC"))
        }
        "timestamp_naive" => Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(NOON_US)])),
        "timestamp_zoned" => {
            let times = TimestampNanosecondArray::from(vec![Some(0), None, Some(NOON_US)]);
            Arc::new(times.with_timezone("Europe/Berlin"))
        }
        "date" => Arc::new(Date32Array::from(vec![0, -1, 15_857])),
        "uuid" => {
            let values = [Some(*b"0123456789abcdef"), None];
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16).expect("uuids"),
            )
        }
        "decimal" => {
            let values = Decimal128Array::from(vec![Some(1_500_000_000), None, Some(-1)]);
            Arc::new(values.with_precision_and_scale(38, 9).expect("fits"))
        }
        "decimal_wide" => {
            let value =
                i256::from_string("-1234567890123456789012345678901234567890123456").expect("a number");
            Arc::new(Decimal256Array::from(vec![value]).with_precision_and_scale(50, 2).expect("fits"))
        }
        "list" => Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            Some(vec![]),
            None,
            Some(vec![Some(2)]),
        ])),
        "list_nested" => {
            let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
            lists.values().values().append_value("a");
            lists.values().append(true);
            lists.values().append(false);
            lists.append(true);
            lists.append(true);
            lists.values().append(true);
            lists.append(true);
            Arc::new(lists.finish())
        }
        "map" => {
            let mut maps = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
            maps.keys().append_value("z");
            maps.values().append_value(1.5);
            maps.keys().append_value("a");
            maps.values().append_null();
            for valid in [true, false, true] {
                maps.append(valid).expect("keys and values");
            }
            Arc::new(maps.finish())
        }
        "struct" => {
            let fields =
                vec![Field::new("a", ArrowType::Int64, true), Field::new("b", ArrowType::Utf8, true)];
            // What lies under the null struct must not matter.
            let b: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some("garbage"), None]));
            let columns = vec![numbers(vec![Some(1), Some(7), None]), b];
            let nulls = NullBuffer::from(vec![true, false, true]);
            Arc::new(StructArray::try_new(fields.into(), columns, Some(nulls)).expect("structs"))
        }
        "struct_odd" => {
            let fields = vec![Field::new("Odd \"Name\"", ArrowType::Int64, true)];
            Arc::new(
                StructArray::try_new(fields.into(), vec![numbers(vec![Some(1)])], None).expect("structs"),
            )
        }
        "vector" => {
            let rows = [Some([1.0, 2.0]), None, Some([3.0, 4.0])];
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
                rows.map(|row| row.map(|row| row.map(Some))),
                2,
            ))
        }
        "fixed_list" => {
            let rows = [Some([Some(1), None]), None];
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int8Type, _, _>(rows, 2))
        }
        other => unreachable!("the page has a vector `{other}` that is not built here"),
    }
}

fn field(name: &str, array: &ArrayRef) -> Field {
    match name {
        "uuid" => arrow_field("x", &DataType::Uuid, true),
        "json" => arrow_field("x", &DataType::Json, true),
        _ => Field::new("x", array.data_type().clone(), true),
    }
}

#[test]
fn the_published_vectors_hold() {
    let page = page();
    let mut hashes: Vec<(String, Hash)> = Vec::new();
    let mut found = String::new();
    let mut expected = String::new();
    for [name, type_text, values, hash] in &page {
        let computed = if type_text == "table" {
            let columns = values.split(", ").map(|column| {
                let (name, hash) = hashes.iter().find(|(name, _)| name == column).expect("a vector above");
                (name.as_str(), *hash)
            });
            table_hash(columns)
        } else {
            let array = array(name);
            let field = field(name, &array);
            assert_eq!(logical_type_text(&field).expect("no union"), *type_text);
            hash_of(&field, &[array])
        };
        hashes.push((name.clone(), computed));
        found += &format!("{name} {}\n", computed.to_hex());
        expected += &format!("{name} {hash}\n");
    }
    assert_eq!(found, expected);
    assert!(page.len() > 20);
}
