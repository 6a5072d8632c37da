//! Entity keys of the rows of a batch.

use arrow::{
    array::ArrayRef,
    array::{Array, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray},
    datatypes::{Date32Type, Int64Type, TimestampMicrosecondType},
};
use lineate_types::{EntityKey, KeyType, KeyValue, TimestampUs};

use crate::{Error, Result};

/// The key columns of a batch, ready to encode row by row.
#[derive(Debug)]
pub struct EntityKeys<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

#[derive(Debug)]
enum Column<'a> {
    Bool(&'a BooleanArray),
    Int64(&'a PrimitiveArray<Int64Type>),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Uuid(&'a FixedSizeBinaryArray),
}

impl<'a> EntityKeys<'a> {
    /// Takes the key columns of equal length, in declared order, in their canonical Arrow types.
    ///
    /// # Errors
    /// A column's Arrow type is not the canonical one of its key type, or the lengths differ.
    pub fn new(columns: &[(&'a ArrayRef, KeyType)]) -> Result<Self> {
        let rows = columns.first().map_or(0, |(array, _)| array.len());
        let wrong = |array: &ArrayRef, key_type: KeyType| {
            Error::Invalid(format!("a key of type {key_type} cannot come from {}", array.data_type()))
        };
        let columns = columns.iter().map(|(array, key_type)| {
            if array.len() != rows {
                return Err(Error::Invalid("key columns differ in length".into()));
            }
            Column::new(array, *key_type).ok_or_else(|| wrong(array, *key_type))
        });
        Ok(Self { columns: columns.collect::<Result<_>>()?, rows })
    }

    /// Rows of the columns.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The key of a row; none if any part of it is null.
    ///
    /// # Errors
    /// The key is longer than [`lineate_types::limits::KEY_BYTES`], or there is no such row.
    pub fn key(&self, row: usize) -> Result<Option<EntityKey>> {
        let mut values = Vec::with_capacity(self.columns.len());
        self.encode(row, &mut values)
    }

    /// The keys of all rows, in order; none where any part of the key is null.
    ///
    /// # Errors
    /// A key is longer than [`lineate_types::limits::KEY_BYTES`].
    pub fn all(&self) -> Result<Vec<Option<EntityKey>>> {
        let mut values = Vec::with_capacity(self.columns.len());
        (0..self.rows).map(|row| self.encode(row, &mut values)).collect()
    }

    /// Encodes the key of a row behind other bytes; false, and nothing is added, if any part of it is null.
    ///
    /// # Errors
    /// The key is longer than [`lineate_types::limits::KEY_BYTES`], or there is no such row.
    pub fn encode_behind(&self, row: usize, bytes: &mut Vec<u8>) -> Result<bool> {
        if row >= self.rows {
            return Err(no_row(row, self.rows));
        }
        if self.columns.iter().any(|column| column.is_null(row)) {
            return Ok(false);
        }
        EntityKey::encode_behind(self.columns.iter().filter_map(|column| column.value(row)), bytes)?;
        Ok(true)
    }

    fn encode<'s>(&'s self, row: usize, values: &mut Vec<KeyValue<'s>>) -> Result<Option<EntityKey>> {
        if row >= self.rows {
            return Err(no_row(row, self.rows));
        }
        values.clear();
        for column in &self.columns {
            match column.value(row) {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(EntityKey::encode(values)?))
    }
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef, key_type: KeyType) -> Option<Self> {
        match key_type {
            KeyType::Bool => array.as_boolean_opt().map(Self::Bool),
            KeyType::Int64 => array.as_primitive_opt().map(Self::Int64),
            KeyType::String => array.as_string_opt().map(Self::String),
            KeyType::Bytes => array.as_binary_opt().map(Self::Bytes),
            KeyType::Date => array.as_primitive_opt().map(Self::Date),
            KeyType::Timestamp => array.as_primitive_opt().map(Self::Timestamp),
            KeyType::Uuid => array
                .as_fixed_size_binary_opt()
                .filter(|array: &&FixedSizeBinaryArray| array.value_length() == 16)
                .map(Self::Uuid),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::String(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::Uuid(array) => array.is_null(row),
        }
    }

    /// The value of a row below the array's length; none if null.
    fn value(&self, row: usize) -> Option<KeyValue<'a>> {
        match self {
            Self::Bool(array) => array.is_valid(row).then(|| KeyValue::Bool(array.value(row))),
            Self::Int64(array) => array.is_valid(row).then(|| KeyValue::Int64(array.value(row))),
            Self::String(array) => array.is_valid(row).then(|| KeyValue::String(array.value(row))),
            Self::Bytes(array) => array.is_valid(row).then(|| KeyValue::Bytes(array.value(row))),
            Self::Date(array) => array.is_valid(row).then(|| KeyValue::Date(array.value(row))),
            Self::Timestamp(array) => {
                array.is_valid(row).then(|| KeyValue::Timestamp(TimestampUs(array.value(row))))
            }
            Self::Uuid(array) => {
                let bytes = array.is_valid(row).then(|| array.value(row))?;
                bytes.try_into().ok().map(KeyValue::Uuid)
            }
        }
    }
}

fn no_row(row: usize, rows: usize) -> Error {
    Error::Invalid(format!("there is no row {row} among {rows}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn keys_of_a_batch_are_those_of_its_values() {
        let origin: ArrayRef = Arc::new(StringArray::from(vec![Some("JFK"), None, Some("")]));
        let flight: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, -3]));
        let columns = [(&origin, KeyType::String), (&flight, KeyType::Int64)];
        let keys = EntityKeys::new(&columns).expect("canonical").all().expect("short");
        let expected = |origin, flight| {
            EntityKey::encode(&[KeyValue::String(origin), KeyValue::Int64(flight)]).expect("short")
        };
        assert_eq!(keys, [Some(expected("JFK", 1)), None, Some(expected("", -3))]);
    }

    #[test]
    fn a_column_of_another_type_is_refused() {
        let origin: ArrayRef = Arc::new(StringArray::from(vec!["JFK"]));
        assert!(EntityKeys::new(&[(&origin, KeyType::Int64)]).is_err());
    }
}
