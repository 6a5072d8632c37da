//! The hash of one array of the type tree, streamed.

use std::{iter::once, ops::Range};

use arrow::{
    array::{Array, ArrayRef, AsArray, GenericByteArray, GenericByteViewArray, PrimitiveArray, UInt32Array},
    buffer::NullBuffer,
    compute::take,
    datatypes::{
        ArrowPrimitiveType, ByteArrayType, ByteViewType, DataType as ArrowType, Decimal32Type, Decimal64Type,
        Decimal256Type, Int16Type, Int32Type, Int64Type, RunEndIndexType, i256,
    },
    downcast_dictionary_array,
};
use lineate_types::{Hash, Hasher};

use super::{NODE_CONTEXT, bits::BitStream, logical_type::LogicalType, stream::ByteStream};
use crate::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!("values are hashed as they lie in memory, which must be little-endian");

/// Rows of an encoded array that are unpacked at a time.
const UNPACKED_ROWS: usize = 8_192;
/// Digits that 16 bytes hold.
const NARROW_DIGITS: u8 = 38;

/// One array of the type tree: which entries are null, and the values of those that are not.
#[derive(Debug)]
pub(super) struct Node {
    rows: u64,
    validity: BitStream,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Null,
    Bool(ByteStream),
    Fixed { width: usize, values: ByteStream },
    Decimal { precision: u8, values: ByteStream },
    Variable { lengths: ByteStream, bytes: ByteStream },
    List { lengths: ByteStream, elements: Box<Node> },
    Map { lengths: ByteStream, keys: Box<Node>, values: Box<Node> },
    FixedList { length: usize, elements: Box<Node> },
    Struct(Vec<Node>),
}

impl Node {
    pub(super) fn new(logical: &LogicalType) -> Self {
        let child = |logical: &LogicalType| Box::new(Self::new(logical));
        let values = match logical {
            LogicalType::Null => Values::Null,
            LogicalType::Bool => Values::Bool(ByteStream::new()),
            LogicalType::Fixed { width, .. } => Values::Fixed { width: *width, values: ByteStream::new() },
            LogicalType::Decimal { precision, .. } => {
                Values::Decimal { precision: *precision, values: ByteStream::new() }
            }
            LogicalType::Variable(_) => {
                Values::Variable { lengths: ByteStream::new(), bytes: ByteStream::new() }
            }
            LogicalType::List(element) => {
                Values::List { lengths: ByteStream::new(), elements: child(element) }
            }
            LogicalType::Map { key, value } => {
                Values::Map { lengths: ByteStream::new(), keys: child(key), values: child(value) }
            }
            LogicalType::FixedList { element, length } => {
                Values::FixedList { length: *length, elements: child(element) }
            }
            LogicalType::Struct(fields) => {
                Values::Struct(fields.iter().map(|(_, field)| Self::new(field)).collect())
            }
        };
        Self { rows: 0, validity: BitStream::new(), values }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the entries of an array of any layout.
    pub(super) fn append(&mut self, array: &ArrayRef) -> Result<()> {
        match array.data_type() {
            ArrowType::Dictionary(..) => self.append_dictionary(array),
            ArrowType::RunEndEncoded(ends, _) => match ends.data_type() {
                ArrowType::Int16 => self.append_runs::<Int16Type>(array),
                ArrowType::Int32 => self.append_runs::<Int32Type>(array),
                _ => self.append_runs::<Int64Type>(array),
            },
            _ => self.append_plain(array),
        }
    }

    fn append_dictionary(&mut self, array: &ArrayRef) -> Result<()> {
        for start in (0..array.len()).step_by(UNPACKED_ROWS) {
            let part = array.slice(start, UNPACKED_ROWS.min(array.len() - start));
            let part: &dyn Array = part.as_ref();
            let unpacked = downcast_dictionary_array!(
                part => take(part.values(), part.keys(), None)?,
                other => return Err(mismatch(other))
            );
            self.append(&unpacked)?;
        }
        Ok(())
    }

    fn append_runs<R: RunEndIndexType>(&mut self, array: &ArrayRef) -> Result<()> {
        let runs = array.as_run_opt::<R>().ok_or_else(|| mismatch(array.data_type()))?;
        for start in (0..array.len()).step_by(UNPACKED_ROWS) {
            let end = array.len().min(start + UNPACKED_ROWS);
            let physical = (start..end).map(|row| u32::try_from(runs.get_physical_index(row)));
            let physical = physical.collect::<std::result::Result<Vec<u32>, _>>();
            let physical = physical.map_err(|_| Error::Invalid("an array has too many runs".into()))?;
            self.append(&take(runs.values(), &UInt32Array::from(physical), None)?)?;
        }
        Ok(())
    }

    fn append_plain(&mut self, array: &ArrayRef) -> Result<()> {
        self.rows += array.len() as u64;
        if let Values::Null = self.values {
            if *array.data_type() != ArrowType::Null {
                return Err(mismatch(array.data_type()));
            }
            self.validity.push_repeated(false, array.len());
            return Ok(());
        }
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        match nulls {
            None => {
                self.validity.push_repeated(true, array.len());
                self.values.append(array, 0..array.len())
            }
            Some(nulls) => {
                self.validity.push(nulls.inner());
                self.values.append_valid(array, nulls)
            }
        }
    }

    /// The hash of the entries so far.
    pub(super) fn finish(self) -> Hash {
        let mut hasher = Hasher::new_derive_key(NODE_CONTEXT);
        hasher.update(&self.rows.to_le_bytes());
        hasher.update(self.validity.finish().as_bytes());
        for part in self.values.finish() {
            hasher.update(part.as_bytes());
        }
        Hash::finish(&hasher)
    }
}

impl Values {
    fn append_valid(&mut self, array: &ArrayRef, nulls: &NullBuffer) -> Result<()> {
        let mut ranges = nulls.valid_slices().map(|(start, end)| start..end);
        match self {
            Self::Fixed { width, values } => append_fixed(array, *width, ranges, values),
            _ => ranges.try_for_each(|range| self.append(array, range)),
        }
    }

