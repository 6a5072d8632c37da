//! The same values in every layout, and other values.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, RunArray, StringArray, StructArray,
        UInt32Array, UnionArray, make_array, new_empty_array, new_null_array,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::{cast, concat, take},
    datatypes::{DataType as ArrowType, Field, Int32Type, UnionFields},
};
use lineate_segment::logical_hash::{ColumnHasher, TableHasher};
use proptest::prelude::*;

use super::hash_of;
use crate::fixture;

/// Rows of `struct<n:int64,l:list<string>,b:bool>`, null at any level.
type Row = Option<(Option<i64>, Option<Vec<Option<String>>>, Option<bool>)>;

fn row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![Just(String::new()), "[a-cé]{1,3}", "x{11,14}"];
    let list = proptest::option::of(proptest::collection::vec(proptest::option::of(text), 0..4));
    proptest::option::weighted(0.8, (proptest::option::of(any::<i64>()), list, any::<Option<bool>>()))
}

fn fields() -> Vec<Field> {
    let item = Field::new("item", ArrowType::Utf8, true);
    vec![
        Field::new("n", ArrowType::Int64, true),
        Field::new("l", ArrowType::List(Arc::new(item)), true),
        Field::new("b", ArrowType::Boolean, true),
    ]
}

fn field() -> Field {
    Field::new("x", ArrowType::Struct(fields().into()), true)
}

/// The rows as an array; `garbage` says what lies under nulls.
fn array(rows: &[Row], garbage: bool) -> ArrayRef {
    let some = |row: &Row| {
        row.clone().unwrap_or((garbage.then_some(77), garbage.then(|| vec![Some("g".into())]), None))
    };
    let rows_or_garbage: Vec<_> = rows.iter().map(some).collect();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(rows_or_garbage.iter().map(|(n, ..)| *n)));
    let flags: ArrayRef = Arc::new(BooleanArray::from_iter(rows_or_garbage.iter().map(|(.., b)| *b)));
    let held = |list: &Option<Vec<Option<String>>>| match list {
        Some(items) => items.clone(),
        None if garbage => vec![Some("under a null".to_owned()), None],
        None => vec![],
    };
    let lists: Vec<Vec<Option<String>>> = rows_or_garbage.iter().map(|(_, list, _)| held(list)).collect();
    let lengths = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
    let texts: ArrayRef = Arc::new(StringArray::from_iter(lists.into_iter().flatten()));
    let nulls = NullBuffer::from_iter(rows_or_garbage.iter().map(|(_, list, _)| list.is_some()));
    let item = Arc::new(Field::new("item", ArrowType::Utf8, true));
    let lists: ArrayRef = Arc::new(ListArray::try_new(item, lengths, texts, Some(nulls)).expect("lists"));
    let nulls = NullBuffer::from_iter(rows.iter().map(Option::is_some));
    Arc::new(
        StructArray::try_new(fields().into(), vec![numbers, lists, flags], Some(nulls)).expect("structs"),
    )
}

fn pieces(array: &ArrayRef, cuts: &[prop::sample::Index]) -> Vec<ArrayRef> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(array.len() + 1)).collect();
    ends.push(array.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let piece = array.slice(start, end - start);
            start = end;
            piece
        })
        .collect()
}

proptest! {
    #[test]
    fn cutting_slicing_and_garbage_never_change_the_hash(
        rows in proptest::collection::vec(row(), 0..40),
        around in proptest::collection::vec(row(), 0..10),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let expected = hash_of(&field(), &[array(&rows, false)]);
        prop_assert_eq!(hash_of(&field(), &pieces(&array(&rows, true), &cuts)), expected);
        let padded = [&around[..], &rows[..], &around[..]].concat();
        let slice = array(&padded, true).slice(around.len(), rows.len());
        prop_assert_eq!(hash_of(&field(), &pieces(&slice, &cuts)), expected);
    }

    #[test]
    fn dictionaries_never_change_the_hash(
        rows in proptest::collection::vec(row(), 1..30),
        order in any::<prop::sample::Index>(),
    ) {
        let plain = array(&rows, true);
        let expected = hash_of(&field(), [&plain]);
        // A dictionary in another order than the rows; a null value in it besides null keys.
        let shift = order.index(rows.len()) as u32;
        let count = rows.len() as u32;
        let values = take(&plain, &UInt32Array::from_iter_values((0..count).map(|at| (at + shift) % count)), None);
        let keys = Int32Array::from_iter((0..count).map(|at| {
            let key = ((at + count - shift) % count) as i32;
            (rows[at as usize].is_some() || at % 2 == 0).then_some(key)
        }));
        let dictionary: ArrayRef =
            Arc::new(arrow::array::DictionaryArray::try_new(keys, values.expect("values")).expect("dictionary"));
        prop_assert_eq!(hash_of(&field(), [&dictionary]), expected);
        let as_declared = Field::new("x", dictionary.data_type().clone(), true);
        prop_assert_eq!(hash_of(&as_declared, &[plain]), expected);
    }

    #[test]
    fn text_hashes_alike_in_every_layout(
        texts in proptest::collection::vec(proptest::option::of("[a-cé]{0,3}|x{11,14}"), 0..40),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let plain: ArrayRef = Arc::new(StringArray::from_iter(texts.clone()));
        let field = Field::new("x", ArrowType::Utf8, true);
        let expected = hash_of(&field, [&plain]);
        for layout in [ArrowType::LargeUtf8, ArrowType::Utf8View] {
            let other = cast(&plain, &layout).expect("a layout");
            prop_assert_eq!(hash_of(&field, &pieces(&other, &cuts)), expected);
        }
        let runs: RunArray<Int32Type> = texts.iter().map(|text| text.as_deref()).collect();
        let runs: ArrayRef = Arc::new(runs);
        prop_assert_eq!(hash_of(&field, &pieces(&runs, &cuts)), expected);
        let binary = cast(&plain, &ArrowType::Binary).expect("bytes");
        let as_bytes = hash_of(&Field::new("x", ArrowType::Binary, true), &[binary]);
        prop_assert_ne!(as_bytes, expected, "the type counts");
    }

    #[test]
    fn any_change_of_a_value_changes_the_hash(
        rows in proptest::collection::vec(row(), 1..20),
        at in any::<prop::sample::Index>(),
        other in row(),
    ) {
        let at = at.index(rows.len());
        let mut changed = rows.clone();
        changed[at] = other;
        let same = changed == rows;
        let hashes = [&rows, &changed].map(|rows| hash_of(&field(), &[array(rows, false)]));
        prop_assert_eq!(hashes[0] == hashes[1], same);
        let longer = [&rows[..], &[None]].concat();
        prop_assert_ne!(hash_of(&field(), &[array(&longer, false)]), hashes[0]);
    }
}

