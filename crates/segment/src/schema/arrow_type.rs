//! The one Arrow type of every Lineate type, and the way back.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Fields};
use lineate_types::{DataType, Field, Name};

use super::view_schema::timestamp_type;

/// The Arrow extension of uuid columns.
pub const UUID_EXTENSION: &str = "arrow.uuid";
/// The Arrow extension of json columns.
pub const JSON_EXTENSION: &str = "arrow.json";

/// The field metadata key of an extension's name, fixed by the Arrow columnar format.
const EXTENSION_NAME_KEY: &str = "ARROW:extension:name";
/// The field metadata key of an extension's parameters.
const EXTENSION_METADATA_KEY: &str = "ARROW:extension:metadata";

/// The Arrow type a canonical column of this type has.
///
/// Uuid and json are marked by an extension on the field, not by the type: see [`arrow_field`].
pub fn arrow_type(data_type: &DataType) -> ArrowType {
    match data_type {
        DataType::Bool => ArrowType::Boolean,
        DataType::Int32 => ArrowType::Int32,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float32 => ArrowType::Float32,
        DataType::Float64 => ArrowType::Float64,
        DataType::String | DataType::Json => ArrowType::Utf8,
        DataType::Bytes => ArrowType::Binary,
        DataType::Timestamp => timestamp_type(),
        DataType::Date => ArrowType::Date32,
        DataType::Uuid => ArrowType::FixedSizeBinary(16),
        DataType::Decimal { precision, scale } => {
            ArrowType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        DataType::List(element) => ArrowType::List(Arc::new(arrow_field("item", element, true))),
        DataType::Map(value) => ArrowType::Map(Arc::new(entries_field(value)), false),
        DataType::Struct(fields) => ArrowType::Struct(struct_fields(fields)),
        DataType::Vector { double, length } => {
            let element = if *double { ArrowType::Float64 } else { ArrowType::Float32 };
            let length = i32::try_from(*length).unwrap_or(i32::MAX);
            ArrowType::FixedSizeList(Arc::new(ArrowField::new("item", element, false)), length)
        }
    }
}

/// The Arrow field of a canonical column, with the extension of uuid and json.
pub fn arrow_field(name: &str, data_type: &DataType, nullable: bool) -> ArrowField {
    let field = ArrowField::new(name, arrow_type(data_type), nullable);
    match data_type {
        DataType::Uuid => field.with_metadata(extension_metadata(UUID_EXTENSION, None)),
        DataType::Json => field.with_metadata(extension_metadata(JSON_EXTENSION, Some(""))),
        _ => field,
    }
}

/// The children of a struct column.
pub(crate) fn struct_fields(fields: &[Field]) -> Fields {
    fields.iter().map(|field| arrow_field(field.name.as_str(), &field.data_type, true)).collect()
}

/// The `entries` child of a map column: text keys that are never null, nullable values.
pub(crate) fn entries_field(value: &DataType) -> ArrowField {
    ArrowField::new("entries", ArrowType::Struct(entries_fields(value)), false)
}

/// The keys and values of a map column.
pub(crate) fn entries_fields(value: &DataType) -> Fields {
    Fields::from(vec![ArrowField::new("keys", ArrowType::Utf8, false), arrow_field("values", value, true)])
}

/// The name of the Arrow extension a field carries, if any.
pub fn extension_of(field: &ArrowField) -> Option<&str> {
    field.metadata().get(EXTENSION_NAME_KEY).map(String::as_str)
}

fn extension_metadata(name: &str, parameters: Option<&str>) -> HashMap<String, String> {
    let named = [(EXTENSION_NAME_KEY.to_owned(), name.to_owned())];
    let parameters = parameters.map(|text| (EXTENSION_METADATA_KEY.to_owned(), text.to_owned()));
    named.into_iter().chain(parameters).collect()
}

/// The Lineate type whose canonical field this is: none for any other Arrow type, however near.
pub fn lineate_type(field: &ArrowField) -> Option<DataType> {
    match (field.data_type(), extension_of(field)) {
        (ArrowType::Utf8, Some(JSON_EXTENSION)) => Some(DataType::Json),
        (ArrowType::FixedSizeBinary(16), Some(UUID_EXTENSION)) => Some(DataType::Uuid),
        (data_type, _) => lineate_type_of(data_type),
    }
}

/// The Lineate type of a canonical Arrow type without an extension.
pub fn lineate_type_of(data_type: &ArrowType) -> Option<DataType> {
    let found = match data_type {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::Int32 => DataType::Int32,
        ArrowType::Int64 => DataType::Int64,
        ArrowType::Float32 => DataType::Float32,
        ArrowType::Float64 => DataType::Float64,
        ArrowType::Utf8 => DataType::String,
        ArrowType::Binary => DataType::Bytes,
        ArrowType::Date32 => DataType::Date,
        timestamp if *timestamp == timestamp_type() => DataType::Timestamp,
        ArrowType::Decimal128(precision, scale) => {
            DataType::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        ArrowType::List(element) => DataType::List(Box::new(lineate_type(element)?)),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) => match fields.as_ref() {
                [keys, values] if *keys.data_type() == ArrowType::Utf8 => {
                    DataType::Map(Box::new(lineate_type(values)?))
                }
                _ => return None,
            },
            _ => return None,
        },
        ArrowType::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                Some(Field { name: Name::new(field.name()).ok()?, data_type: lineate_type(field)? })
            });
            DataType::Struct(fields.collect::<Option<Vec<_>>>()?)
        }
        ArrowType::FixedSizeList(element, length) => {
            let length = u32::try_from(*length).ok().filter(|length| *length > 0)?;
            match element.data_type() {
                ArrowType::Float32 => DataType::Vector { double: false, length },
                ArrowType::Float64 => DataType::Vector { double: true, length },
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_maps_to_arrow_and_back() {
        for text in [
            "bool",
            "int32",
            "int64",
            "float32",
            "float64",
            "string",
            "bytes",
            "timestamp",
            "date",
            "uuid",
            "json",
            "decimal(38,9)",
            "list<uuid>",
            "map<string,list<json>>",
            "struct<a:int64,b:struct<c:uuid>>",
            "vector<float32,768>",
            "vector<float64,3>",
        ] {
            let data_type: DataType = text.parse().expect(text);
            assert_eq!(lineate_type(&arrow_field("x", &data_type, true)), Some(data_type), "{text}");
        }
    }

    #[test]
    fn other_arrow_types_have_no_lineate_type() {
        for foreign in [ArrowType::UInt8, ArrowType::LargeUtf8, ArrowType::Null, ArrowType::Date64] {
            assert_eq!(lineate_type_of(&foreign), None);
        }
    }
}
