//! Rows of a view version from foreign Arrow batches.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions},
    datatypes::{DataType as ArrowType, Schema},
};
use lineate_types::{DataType, KeyType, ViewDefinition, limits};

use super::{
    convert::{Rules, convert, unpack},
    empty::empty_batch,
    refusal::{Refusal, Rows, hint},
};
use crate::{
    Error, Result, row_bytes,
    schema::{DELETED_COLUMN, EntityKeys, ViewSchema},
};

/// The way into one view version.
#[derive(Debug, Clone)]
pub struct Intake {
    schema: ViewSchema,
    /// The canonical columns without the tombstone mark, in canonical order.
    columns: Vec<Column>,
    owner: String,
    rules: Rules,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
}

impl Intake {
    /// The intake of a view version.
    pub fn new(view: &ViewDefinition) -> Self {
        let schema = ViewSchema::of(view);
        let required = |name: &str, data_type| Column { name: name.to_owned(), data_type, nullable: false };
        let keys = view.keys.iter().map(|key| required(key.name.as_str(), key.key_type.data_type()));
        let event_time = required(view.event_time.as_str(), DataType::Timestamp);
        let created_time = view.created_time.iter().map(|name| Column {
            name: name.to_string(),
            data_type: DataType::Timestamp,
            nullable: true,
        });
        let features = view.features.iter().map(|feature| Column {
            name: feature.name.to_string(),
            data_type: feature.data_type.clone(),
            nullable: true,
        });
        let columns = keys.chain([event_time]).chain(created_time).chain(features).collect();
        let rules = Rules { naive_times_are_utc: view.naive_times_are_utc };
        Self { schema, columns, owner: format!("view `{view}`"), rules }
    }

    /// The schema of the batches that come out.
    pub fn schema(&self) -> &ViewSchema {
        &self.schema
    }

    /// Checks the names and types of a foreign table before any of its rows are there.
    ///
    /// # Errors
    /// As [`Intake::convert`] for a batch of no rows.
    pub fn check_schema(&self, foreign: &Schema) -> Result<()> {
        self.convert(&empty_batch(foreign)?, 0).map(|_| ())
    }

