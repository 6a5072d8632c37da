//! Batches of canonical rows under one numbering, gathered by row number.

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{concat_batches, interleave},
    datatypes::{Field, FieldRef, SchemaRef},
};

use crate::{Error, Result};

/// Canonical batches of one history, perhaps of several versions of a view. Row `n` is the `n`-th row of all
/// batches in the order they were added.
#[derive(Debug, Clone)]
pub(crate) struct RowBatches {
    batches: Vec<RecordBatch>,
    /// The number of the first row of each batch.
    starts: Vec<u32>,
    rows: u32,
    /// Small batches are joined up to this many rows.
    joined_rows: usize,
    /// Columns of all batches.
    columns: usize,
}

/// Batches that are joined at a time, at most.
const JOINED_BATCHES: usize = 16;
/// Bytes of the batches that smaller ones are joined to, at most.
const JOINED_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of memory that a batch takes, and each of its columns, beside their values.
const BYTES_PER_BATCH: usize = 128;
const BYTES_PER_COLUMN: usize = 256;

/// Where some rows lie.
struct Located<'a> {
    /// The batches that hold them.
    batches: Vec<&'a RecordBatch>,
    /// For each row: which of these batches, and which row in it.
    places: Vec<(usize, usize)>,
}

impl RowBatches {
    /// No batches. Small ones will be joined up to `joined_rows`, so that single rows do not cost a batch each.
    pub(crate) fn joining(joined_rows: usize) -> Self {
        Self { batches: Vec::new(), starts: Vec::new(), rows: 0, joined_rows, columns: 0 }
    }

    /// Adds a batch and returns the number of its first row.
    ///
    /// # Errors
    /// The row numbers would pass `u32::MAX`.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<u32> {
        let start = self.rows;
        let end = u64::from(start) + batch.num_rows() as u64;
        self.rows = u32::try_from(end).map_err(|_| Error::TooMuch {
            what: "rows of a run",
            actual: end,
            limit: u64::from(u32::MAX),
        })?;
        self.starts.push(start);
        self.columns += batch.num_columns();
        self.batches.push(batch);
        self.join_small_batches();
        Ok(start)
    }

    /// The columns of all batches, each name once.
    pub(crate) fn columns(&self) -> Vec<FieldRef> {
        let mut columns: Vec<FieldRef> = Vec::new();
        let mut last: Option<&SchemaRef> = None;
        for schema in self.batches.iter().map(RecordBatch::schema_ref) {
            if last.is_some_and(|last| last.fields() == schema.fields()) {
                continue;
            }
            last = Some(schema);
            for field in schema.fields() {
                if columns.iter().all(|column| column.name() != field.name()) {
                    columns.push(field.clone());
                }
            }
        }
        columns
    }

    /// Bytes of the columns of `schema` in one row, on average.
    pub(crate) fn row_bytes(&self, schema: &SchemaRef) -> usize {
        let columns = self
            .batches
            .iter()
            .flat_map(|batch| schema.fields().iter().filter_map(|field| batch.column_by_name(field.name())));
        columns.map(column_bytes).sum::<usize>() / (self.rows as usize).max(1)
    }

    /// The named columns of some rows, in the order asked for. A nullable column that a batch does not have is
    /// null in its rows.
    ///
    /// # Errors
    /// There is no such row, or a column has another type or is missing and not nullable.
    pub(crate) fn gather(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
        let Located { batches, places } = self.locate(rows)?;
        let columns = schema.fields().iter().map(|field| {
            let parts =
                batches.iter().map(|batch| column_or_nulls(batch, field)).collect::<Result<Vec<_>>>()?;
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            match parts.is_empty() {
                true => Ok(new_null_array(field.data_type(), 0)),
                false => Ok(interleave(&parts, &places)?),
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
    }

    fn locate(&self, rows: &[u32]) -> Result<Located<'_>> {
        let mut touched = Vec::new();
        let mut place_of_batch = vec![usize::MAX; if rows.len() > 1 { self.batches.len() } else { 0 }];
        let mut places = Vec::with_capacity(rows.len());
        for row in rows {
            let number = self.starts.partition_point(|start| start <= row).wrapping_sub(1);
            let batch = self.batches.get(number).zip(self.starts.get(number));
            let Some((batch, start)) = batch.filter(|_| *row < self.rows) else {
                return Err(Error::Invalid(format!("there is no row {row} in a run of {}", self.rows)));
            };
            let place = match place_of_batch.get_mut(number) {
                Some(place) if *place == usize::MAX => {
                    *place = touched.len();
                    touched.push(batch);
                    *place
                }
                Some(place) => *place,
                None => {
                    touched.push(batch);
                    0
                }
            };
            places.push((place, (row - start) as usize));
        }
        Ok(Located { batches: touched, places })
    }

    /// Bytes of memory that the batches take beside their values: what many small ones that cannot be joined cost.
    pub(crate) fn batch_overhead(&self) -> usize {
        self.batches.len() * BYTES_PER_BATCH + self.columns * BYTES_PER_COLUMN
    }

    /// Joins the last batches once there are [`JOINED_BATCHES`] of them, or as many as a joined one has room for,
    /// while none of them is much larger than the last one: so each row is copied a few times only. Batches of
    /// several versions, and those whose values are too long, stay apart.
    fn join_small_batches(&mut self) {
        while let Some(count) = self.alike() {
            let Some((rest, alike)) = self.batches.split_at_checked(self.batches.len() - count) else {
                return;
            };
            let Some(last) = alike.last() else { return };
            if alike.iter().map(batch_bytes).sum::<usize>() > JOINED_BYTES {
                return;
            }
            let Ok(joined) = concat_batches(last.schema_ref(), alike) else { return };
            let kept = rest.len();
            self.columns -= joined.num_columns() * (count - 1);
            self.batches.truncate(kept);
            self.starts.truncate(kept + 1);
            self.batches.push(joined);
        }
    }

    /// How many of the last batches are to be joined, if any.
    fn alike(&self) -> Option<usize> {
        let last = self.batches.last()?;
        let most_rows = last.num_rows().saturating_mul(JOINED_BATCHES);
        let (mut count, mut rows) = (0, 0);
        for batch in self.batches.iter().rev().take(JOINED_BATCHES) {
            let fits = rows + batch.num_rows() <= self.joined_rows;
            let is_alike =
                batch.num_rows() < most_rows && batch.schema_ref().fields() == last.schema_ref().fields();
            if !fits || !is_alike {
                break;
            }
            count += 1;
            rows += batch.num_rows();
        }
        let is_full = count >= 2 && rows + last.num_rows() > self.joined_rows;
        (count == JOINED_BATCHES || is_full).then_some(count)
    }
}

/// A column by name, or nulls where the batch was written before the column existed.
pub(crate) fn column_or_nulls(batch: &RecordBatch, field: &Field) -> Result<ArrayRef> {
    match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => Err(Error::Invalid(format!(
            "column `{}` is stored as {}; asked for as {}",
            field.name(),
            column.data_type(),
            field.data_type()
        ))),
        None if field.is_nullable() => Ok(new_null_array(field.data_type(), batch.num_rows())),
        None => Err(Error::Invalid(format!("column `{}` is not in these rows", field.name()))),
    }
}

