//! Lists, vectors, maps and structs.
//!
//! Whatever lies under a null is dropped or made null before the children are looked at: it is no value, and
//! a strange value there must not be refused or hashed.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, ListArray, MapArray,
        PrimitiveArray, StructArray, UInt64Array, make_array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::take,
    datatypes::{DataType as ArrowType, Field as ArrowField, Float32Type, Float64Type},
};
use lineate_types::{DataType, Field, limits};

use super::{Refusal, Rules, convert};
use crate::{
    intake::refusal::{excerpt, hint},
    schema::{arrow_field, arrow_type, entries_field, entries_fields, struct_fields},
};

pub(super) fn lists(array: &ArrayRef, element: &DataType, rules: Rules) -> Result<ArrayRef, Refusal> {
    let expected = || DataType::List(Box::new(element.clone()));
    let parts = Parts::of(array)?.ok_or_else(|| Refusal::wrong_type(expected(), array.data_type()))?;
    let elements = convert(&parts.elements, element, rules).map_err(|refusal| parts.inside(refusal, "[]"))?;
    let field = Arc::new(arrow_field("item", element, true));
    let lists = ListArray::try_new(field, parts.offsets, elements, parts.nulls);
    lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(|cause| Refusal::wrong_type(expected(), cause))
}

pub(super) fn vectors(
    array: &ArrayRef,
    double: bool,
    length: u32,
    rules: Rules,
) -> Result<ArrayRef, Refusal> {
    let expected = DataType::Vector { double, length };
    let parts = Parts::of(array)?.ok_or_else(|| Refusal::wrong_type(&expected, array.data_type()))?;
    if let ArrowType::FixedSizeList(_, found) = array.data_type()
        && u32::try_from(*found) != Ok(length)
    {
        return Err(Refusal::wrong_type(&expected, array.data_type()));
    }
    for (row, found) in parts.offsets.lengths().enumerate() {
        if parts.is_valid(row) && found != length as usize {
            return Err(Refusal::value(row, format!("expected {length} elements, found {found}")));
        }
    }
    let element = if double { DataType::Float64 } else { DataType::Float32 };
    let elements =
        convert(&parts.elements, &element, rules).map_err(|refusal| parts.inside(refusal, "[]"))?;
    if let Some(nulls) = elements.nulls().filter(|nulls| nulls.null_count() > 0) {
        let at = nulls.iter().position(|valid| !valid).unwrap_or(0);
        return Err(parts.inside(Refusal::value(at, "a vector has no null elements"), "[]"));
    }
    let elements = parts.with_zeros_under_nulls(&elements, length as usize);
    let field = Arc::new(ArrowField::new("item", arrow_type(&element), false));
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    let vectors = FixedSizeListArray::try_new(field, length, elements, parts.nulls);
    vectors
        .map(|vectors| Arc::new(vectors) as ArrayRef)
        .map_err(|cause| Refusal::wrong_type(&expected, cause))
}

pub(super) fn maps(array: &ArrayRef, value: &DataType, rules: Rules) -> Result<ArrayRef, Refusal> {
    let wrong =
        |found: &dyn std::fmt::Display| Refusal::wrong_type(DataType::Map(Box::new(value.clone())), found);
    let parts = match array.data_type() {
        ArrowType::Map(..) => Parts::of(array)?,
        _ => None,
    }
    .ok_or_else(|| wrong(array.data_type()))?;
    let entries = parts.elements.as_struct_opt().ok_or_else(|| wrong(array.data_type()))?;
    let [keys, values] = entries.columns() else { return Err(wrong(array.data_type())) };
    let keys = convert(keys, &DataType::String, rules).map_err(|refusal| parts.inside(refusal, ".keys"))?;
    let values = convert(values, value, rules).map_err(|refusal| parts.inside(refusal, ".values"))?;
    check_map_keys(&parts, &keys)?;
    let entries = StructArray::try_new(entries_fields(value), vec![keys, values], None);
    let entries = entries.map_err(|cause| wrong(&cause))?;
    let maps = MapArray::try_new(Arc::new(entries_field(value)), parts.offsets, entries, parts.nulls, false);
    maps.map(|maps| Arc::new(maps) as ArrayRef).map_err(|cause| wrong(&cause))
}