    /// Adds a range of entries, none of which is null.
    fn append(&mut self, array: &ArrayRef, range: Range<usize>) -> Result<()> {
        match self {
            Self::Null => Err(mismatch(array.data_type())),
            Self::Bool(values) => {
                let booleans = array.as_boolean_opt().ok_or_else(|| mismatch(array.data_type()))?;
                for row in range {
                    values.push(&[u8::from(booleans.value(row))]);
                }
                Ok(())
            }
            Self::Fixed { width, values } => append_fixed(array, *width, once(range), values),
            Self::Decimal { precision, values } => append_decimals(array, *precision, range, values),
            Self::Variable { lengths, bytes } => append_variable(array, range, lengths, bytes),
            Self::List { lengths, elements } => append_lists(array, range, lengths, elements),
            Self::Map { lengths, keys, values } => {
                let maps = array.as_map_opt().ok_or_else(|| mismatch(array.data_type()))?;
                let offsets = maps.value_offsets();
                let held = push_lengths(offsets, range, lengths)?;
                keys.append(&maps.keys().slice(held.start, held.len()))?;
                values.append(&maps.values().slice(held.start, held.len()))
            }
            Self::FixedList { length, elements } => {
                let lists = array.as_fixed_size_list_opt().ok_or_else(|| mismatch(array.data_type()))?;
                let found = lists.value_length().unsigned_abs() as usize;
                if found != *length {
                    return Err(mismatch(array.data_type()));
                }
                elements.append(&lists.values().slice(range.start * found, range.len() * found))
            }
            Self::Struct(children) => {
                let structs = array.as_struct_opt().ok_or_else(|| mismatch(array.data_type()))?;
                if structs.num_columns() != children.len() {
                    return Err(mismatch(array.data_type()));
                }
                for (child, column) in children.iter_mut().zip(structs.columns()) {
                    child.append(&column.slice(range.start, range.len()))?;
                }
                Ok(())
            }
        }
    }