/// Bytes of the values of a batch, without what its buffers hold beyond them.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

/// As [`batch_bytes`], of one column.
pub(crate) fn column_bytes(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or(column.get_buffer_memory_size())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{array::Int64Array, datatypes::Schema};
    use proptest::prelude::*;

    use super::*;

    const JOINED_ROWS: usize = 4_096;

    fn batch(first: i64, rows: usize, columns: usize) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + rows as i64));
        let names = ["a", "b"];
        RecordBatch::try_from_iter(names.iter().take(columns).map(|name| (*name, column.clone())))
            .expect("a batch")
    }

    fn pushed(sizes: impl IntoIterator<Item = (usize, usize)>) -> RowBatches {
        let mut batches = RowBatches::joining(JOINED_ROWS);
        let mut first = 0;
        for (rows, columns) in sizes {
            batches.push(batch(first, rows, columns)).expect("few");
            first += rows as i64;
        }
        batches
    }

    #[test]
    fn pushes_of_any_size_leave_few_batches() {
        for rows in [1, 2, 16, 100, 256, 257, 300, 1_000, 2_000, 4_096] {
            let pushes = 65_536 / rows;
            let batches = pushed((0..pushes).map(|_| (rows, 1)));
            assert!(
                batches.batches.len() <= 65_536 / 2_048 + 3 * JOINED_BATCHES,
                "{rows}: {}",
                batches.batches.len()
            );
        }
    }

    #[test]
    fn batches_that_cannot_be_joined_are_counted() {
        let apart = pushed((0..1_000).map(|push| (1, 1 + push % 2)));
        assert_eq!(apart.batches.len(), 1_000);
        assert_eq!(apart.batch_overhead(), 1_000 * BYTES_PER_BATCH + 1_500 * BYTES_PER_COLUMN);
        let joined = pushed((0..1_024).map(|_| (1, 2)));
        assert_eq!(joined.batch_overhead(), joined.batches.len() * (BYTES_PER_BATCH + 2 * BYTES_PER_COLUMN));
        assert!(joined.batch_overhead() < 50_000);
    }

    proptest! {
        #[test]
        fn rows_stay_where_they_were(
            sizes in prop::collection::vec((prop_oneof![1..4_usize, 1..700_usize], 1..3_usize), 1..80),
        ) {
            let batches = pushed(sizes);
            let rows: Vec<u32> = (0..batches.rows).collect();
            let columns: usize = batches.batches.iter().map(RecordBatch::num_columns).sum();
            prop_assert_eq!(columns, batches.columns);
            let schema = Arc::new(Schema::new(vec![Field::new("a", arrow::datatypes::DataType::Int64, true)]));
            let gathered = batches.gather(&rows, &schema).expect("there");
            let expected = Int64Array::from_iter_values(rows.iter().map(|row| i64::from(*row)));
            prop_assert_eq!(gathered.column(0).as_ref(), &expected as &dyn Array);
        }
    }
}
