//! A canonical column that grows value by value.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
        FixedSizeBinaryBuilder, FixedSizeListArray, Float32Builder, Float64Builder, Int32Builder,
        Int64Builder, ListArray, MapArray, NullBufferBuilder, StringBuilder, StructArray,
        TimestampMicrosecondBuilder,
    },
    buffer::OffsetBuffer,
    datatypes::Field as ArrowField,
};
use lineate_types::{DataType, Field};

use crate::{
    Error, Result,
    schema::{arrow_field, arrow_type, entries_field, entries_fields, struct_fields},
};

/// Why a value is refused, and where inside the column.
#[derive(Debug)]
pub(in crate::intake) struct Fault {
    /// The path inside the column: `.field`, `[3]`; empty for the column itself.
    pub path: String,
    pub why: String,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { path: String::new(), why }
    }
}

impl Fault {
    /// The same fault, told of the parent.
    pub(super) fn inside(self, step: &str) -> Self {
        Self { path: format!("{step}{}", self.path), why: self.why }
    }
}

/// A growing column of one type.
#[derive(Debug)]
pub(in crate::intake) struct Builder {
    pub(super) column: Column,
    pub(super) naive_times_are_utc: bool,
}

#[derive(Debug)]
pub(super) enum Column {
    Bool(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Json(StringBuilder),
    Bytes(BinaryBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Uuid(FixedSizeBinaryBuilder),
    Decimal { values: Decimal128Builder, precision: u8, scale: u8 },
    List { element_type: DataType, elements: Box<Builder>, lengths: Lengths },
    Map { value_type: DataType, keys: StringBuilder, values: Box<Builder>, lengths: Lengths },
    Struct { fields: Vec<Field>, columns: Vec<Builder>, nulls: NullBufferBuilder },
    Vector { double: bool, length: u32, elements: Box<Builder>, nulls: NullBufferBuilder },
}

/// The lengths of lists or maps.
#[derive(Debug)]
pub(super) struct Lengths {
    lengths: Vec<usize>,
    nulls: NullBufferBuilder,
}

impl Lengths {
    fn new() -> Self {
        Self { lengths: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }

    pub(super) fn push(&mut self, length: usize) {
        self.lengths.push(length);
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.lengths.push(0);
        self.nulls.append_null();
    }

    fn offsets(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths))
    }
}

impl Builder {
    /// An empty column of a type.
    pub(in crate::intake) fn new(data_type: &DataType, naive_times_are_utc: bool) -> Self {
        let child = |data_type: &DataType| Box::new(Self::new(data_type, naive_times_are_utc));
        let column = match data_type {
            DataType::Bool => Column::Bool(BooleanBuilder::new()),
            DataType::Int32 => Column::Int32(Int32Builder::new()),
            DataType::Int64 => Column::Int64(Int64Builder::new()),
            DataType::Float32 => Column::Float32(Float32Builder::new()),
            DataType::Float64 => Column::Float64(Float64Builder::new()),
            DataType::String => Column::String(StringBuilder::new()),
            DataType::Json => Column::Json(StringBuilder::new()),
            DataType::Bytes => Column::Bytes(BinaryBuilder::new()),
            DataType::Timestamp => Column::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            DataType::Date => Column::Date(Date32Builder::new()),
            DataType::Uuid => Column::Uuid(FixedSizeBinaryBuilder::new(16)),
            DataType::Decimal { precision, scale } => Column::Decimal {
                values: Decimal128Builder::new().with_data_type(arrow_type(data_type)),
                precision: *precision,
                scale: *scale,
            },
            DataType::List(element) => Column::List {
                element_type: element.as_ref().clone(),
                elements: child(element),
                lengths: Lengths::new(),
            },
            DataType::Map(value) => Column::Map {
                value_type: value.as_ref().clone(),
                keys: StringBuilder::new(),
                values: child(value),
                lengths: Lengths::new(),
            },
            DataType::Struct(fields) => Column::Struct {
                fields: fields.clone(),
                columns: fields.iter().map(|field| *child(&field.data_type)).collect(),
                nulls: NullBufferBuilder::new(0),
            },
            DataType::Vector { double, length } => Column::Vector {
                double: *double,
                length: *length,
                elements: child(if *double { &DataType::Float64 } else { &DataType::Float32 }),
                nulls: NullBufferBuilder::new(0),
            },
        };
        Self { column, naive_times_are_utc }
    }