    /// The canonical batch of a foreign one, row for row. Columns are found by name, in any order; the
    /// boolean column `__deleted` may be left out, and null in it means false. `first_row` is the number of
    /// rows of the same table before this batch; it only serves messages.
    ///
    /// # Errors
    /// A column is missing, unknown, there twice or of a type that cannot be taken exactly; a value cannot
    /// be taken exactly; a key or event time is null; a key or row is too long.
    pub fn convert(&self, foreign: &RecordBatch, first_row: u64) -> Result<RecordBatch> {
        let rows = Rows::From(first_row);
        self.check_names(foreign.schema_ref().fields().iter().map(|field| field.name().as_str()), true)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 1);
        for column in &self.columns {
            let Some(found) = foreign.column_by_name(&column.name) else { continue };
            let converted = convert(found, &column.data_type, self.rules);
            columns.push(converted.map_err(|refusal| refusal.of_column(&column.name, rows))?);
        }
        columns.push(self.deleted(foreign.column_by_name(DELETED_COLUMN), foreign.num_rows(), rows)?);
        self.finish(columns, foreign.num_rows(), rows)
    }

    /// The view version, for messages.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// The canonical columns without the tombstone mark.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules
    }

    /// Checks the names of a foreign table; with `complete`, also that none is missing.
    ///
    /// # Errors
    /// The first name that is unknown, there twice, or missing.
    pub(super) fn check_names<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
        complete: bool,
    ) -> Result<()> {
        let wanted: BTreeSet<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let mut present = BTreeSet::new();
        for name in names.clone() {
            if !present.insert(name) {
                return Err(Error::Format(format!("column `{name}` is there twice")));
            }
        }
        for name in names.clone() {
            if !wanted.contains(name) && name != DELETED_COLUMN {
                let free = wanted.iter().copied().filter(|wanted| !present.contains(wanted));
                let hint = hint(name, free);
                return Err(Error::UnknownColumn {
                    column: name.to_owned(),
                    owner: self.owner.clone(),
                    hint,
                });
            }
        }
        match self.columns.iter().find(|column| complete && !present.contains(column.name.as_str())) {
            Some(missing) => Err(Error::MissingColumn {
                column: missing.name.clone(),
                expected: missing.data_type.to_string(),
                owner: self.owner.clone(),
                hint: String::new(),
            }),
            None => Ok(()),
        }
    }

    /// The canonical tombstone marks for those of a foreign table; null and absent mean false.
    ///
    /// # Errors
    /// The column is not boolean.
    pub(super) fn deleted(
        &self,
        column: Option<&ArrayRef>,
        length: usize,
        rows: Rows<'_>,
    ) -> Result<ArrayRef> {
        match column {
            Some(column) => {
                let marks = marks(column).map_err(|refusal| refusal.of_column(DELETED_COLUMN, rows))?;
                Ok(Arc::new(marks))
            }
            None => Ok(Arc::new(BooleanArray::from(vec![false; length]))),
        }
    }

    /// The batch of columns that have their canonical types already, after the checks that look at rows.
    ///
    /// # Errors
    /// A key or event time is null; a key or row is too long.
    pub(super) fn finish(
        &self,
        columns: Vec<ArrayRef>,
        length: usize,
        rows: Rows<'_>,
    ) -> Result<RecordBatch> {
        for (column, array) in self.columns.iter().zip(&columns) {
            if column.nullable || array.null_count() == 0 {
                continue;
            }
            let at = array.nulls().and_then(|nulls| nulls.iter().position(|valid| !valid)).unwrap_or(0);
            return Err(Refusal::value(at, "it may not be null").of_column(&column.name, rows));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(length));
        let batch = RecordBatch::try_new_with_options(self.schema.arrow().clone(), columns, &options)?;
        self.check_key_lengths(&batch, rows)?;
        if let Some((row, bytes)) = row_bytes::first_too_long(&batch) {
            let place = rows.place(row);
            return Err(Error::Format(format!(
                "{place} takes {bytes} bytes; a row has at most {}",
                limits::ROW_BYTES
            )));
        }
        Ok(batch)
    }

    fn check_key_lengths(&self, batch: &RecordBatch, rows: Rows<'_>) -> Result<()> {
        let key_types: Vec<KeyType> = self.schema.keys().iter().map(|key| key.key_type).collect();
        let columns: Vec<_> = batch.columns().iter().zip(key_types).collect();
        // A zero byte takes two; around a value stand its tag and two more, or it is of 16 bytes at most.
        let bound: usize = columns.iter().map(|(column, _)| 2 * longest(column) + 19).sum::<usize>() + 1;
        if bound <= limits::KEY_BYTES {
            return Ok(());
        }
        let keys = EntityKeys::new(&columns)?;
        for row in 0..batch.num_rows() {
            if let Err(cause) = keys.key(row) {
                return Err(Error::Format(format!("{}: {cause}", rows.place(row))));
            }
        }
        Ok(())
    }
}

/// The most bytes of a text or binary value of a column.
fn longest(column: &ArrayRef) -> usize {
    let offsets: &[i32] = match column.data_type() {
        ArrowType::Utf8 => column.as_string::<i32>().value_offsets(),
        ArrowType::Binary => column.as_binary::<i32>().value_offsets(),
        _ => return 0,
    };
    let lengths = offsets.iter().zip(offsets.iter().skip(1)).map(|(start, end)| end.abs_diff(*start));
    lengths.max().unwrap_or(0) as usize
}

/// The tombstone marks of foreign rows.
fn marks(column: &ArrayRef) -> std::result::Result<BooleanArray, Refusal> {
    let column = unpack(column)?;
    match column.data_type() {
        ArrowType::Null => Ok(BooleanArray::from(vec![false; column.len()])),
        ArrowType::Boolean => {
            let marks = column.as_boolean();
            match marks.nulls() {
                Some(nulls) => Ok(BooleanArray::new(marks.values() & nulls.inner(), None)),
                None => Ok(marks.clone()),
            }
        }
        found => Err(Refusal::wrong_type("bool", found)),
    }
}