/// No key is null, none occurs twice in a map.
fn check_map_keys(parts: &Parts, keys: &ArrayRef) -> Result<(), Refusal> {
    let keys = keys.as_string::<i32>();
    if let Some(at) = keys.nulls().and_then(|nulls| nulls.iter().position(|valid| !valid)) {
        return Err(parts.inside(Refusal::value(at, "a key of a map may not be null"), ".keys"));
    }
    let mut seen = BTreeSet::new();
    for (row, (start, end)) in parts.offsets.iter().zip(parts.offsets.iter().skip(1)).enumerate() {
        seen.clear();
        for at in *start..*end {
            let key = keys.value(at as usize);
            if !seen.insert(key) {
                return Err(Refusal::value(row, format!("the key {} occurs twice in a map", excerpt(key))));
            }
        }
    }
    Ok(())
}

pub(super) fn structs(array: &ArrayRef, fields: &[Field], rules: Rules) -> Result<ArrayRef, Refusal> {
    let expected = || DataType::Struct(fields.to_vec());
    let found = array.as_struct_opt().ok_or_else(|| Refusal::wrong_type(expected(), array.data_type()))?;
    let wanted: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let present: BTreeSet<&str> = found.column_names().into_iter().collect();
    if present.len() != found.num_columns() {
        return Err(Refusal::wrong_type(expected(), "a struct with two fields of one name"));
    }
    if let Some(extra) = present.iter().find(|name| !wanted.contains(*name)) {
        let why = format!("field {} is not in {}{}", excerpt(extra), expected(), hint(extra, wanted));
        return Err(Refusal::Type { path: String::new(), why });
    }
    let columns = fields.iter().map(|field| {
        let name = field.name.as_str();
        let Some(child) = found.column_by_name(name) else {
            return Err(Refusal::wrong_type(expected(), format!("a struct without field `{name}`")));
        };
        let child = null_where(child, found.nulls())?;
        convert(&child, &field.data_type, rules)
            .map_err(|refusal| refusal.inside(&format!(".{name}"), |index| index))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let structs = StructArray::try_new(struct_fields(fields), columns, found.nulls().cloned());
    structs
        .map(|structs| Arc::new(structs) as ArrayRef)
        .map_err(|cause| Refusal::wrong_type(expected(), cause))
}

/// A struct's child, null where the struct is.
fn null_where(child: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef, Refusal> {
    if parent.is_none_or(|nulls| nulls.null_count() == 0) {
        return Ok(child.clone());
    }
    let child = super::unpack(child)?;
    if *child.data_type() == ArrowType::Null {
        return Ok(child);
    }
    let nulls = NullBuffer::union(child.nulls(), parent);
    let masked = child.to_data().into_builder().nulls(nulls).build();
    masked.map(make_array).map_err(|cause| Refusal::wrong_type("a struct", cause))
}

/// A list-like column taken apart: elements of valid rows only, in row order.
struct Parts {
    elements: ArrayRef,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

impl Parts {
    /// The parts of a list of any layout, or of a map; none for any other type.
    fn of(array: &ArrayRef) -> Result<Option<Self>, Refusal> {
        let ranges: Box<dyn Iterator<Item = (u64, u64)>>;
        let values: &ArrayRef;
        let entries: ArrayRef;
        match array.data_type() {
            ArrowType::List(_) => {
                let list = array.as_list::<i32>();
                values = list.values();
                ranges = Box::new(list.value_offsets().windows(2).map(range));
            }
            ArrowType::LargeList(_) => {
                let list = array.as_list::<i64>();
                values = list.values();
                ranges = Box::new(list.value_offsets().windows(2).map(range));
            }
            ArrowType::ListView(_) => {
                let list = array.as_list_view::<i32>();
                values = list.values();
                ranges = Box::new(views(list.value_offsets(), list.value_sizes()));
            }
            ArrowType::LargeListView(_) => {
                let list = array.as_list_view::<i64>();
                values = list.values();
                ranges = Box::new(views(list.value_offsets(), list.value_sizes()));
            }
            ArrowType::FixedSizeList(_, length) => {
                let list = array.as_fixed_size_list();
                let length = u64::from(length.unsigned_abs());
                values = list.values();
                ranges = Box::new((0..array.len() as u64).map(move |row| (row * length, length)));
            }
            ArrowType::Map(..) => {
                let map = array.as_map();
                entries = Arc::new(map.entries().clone());
                values = &entries;
                ranges = Box::new(map.value_offsets().windows(2).map(range));
            }
            _ => return Ok(None),
        }
        Self::gather(values, ranges, array.nulls().cloned()).map(Some)
    }

    fn gather(
        values: &ArrayRef,
        ranges: impl Iterator<Item = (u64, u64)>,
        nulls: Option<NullBuffer>,
    ) -> Result<Self, Refusal> {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let ranges: Vec<(u64, u64)> =
            ranges.enumerate().map(|(row, range)| if valid(row) { range } else { (0, 0) }).collect();
        let limit = (limits::INTAKE_COLUMN_BYTES / 8) as u64;
        let total = ranges.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
        if total > limit {
            return Err(Refusal::TooMuch { what: "elements of a column of a batch", actual: total, limit });
        }
        let offsets = OffsetBuffer::from_lengths(ranges.iter().map(|(_, length)| *length as usize));
        let mut filled = ranges.iter().filter(|(_, length)| *length > 0);
        let first = filled.next().map_or(0, |(start, _)| *start);
        let mut next = first;
        let contiguous = ranges.iter().filter(|(_, length)| *length > 0).all(|(start, length)| {
            let follows = *start == next;
            next = start.saturating_add(*length);
            follows
        });
        let elements = if contiguous {
            values.slice(first as usize, total as usize)
        } else {
            let indices = ranges.iter().flat_map(|(start, length)| *start..start.saturating_add(*length));
            take(values, &UInt64Array::from_iter_values(indices), None)
                .map_err(|cause| Refusal::wrong_type("a list", cause))?
        };
        Ok(Self { elements, offsets, nulls })
    }

    fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    /// A refusal of an element, told of the row that holds it.
    fn inside(&self, refusal: Refusal, step: &str) -> Refusal {
        refusal.inside(step, |element| {
            self.offsets.partition_point(|offset| *offset as usize <= element).saturating_sub(1)
        })
    }

    /// Elements as a vector column has them: `length` for every row, zeros where the row is null.
    fn with_zeros_under_nulls(&self, elements: &ArrayRef, length: usize) -> ArrayRef {
        match (&self.nulls, elements.data_type()) {
            (Some(nulls), ArrowType::Float32) => zeros_under::<Float32Type>(nulls, elements, length),
            (Some(nulls), ArrowType::Float64) => zeros_under::<Float64Type>(nulls, elements, length),
            _ => elements.clone(),
        }
    }
}

fn zeros_under<T: ArrowPrimitiveType>(nulls: &NullBuffer, elements: &ArrayRef, length: usize) -> ArrayRef {
    let mut rows = elements.as_primitive::<T>().values().chunks(length);
    let mut padded: Vec<T::Native> = Vec::with_capacity(nulls.len() * length);
    for valid in nulls {
        match valid.then(|| rows.next()).flatten() {
            Some(row) => padded.extend_from_slice(row),
            None => padded.resize(padded.len() + length, T::default_value()),
        }
    }
    Arc::new(PrimitiveArray::<T>::new(padded.into(), None))
}

fn range<O: Copy + TryInto<u64>>(window: &[O]) -> (u64, u64) {
    match *window {
        [start, end] => {
            let start = start.try_into().unwrap_or(0);
            (start, end.try_into().unwrap_or(0).saturating_sub(start))
        }
        _ => (0, 0),
    }
}

fn views<'a, O: Copy + TryInto<u64>>(
    offsets: &'a [O],
    sizes: &'a [O],
) -> impl Iterator<Item = (u64, u64)> + 'a {
    let number = |value: &O| (*value).try_into().unwrap_or(0);
    offsets.iter().zip(sizes).map(move |(offset, size)| (number(offset), number(size)))
}
