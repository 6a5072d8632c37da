//! The logical type of an Arrow field, and its text, which is part of every hash.
//!
//! For the types of features it is the text of [`lineate_types::DataType`]; the others are those a spine can
//! bring along.

use std::fmt;

use arrow::datatypes::{DataType as ArrowType, Field, IntervalUnit, TimeUnit};
use lineate_types::Name;

use crate::{
    Error, Result,
    schema::{JSON_EXTENSION, UUID_EXTENSION, extension_of, timestamp_type},
};

/// A type apart from its layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogicalType {
    /// Nothing but nulls.
    Null,
    Bool,
    /// Values of a fixed number of bytes, hashed as Arrow stores them.
    Fixed {
        text: String,
        width: usize,
    },
    /// A decimal: 16 bytes up to 38 digits, 32 beyond.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// Text or bytes.
    Variable(&'static str),
    List(Box<LogicalType>),
    FixedList {
        element: Box<LogicalType>,
        length: usize,
    },
    Map {
        key: Box<LogicalType>,
        value: Box<LogicalType>,
    },
    Struct(Vec<(String, LogicalType)>),
}

/// The text of a field's logical type, as it is hashed.
///
/// # Errors
/// The type has a union in it.
pub fn logical_type_text(field: &Field) -> Result<String> {
    LogicalType::of(field).map(|logical| logical.to_string())
}

impl LogicalType {
    /// The logical type of a field's values.
    pub(super) fn of(field: &Field) -> Result<Self> {
        Self::of_type(field.data_type(), extension_of(field))
    }

    fn of_type(data_type: &ArrowType, extension: Option<&str>) -> Result<Self> {
        let fixed = |text: String, width: usize| Ok(Self::Fixed { text, width });
        let simple = |text: &str, width: usize| fixed(text.to_owned(), width);
        match data_type {
            ArrowType::Dictionary(_, values) => Self::of_type(values, extension),
            ArrowType::RunEndEncoded(_, values) => Self::of(values),
            ArrowType::Null => Ok(Self::Null),
            ArrowType::Boolean => Ok(Self::Bool),
            ArrowType::Int8 => simple("int8", 1),
            ArrowType::Int16 => simple("int16", 2),
            ArrowType::Int32 => simple("int32", 4),
            ArrowType::Int64 => simple("int64", 8),
            ArrowType::UInt8 => simple("uint8", 1),
            ArrowType::UInt16 => simple("uint16", 2),
            ArrowType::UInt32 => simple("uint32", 4),
            ArrowType::UInt64 => simple("uint64", 8),
            ArrowType::Float16 => simple("float16", 2),
            ArrowType::Float32 => simple("float32", 4),
            ArrowType::Float64 => simple("float64", 8),
            timestamp if *timestamp == timestamp_type() => simple("timestamp", 8),
            ArrowType::Timestamp(unit, None) => fixed(format!("timestamp({})", unit_text(unit)), 8),
            ArrowType::Timestamp(unit, Some(zone)) => {
                fixed(format!("timestamp({},{})", unit_text(unit), quoted(zone)), 8)
            }
            ArrowType::Date32 => simple("date", 4),
            ArrowType::Date64 => simple("date64", 8),
            ArrowType::Time32(unit) => fixed(format!("time({})", unit_text(unit)), 4),
            ArrowType::Time64(unit) => fixed(format!("time({})", unit_text(unit)), 8),
            ArrowType::Duration(unit) => fixed(format!("duration({})", unit_text(unit)), 8),
            ArrowType::Interval(IntervalUnit::YearMonth) => simple("interval(year_month)", 4),
            ArrowType::Interval(IntervalUnit::DayTime) => simple("interval(day_time)", 8),
            ArrowType::Interval(IntervalUnit::MonthDayNano) => simple("interval(month_day_nano)", 16),
            ArrowType::FixedSizeBinary(16) if extension == Some(UUID_EXTENSION) => simple("uuid", 16),
            ArrowType::FixedSizeBinary(width) => {
                fixed(format!("fixed_bytes({width})"), width.unsigned_abs() as usize)
            }
            ArrowType::Decimal32(precision, scale)
            | ArrowType::Decimal64(precision, scale)
            | ArrowType::Decimal128(precision, scale)
            | ArrowType::Decimal256(precision, scale) => {
                Ok(Self::Decimal { precision: *precision, scale: *scale })
            }
            ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
                Ok(Self::Variable(if extension == Some(JSON_EXTENSION) { "json" } else { "string" }))
            }
            ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => Ok(Self::Variable("bytes")),
            ArrowType::List(element)
            | ArrowType::LargeList(element)
            | ArrowType::ListView(element)
            | ArrowType::LargeListView(element) => Ok(Self::List(Box::new(Self::of(element)?))),
            ArrowType::FixedSizeList(element, length) => Ok(Self::FixedList {
                element: Box::new(Self::of(element)?),
                length: length.unsigned_abs() as usize,
            }),
            ArrowType::Map(entries, _) => match entries.data_type() {
                ArrowType::Struct(fields) if fields.len() == 2 => {
                    let mut types = fields.iter().map(|field| Self::of(field));
                    match (types.next(), types.next()) {
                        (Some(key), Some(value)) => {
                            Ok(Self::Map { key: Box::new(key?), value: Box::new(value?) })
                        }
                        _ => Err(without_hash(data_type)),
                    }
                }
                _ => Err(without_hash(data_type)),
            },
            ArrowType::Struct(fields) => {
                let fields = fields.iter().map(|field| Ok((field.name().clone(), Self::of(field)?)));
                Ok(Self::Struct(fields.collect::<Result<_>>()?))
            }
            ArrowType::Union(..) => Err(without_hash(data_type)),
        }
    }
}

fn without_hash(data_type: &ArrowType) -> Error {
    Error::Invalid(format!("columns of type {data_type} have no logical hash; use a struct instead"))
}

fn unit_text(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// Text between quotes; a quote or backslash inside stands behind a backslash.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Fixed { text, .. } => f.write_str(text),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Variable(text) => f.write_str(text),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::FixedList { element, length } => {
                let text = element.to_string();
                let word =
                    if matches!(text.as_str(), "float32" | "float64") { "vector" } else { "fixed_list" };
                write!(f, "{word}<{text},{length}>")
            }
            Self::Map { key, value } => write!(f, "map<{key},{value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (position, (name, field)) in fields.iter().enumerate() {
                    let comma = if position == 0 { "" } else { "," };
                    match Name::new(name.as_str()) {
                        Ok(name) => write!(f, "{comma}{name}:{field}")?,
                        Err(_) => write!(f, "{comma}{}:{field}", quoted(name))?,
                    }
                }
                f.write_str(">")
            }
        }
    }
}