    /// Adds a null.
    pub(in crate::intake) fn push_null(&mut self) {
        match &mut self.column {
            Column::Bool(values) => values.append_null(),
            Column::Int32(values) => values.append_null(),
            Column::Int64(values) => values.append_null(),
            Column::Float32(values) => values.append_null(),
            Column::Float64(values) => values.append_null(),
            Column::String(values) | Column::Json(values) => values.append_null(),
            Column::Bytes(values) => values.append_null(),
            Column::Timestamp(values) => values.append_null(),
            Column::Date(values) => values.append_null(),
            Column::Uuid(values) => values.append_null(),
            Column::Decimal { values, .. } => values.append_null(),
            Column::List { lengths, .. } | Column::Map { lengths, .. } => lengths.push_null(),
            Column::Struct { columns, nulls, .. } => {
                columns.iter_mut().for_each(Self::push_null);
                nulls.append_null();
            }
            Column::Vector { length, elements, nulls, .. } => {
                for _ in 0..*length {
                    elements.push_zero();
                }
                nulls.append_null();
            }
        }
    }

    /// Adds the zero that stands under a null vector.
    fn push_zero(&mut self) {
        match &mut self.column {
            Column::Float32(values) => values.append_value(0.0),
            Column::Float64(values) => values.append_value(0.0),
            _ => {}
        }
    }

    /// The column so far; the builder starts again, empty.
    ///
    /// # Errors
    /// The children do not fit their parent, which they do by how values are added.
    pub(in crate::intake) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.column {
            Column::Bool(values) => ArrayBuilder::finish(values),
            Column::Int32(values) => ArrayBuilder::finish(values),
            Column::Int64(values) => ArrayBuilder::finish(values),
            Column::Float32(values) => ArrayBuilder::finish(values),
            Column::Float64(values) => ArrayBuilder::finish(values),
            Column::String(values) | Column::Json(values) => ArrayBuilder::finish(values),
            Column::Bytes(values) => ArrayBuilder::finish(values),
            Column::Timestamp(values) => ArrayBuilder::finish(values),
            Column::Date(values) => ArrayBuilder::finish(values),
            Column::Uuid(values) => ArrayBuilder::finish(values),
            Column::Decimal { values, .. } => ArrayBuilder::finish(values),
            Column::List { element_type, elements, lengths } => {
                let field = Arc::new(arrow_field("item", element_type, true));
                let elements = elements.finish()?;
                Arc::new(ListArray::try_new(field, lengths.offsets(), elements, lengths.nulls.finish())?)
            }
            Column::Map { value_type, keys, values, lengths } => {
                let columns = vec![ArrayBuilder::finish(keys), values.finish()?];
                let entries = StructArray::try_new(entries_fields(value_type), columns, None)?;
                let field = Arc::new(entries_field(value_type));
                let nulls = lengths.nulls.finish();
                Arc::new(MapArray::try_new(field, lengths.offsets(), entries, nulls, false)?)
            }
            Column::Struct { fields, columns, nulls } => {
                let columns = columns.iter_mut().map(Self::finish).collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new(struct_fields(fields), columns, nulls.finish())?)
            }
            Column::Vector { double, length, elements, nulls } => {
                let element = if *double { DataType::Float64 } else { DataType::Float32 };
                let field = Arc::new(ArrowField::new("item", arrow_type(&element), false));
                let length =
                    i32::try_from(*length).map_err(|_| Error::Invalid("a vector too long".into()))?;
                let elements = elements.finish()?;
                Arc::new(FixedSizeListArray::try_new(field, length, elements, nulls.finish())?)
            }
        })
    }
}