    /// The hashes of the parts, in order.
    fn finish(self) -> Vec<Hash> {
        match self {
            Self::Null => Vec::new(),
            Self::Bool(values) | Self::Fixed { values, .. } | Self::Decimal { values, .. } => {
                vec![values.finish()]
            }
            Self::Variable { lengths, bytes } => vec![lengths.finish(), bytes.finish()],
            Self::List { lengths, elements } => vec![lengths.finish(), elements.finish()],
            Self::Map { lengths, keys, values } => vec![lengths.finish(), keys.finish(), values.finish()],
            Self::FixedList { elements, .. } => vec![elements.finish()],
            Self::Struct(children) => children.into_iter().map(Node::finish).collect(),
        }
    }
}

fn mismatch(found: &ArrowType) -> Error {
    Error::Invalid(format!("an array of type {found} cannot be hashed among values of another type"))
}

/// Adds ranges of values of a fixed width, as they lie in memory.
fn append_fixed(
    array: &ArrayRef,
    width: usize,
    ranges: impl Iterator<Item = Range<usize>>,
    values: &mut ByteStream,
) -> Result<()> {
    let found = match array.data_type() {
        ArrowType::FixedSizeBinary(found) => Some(found.unsigned_abs() as usize),
        other => other.primitive_width(),
    };
    let data = array.to_data();
    let bytes = data.buffers().first().filter(|_| found == Some(width));
    let bytes = bytes.and_then(|buffer| buffer.get(data.offset() * width..));
    let bytes = bytes.ok_or_else(|| mismatch(array.data_type()))?;
    for range in ranges {
        let held = bytes.get(range.start * width..range.end * width);
        values.push(held.ok_or_else(|| mismatch(array.data_type()))?);
    }
    Ok(())
}

fn append_decimals(
    array: &ArrayRef,
    precision: u8,
    range: Range<usize>,
    values: &mut ByteStream,
) -> Result<()> {
    let narrow = precision <= NARROW_DIGITS;
    match array.data_type() {
        ArrowType::Decimal32(..) => widen::<Decimal32Type>(array, range, values),
        ArrowType::Decimal64(..) => widen::<Decimal64Type>(array, range, values),
        ArrowType::Decimal128(..) if narrow => append_fixed(array, 16, once(range), values),
        ArrowType::Decimal256(..) if narrow => {
            let decimals: &PrimitiveArray<Decimal256Type> = array.as_primitive();
            for row in range {
                let value: i256 = decimals.value(row);
                let value = value.to_i128().ok_or_else(|| {
                    Error::Invalid(format!("a decimal has more than its {precision} digits"))
                })?;
                values.push(&value.to_le_bytes());
            }
            Ok(())
        }
        ArrowType::Decimal256(..) => append_fixed(array, 32, once(range), values),
        found => Err(mismatch(found)),
    }
}

fn widen<D: ArrowPrimitiveType<Native: Into<i128>>>(
    array: &ArrayRef,
    range: Range<usize>,
    values: &mut ByteStream,
) -> Result<()> {
    let decimals = array.as_primitive::<D>();
    for row in range {
        let value: i128 = decimals.value(row).into();
        values.push(&value.to_le_bytes());
    }
    Ok(())
}

fn append_variable(
    array: &ArrayRef,
    range: Range<usize>,
    lengths: &mut ByteStream,
    bytes: &mut ByteStream,
) -> Result<()> {
    match array.data_type() {
        ArrowType::Utf8 => append_bytes(array.as_string::<i32>(), range, lengths, bytes),
        ArrowType::LargeUtf8 => append_bytes(array.as_string::<i64>(), range, lengths, bytes),
        ArrowType::Binary => append_bytes(array.as_binary::<i32>(), range, lengths, bytes),
        ArrowType::LargeBinary => append_bytes(array.as_binary::<i64>(), range, lengths, bytes),
        ArrowType::Utf8View => append_views(array.as_string_view(), range, lengths, bytes),
        ArrowType::BinaryView => append_views(array.as_binary_view(), range, lengths, bytes),
        found => Err(mismatch(found)),
    }
}

fn append_bytes<T>(
    array: &GenericByteArray<T>,
    range: Range<usize>,
    lengths: &mut ByteStream,
    bytes: &mut ByteStream,
) -> Result<()>
where
    T: ByteArrayType,
    T::Offset: Copy + TryInto<usize>,
{
    let held = push_lengths(array.value_offsets(), range, lengths)?;
    let values = array.value_data().get(held);
    bytes.push(values.ok_or_else(|| mismatch(array.data_type()))?);
    Ok(())
}

fn append_views<T: ByteViewType>(
    array: &GenericByteViewArray<T>,
    range: Range<usize>,
    lengths: &mut ByteStream,
    bytes: &mut ByteStream,
) -> Result<()> {
    for row in range {
        let value: &[u8] = array.value(row).as_ref();
        push_length(value.len(), lengths)?;
        bytes.push(value);
    }
    Ok(())
}

fn append_lists(
    array: &ArrayRef,
    range: Range<usize>,
    lengths: &mut ByteStream,
    elements: &mut Node,
) -> Result<()> {
    match array.data_type() {
        ArrowType::List(_) => {
            let lists = array.as_list::<i32>();
            let held = push_lengths(lists.value_offsets(), range, lengths)?;
            elements.append(&lists.values().slice(held.start, held.len()))
        }
        ArrowType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let held = push_lengths(lists.value_offsets(), range, lengths)?;
            elements.append(&lists.values().slice(held.start, held.len()))
        }
        ArrowType::ListView(_) => {
            let lists = array.as_list_view::<i32>();
            range.into_iter().try_for_each(|row| append_list(&lists.value(row), lengths, elements))
        }
        ArrowType::LargeListView(_) => {
            let lists = array.as_list_view::<i64>();
            range.into_iter().try_for_each(|row| append_list(&lists.value(row), lengths, elements))
        }
        found => Err(mismatch(found)),
    }
}

fn append_list(list: &ArrayRef, lengths: &mut ByteStream, elements: &mut Node) -> Result<()> {
    push_length(list.len(), lengths)?;
    elements.append(list)
}

/// Adds the lengths of a range of entries; gives the range of what they hold.
fn push_lengths<O: Copy + TryInto<usize>>(
    offsets: &[O],
    range: Range<usize>,
    lengths: &mut ByteStream,
) -> Result<Range<usize>> {
    let odd = || Error::Invalid("the offsets of an array are out of order".into());
    let offsets = offsets.get(range.start..=range.end).ok_or_else(odd)?;
    let mut ends = offsets.iter().map(|offset| (*offset).try_into().map_err(|_| odd()));
    let first = ends.next().ok_or_else(odd)??;
    let mut last = first;
    for end in ends {
        let end = end?;
        push_length(end.checked_sub(last).ok_or_else(odd)?, lengths)?;
        last = end;
    }
    Ok(first..last)
}

fn push_length(length: usize, lengths: &mut ByteStream) -> Result<()> {
    let length = u32::try_from(length).map_err(|_| Error::TooMuch {
        what: "length of one value that is hashed",
        actual: length as u64,
        limit: u64::from(u32::MAX),
    })?;
    lengths.push(&length.to_le_bytes());
    Ok(())
}