#[test]
fn values_never_run_into_each_other() {
    let strings = |texts: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let field = Field::new("x", ArrowType::Utf8, true);
    let hash = |texts| hash_of(&field, &[strings(texts)]);
    assert_ne!(hash(vec![Some("ab"), Some("c")]), hash(vec![Some("a"), Some("bc")]));
    assert_ne!(hash(vec![Some(""), None]), hash(vec![None, Some("")]));
    assert_ne!(hash(vec![None]), hash(vec![Some("")]));
    assert_ne!(hash(vec![]), hash(vec![None]));
}

#[test]
fn lists_hash_alike_with_wide_offsets_and_as_views() {
    let rows = vec![
        Some((None, Some(vec![Some("a".to_owned()), None]), None)),
        None,
        Some((None, Some(vec![]), None)),
    ];
    let structs = array(&rows, true);
    let lists = arrow::array::AsArray::as_struct(&structs).column(1).clone();
    let field = Field::new("x", lists.data_type().clone(), true);
    let expected = hash_of(&field, [&lists]);
    let item = Arc::new(Field::new("item", ArrowType::LargeUtf8, true));
    for layout in [
        ArrowType::LargeList(item.clone()),
        ArrowType::ListView(item.clone()),
        ArrowType::LargeListView(item),
    ] {
        let other = cast(&lists, &layout).expect("a layout");
        assert_eq!(hash_of(&field, &[other.slice(0, 1), other.slice(1, 2)]), expected, "{layout}");
    }
}

#[test]
fn types_without_values_still_count() {
    let empty = |data_type: ArrowType| {
        let array = new_empty_array(&data_type);
        hash_of(&Field::new("x", data_type, true), &[array])
    };
    assert_ne!(empty(ArrowType::Int64), empty(ArrowType::Int32));
    assert_eq!(empty(ArrowType::Utf8), empty(ArrowType::Utf8View));
    let nulls = |data_type: ArrowType| {
        let array = new_null_array(&data_type, 3);
        hash_of(&Field::new("x", data_type, true), &[array])
    };
    assert_ne!(nulls(ArrowType::Int64), nulls(ArrowType::Null));
}

#[test]
fn arrays_of_another_type_are_refused() {
    let mut hasher = ColumnHasher::new(&Field::new("x", ArrowType::Int64, true)).expect("no union");
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    assert!(hasher.update(&narrow).is_err());
    let union = UnionFields::from_fields(vec![Field::new("a", ArrowType::Int64, true)]);
    let child: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let union =
        UnionArray::try_new(union, ScalarBuffer::from(vec![0_i8]), None, vec![child]).expect("a union");
    assert!(ColumnHasher::new(&Field::new("x", union.data_type().clone(), true)).is_err());
}

#[test]
fn a_table_hash_names_its_columns() {
    let view = fixture::view(false);
    let batch = fixture::batch(&[], &view);
    let hash = |batch: &arrow::array::RecordBatch| {
        let mut hasher = TableHasher::new(batch.schema_ref()).expect("no union");
        hasher.update(batch).expect("its own batch");
        hasher.finish()
    };
    let fewer: Vec<usize> = (1..batch.num_columns()).collect();
    assert_ne!(hash(&batch), hash(&batch.project(&fewer).expect("columns")));
    assert!(
        TableHasher::new(batch.schema_ref())
            .expect("no union")
            .update(&batch.project(&fewer).expect("columns"))
            .is_err()
    );
    let doubled = concat(&[batch.column(0).as_ref(), batch.column(0).as_ref()]).expect("one type");
    assert_eq!(make_array(doubled.to_data()).len(), 0);
}
