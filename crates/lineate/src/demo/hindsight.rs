//! An independent check that no hindsight leaked: for one feature, what the files say was known at each label's
//! time, found by looking at every row of the merchant. It shares nothing with the store but the words of the contract.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{Float64Type, TimestampMicrosecondType},
    error::ArrowError,
};

use super::data::{CREATED_TIME, EVENT_TIME, MERCHANT};

/// What the files say of every merchant at every time.
#[derive(Debug, Default)]
pub(super) struct Hindsight {
    /// For each merchant: event time, created time, value; in the order of the files.
    rows: BTreeMap<String, Vec<(i64, i64, Option<f64>)>>,
}

/// Cells that were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    /// All.
    pub(super) cells: u64,
    /// Those that hold what was known at the label's time.
    pub(super) known: u64,
}

impl Hindsight {
    /// Reads one feature of the merchants' files, in the order in which they are loaded.
    ///
    /// # Errors
    /// A column is missing, or of another type.
    pub(super) fn of<'a>(
        files: impl IntoIterator<Item = &'a RecordBatch>,
        feature: &str,
    ) -> Result<Self, ArrowError> {
        let mut hindsight = Self::default();
        for rows in files {
            let merchants = texts(rows, MERCHANT)?;
            let (events, created) = (times(rows, EVENT_TIME)?, times(rows, CREATED_TIME)?);
            let values = numbers(rows, feature)?;
            for (((merchant, event), created), value) in
                merchants.iter().zip(events).zip(created).zip(&values)
            {
                if let (Some(merchant), Some(event), Some(created)) = (merchant, event, created) {
                    hindsight.rows.entry(merchant.to_owned()).or_default().push((event, created, value));
                }
            }
        }
        Ok(hindsight)
    }

    /// Compares the column of a training set with what was known at each label's time.
    ///
    /// # Errors
    /// A column is missing, or of another type.
    pub(super) fn check(&self, labels: &RecordBatch, column: &str) -> Result<Checked, ArrowError> {
        let (merchants, at) = (texts(labels, MERCHANT)?, times(labels, EVENT_TIME)?);
        let values = numbers(labels, column)?;
        let mut checked = Checked { cells: 0, known: 0 };
        for ((merchant, at), value) in merchants.iter().zip(at).zip(&values) {
            checked.cells += 1;
            checked.known += u64::from(self.known(merchant, at) == value);
        }
        Ok(checked)
    }

    /// The latest row known at a time; of equal rows the later one.
    fn known(&self, merchant: Option<&str>, at: Option<i64>) -> Option<f64> {
        let at = at?;
        let rows = self.rows.get(merchant?)?;
        let known = rows.iter().filter(|(event, created, _)| *event <= at && *created <= at);
        known.max_by_key(|(event, created, _)| (*event, *created)).and_then(|(_, _, value)| *value)
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    rows.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("there is no column `{name}`")))
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::StringArray, ArrowError> {
    let column = column(rows, name)?;
    column.as_string_opt().ok_or_else(|| unlike(name, column))
}

fn times(rows: &RecordBatch, name: &str) -> Result<Vec<Option<i64>>, ArrowError> {
    let column = column(rows, name)?;
    let times = column.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| unlike(name, column))?;
    Ok(times.iter().collect())
}

fn numbers(rows: &RecordBatch, name: &str) -> Result<arrow::array::Float64Array, ArrowError> {
    let column = column(rows, name)?;
    Ok(column.as_primitive_opt::<Float64Type>().ok_or_else(|| unlike(name, column))?.clone())
}

fn unlike(name: &str, column: &ArrayRef) -> ArrowError {
    ArrowError::SchemaError(format!("column `{name}` is {}", column.data_type()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn rows(rows: &[(&str, i64, i64, f64)]) -> RecordBatch {
        let times = |of: fn(&(&str, i64, i64, f64)) -> i64| {
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(of)).with_timezone("UTC"))
        };
        let columns: [(&str, ArrayRef); 4] = [
            (MERCHANT, Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)))),
            (EVENT_TIME, times(|row| row.1)),
            (CREATED_TIME, times(|row| row.2)),
            ("rate", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.3)))),
        ];
        RecordBatch::try_from_iter(columns).expect("equal lengths")
    }

    #[test]
    fn a_correction_counts_only_once_it_is_made() {
        let reports = rows(&[("m", 10, 12, 0.1), ("m", 20, 22, 0.2)]);
        let corrections = rows(&[("m", 10, 15, 0.7), ("m", 20, 40, 0.9)]);
        let hindsight = Hindsight::of([&reports, &corrections], "rate").expect("reads");
        let known = |at: i64| hindsight.known(Some("m"), Some(at));
        assert_eq!(
            [11, 12, 14, 15, 21, 22, 39, 40].map(known),
            [None, Some(0.1), Some(0.1), Some(0.7), Some(0.7), Some(0.2), Some(0.2), Some(0.9)]
        );
        assert_eq!(hindsight.known(Some("other"), Some(50)), None);
        assert_eq!(hindsight.known(None, Some(50)), None);
        let labels = rows(&[("m", 30, 0, 0.2), ("m", 30, 0, 0.9)]);
        let checked = hindsight.check(&labels, "rate").expect("reads");
        assert_eq!(checked, Checked { cells: 2, known: 1 });
        assert!(Hindsight::of([&reports], "tempo").is_err());
    }
}
