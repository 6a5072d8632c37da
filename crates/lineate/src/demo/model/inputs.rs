//! From the rows of a training set to the numbers that a model takes.

use std::collections::BTreeSet;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, TimestampMicrosecondType},
    error::ArrowError,
};

use crate::demo::data::{CUSTOMER, EVENT_TIME, LABEL, MERCHANT, PAYMENT};

/// Which numbers a model takes, by name: two of each column that is a number or a yes or no, `ln(1 + |x|)` with the
/// sign of x, and whether the value is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) struct Inputs {
    columns: Vec<String>,
}

/// Labelled rows of a training set, as numbers.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::demo) struct Examples {
    /// Numbers of one row.
    pub(in crate::demo) width: usize,
    /// The numbers, row by row.
    pub(in crate::demo) numbers: Vec<f64>,
    /// Whether each row is a fraud.
    pub(in crate::demo) labels: Vec<bool>,
    /// When each row happened.
    pub(in crate::demo) times_us: Vec<i64>,
}

impl Inputs {
    /// Every column of a training set that is a number, but for keys, ids and the label.
    pub(in crate::demo) fn of(rows: &RecordBatch) -> Self {
        let not_inputs = BTreeSet::from([CUSTOMER, MERCHANT, EVENT_TIME, LABEL, PAYMENT]);
        let schema = rows.schema();
        let fields = schema.fields().iter().filter(|field| {
            let number = field.data_type().is_numeric() || *field.data_type() == DataType::Boolean;
            number && !not_inputs.contains(field.name().as_str())
        });
        Self { columns: fields.map(|field| field.name().clone()).collect() }
    }

    /// The names of the numbers, in order.
    pub(in crate::demo) fn names(&self) -> Vec<String> {
        self.columns.iter().flat_map(|column| [column.clone(), format!("{column} is missing")]).collect()
    }

    /// The rows that have a label, as numbers.
    ///
    /// # Errors
    /// A column is missing or no number.
    pub(in crate::demo) fn read(&self, rows: &RecordBatch) -> Result<Examples, ArrowError> {
        let column = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("the training set has no column `{name}`"));
            rows.column_by_name(name).ok_or_else(missing)
        };
        let labels = column(LABEL)?;
        let labels = labels.as_boolean_opt().ok_or_else(|| unlike(LABEL, labels))?;
        let times = column(EVENT_TIME)?;
        let times =
            times.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| unlike(EVENT_TIME, times))?;
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|name| cast(column(name)?, &DataType::Float64))
            .collect::<Result<_, _>>()?;
        let values: Vec<_> = columns.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
        let width = 2 * values.len();
        let mut examples = Examples { width, numbers: Vec::new(), labels: Vec::new(), times_us: Vec::new() };
        for (row, (label, time)) in labels.iter().zip(times).enumerate() {
            let (Some(label), Some(time)) = (label, time) else { continue };
            examples.labels.push(label);
            examples.times_us.push(time);
            for column in &values {
                let value = column.is_valid(row).then(|| column.value(row));
                examples.numbers.push(value.map_or(0.0, |value| value.abs().ln_1p().copysign(value)));
                examples.numbers.push(f64::from(u8::from(value.is_none())));
            }
        }
        Ok(examples)
    }
}

impl Examples {
    /// The rows, each with its label.
    pub(in crate::demo) fn rows(&self) -> impl Iterator<Item = (&[f64], bool)> {
        self.numbers.chunks_exact(self.width.max(1)).zip(self.labels.iter().copied())
    }

    /// The rows before a time, and those from it on.
    pub(in crate::demo) fn split(&self, at_us: i64) -> (Self, Self) {
        let part = |wanted: &dyn Fn(i64) -> bool| {
            let empty =
                Self { width: self.width, numbers: Vec::new(), labels: Vec::new(), times_us: Vec::new() };
            self.rows().zip(&self.times_us).filter(|(_, time)| wanted(**time)).fold(
                empty,
                |mut part, ((numbers, label), time)| {
                    part.numbers.extend_from_slice(numbers);
                    part.labels.push(label);
                    part.times_us.push(*time);
                    part
                },
            )
        };
        (part(&|time| time < at_us), part(&|time| time >= at_us))
    }

    /// The time that so large a share of the rows lies before.
    pub(in crate::demo) fn time_at(&self, share: f64) -> i64 {
        let mut times = self.times_us.clone();
        times.sort_unstable();
        times.get((times.len() as f64 * share) as usize).copied().unwrap_or(i64::MAX)
    }

    /// How many rows are frauds.
    pub(in crate::demo) fn frauds(&self) -> u64 {
        self.labels.iter().filter(|label| **label).count() as u64
    }
}

fn unlike(name: &str, column: &ArrayRef) -> ArrowError {
    ArrowError::SchemaError(format!("column `{name}` of the training set is {}", column.data_type()))
}
