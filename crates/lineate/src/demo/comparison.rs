//! Where two answers to the same question differ, cell by cell.

use arrow::{
    array::{ArrayRef, RecordBatch},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use lineate_client::Answer;

/// Which rows of one column differ from the other's; a null differs from every value and from no null.
///
/// # Errors
/// The columns have other types or lengths.
pub(super) fn differing_cells(one: &ArrayRef, other: &ArrayRef) -> Result<Vec<bool>, ArrowError> {
    if one.len() != other.len() {
        let (one, other) = (one.len(), other.len());
        return Err(ArrowError::InvalidArgumentError(format!(
            "one column has {one} rows, the other {other}"
        )));
    }
    let converter = RowConverter::new(vec![SortField::new(one.data_type().clone())])?;
    let one = converter.convert_columns(std::slice::from_ref(one))?;
    let other = converter.convert_columns(std::slice::from_ref(other))?;
    Ok(one.iter().zip(&other).map(|(one, other)| one != other).collect())
}

/// Which rows of two batches with the same columns differ in any of them.
///
/// # Errors
/// The batches have other columns or lengths.
pub(super) fn differing_rows(one: &RecordBatch, other: &RecordBatch) -> Result<Vec<bool>, ArrowError> {
    if one.num_columns() != other.num_columns() {
        return Err(ArrowError::InvalidArgumentError("the answers have other columns".to_owned()));
    }
    let mut rows = vec![false; one.num_rows()];
    for (one, other) in one.columns().iter().zip(other.columns()) {
        for (row, cell) in rows.iter_mut().zip(differing_cells(one, other)?) {
            *row |= cell;
        }
    }
    Ok(rows)
}

/// How many entities got another answer: other values, or values of another time.
///
/// # Errors
/// The answers are to different questions.
pub(super) fn differing_entities(one: &Answer, other: &Answer) -> Result<u64, ArrowError> {
    let mut rows = differing_rows(&one.features, &other.features)?;
    for (one, other) in one.views.iter().zip(&other.views) {
        let times = one.event_times_us.iter().zip(&other.event_times_us);
        for (row, (one, other)) in rows.iter_mut().zip(times) {
            *row |= one != other;
        }
    }
    Ok(rows.into_iter().filter(|differs| *differs).count() as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn a_null_differs_from_values_only() {
        let one: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, None, Some(0.0)]));
        let other: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(1.0), Some(-0.0)]));
        assert_eq!(differing_cells(&one, &other).expect("compares"), [false, false, true, true]);
        assert!(differing_cells(&one, &other.slice(0, 2)).is_err());
        let list =
            |last| ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), last]), None]);
        let lists: [ArrayRef; 2] = [Arc::new(list(None)), Arc::new(list(Some(2)))];
        assert_eq!(differing_cells(&lists[0], &lists[1]).expect("compares"), [true, false]);
    }

    #[test]
    fn a_row_differs_if_any_cell_does() {
        let batch = |values: [i64; 2]| {
            let columns: [(&str, ArrayRef); 2] = [
                ("a", Arc::new(Int64Array::from(vec![1, 2]))),
                ("b", Arc::new(Int64Array::from(values.to_vec()))),
            ];
            RecordBatch::try_from_iter(columns).expect("equal lengths")
        };
        assert_eq!(differing_rows(&batch([1, 2]), &batch([1, 3])).expect("compares"), [false, true]);
    }
}
