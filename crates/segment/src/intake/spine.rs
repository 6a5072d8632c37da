//! Spines: the time column and the keys made canonical, every other column carried along as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use lineate_types::{DataType, KeyType};

use super::{
    IntakeBatches,
    convert::{Rules, convert},
    empty::empty_batch,
    file::{ForeignFile, Typed, Typing, open_typed},
    refusal::{Refusal, Rows, hint},
};
use crate::{
    Error, Result,
    logical_hash::logical_type_text,
    schema::{arrow_field, timestamp_type},
};

/// What spines are called in messages.
pub(super) const OWNER: &str = "the spine";

/// The way into a training set: a spine whose time and key columns are known.
#[derive(Debug, Clone)]
pub struct SpineIntake {
    time_column: String,
    keys: BTreeMap<String, KeyType>,
    outputs: BTreeSet<String>,
    rules: Rules,
}

impl SpineIntake {
    /// A spine with this time column and these key columns, each with the type its views want. Without
    /// `naive_times_are_utc`, timestamps without a zone are refused in time and key columns.
    ///
    /// # Errors
    /// One column is wanted with two types.
    pub fn new(
        time_column: &str,
        keys: impl IntoIterator<Item = (String, KeyType)>,
        naive_times_are_utc: bool,
    ) -> Result<Self> {
        let mut known: BTreeMap<String, KeyType> = BTreeMap::new();
        for (name, key_type) in keys {
            if let Some(other) = known.insert(name.clone(), key_type).filter(|other| *other != key_type) {
                return Err(Error::Invalid(format!(
                    "spine column `{name}` stands for keys of type {other} and of type {key_type}; \
                     map them to two columns"
                )));
            }
        }
        if let Some(key_type) = known.get(time_column).filter(|key_type| **key_type != KeyType::Timestamp) {
            return Err(Error::Invalid(format!(
                "spine column `{time_column}` is the time and stands for a key of type {key_type}; \
                 map the key to another column"
            )));
        }
        Ok(Self {
            time_column: time_column.to_owned(),
            keys: known,
            outputs: BTreeSet::new(),
            rules: Rules { naive_times_are_utc },
        })
    }

    /// Refuses spines that have one of these columns already: those the training set will add.
    #[must_use]
    pub fn with_outputs(mut self, outputs: impl IntoIterator<Item = String>) -> Self {
        self.outputs.extend(outputs);
        self
    }

    /// The schema of the spine that comes out for a foreign one: the same columns in the same order, the time
    /// and key columns in their canonical types.
    ///
    /// # Errors
    /// As [`SpineIntake::convert`] for a batch of no rows.
    pub fn schema(&self, foreign: &Schema) -> Result<SchemaRef> {
        Ok(self.convert(&empty_batch(foreign)?, 0)?.schema())
    }

    /// The spine for a foreign batch, row for row. Keys may be null, times may not. `first_row` is the number
    /// of rows of the same table before this batch; it only serves messages.
    ///
    /// # Errors
    /// The time or a key column is missing or cannot be taken exactly, a time is null, a column is there
    /// twice, has the name of an output, or a type that has no logical hash.
    pub fn convert(&self, foreign: &RecordBatch, first_row: u64) -> Result<RecordBatch> {
        self.convert_rows(foreign, Rows::From(first_row))
    }

    pub(super) fn convert_rows(&self, foreign: &RecordBatch, rows: Rows<'_>) -> Result<RecordBatch> {
        self.check_names(foreign.schema_ref().fields().iter().map(|field| field.name().as_str()))?;
        let mut fields: Vec<Arc<Field>> = Vec::with_capacity(foreign.num_columns());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(foreign.num_columns());
        for (field, column) in foreign.schema_ref().fields().iter().zip(foreign.columns()) {
            let name = field.name().as_str();
            let Some(data_type) = self.wanted(name) else {
                logical_type_text(field)
                    .map_err(|cause| Error::ColumnType { column: name.to_owned(), why: cause.to_string() })?;
                fields.push(field.clone());
                columns.push(column.clone());
                continue;
            };
            let converted = convert(column, &data_type, self.rules);
            let converted = converted.map_err(|refusal| refusal.of_column(name, rows))?;
            if name == self.time_column {
                if let Some(at) = converted.nulls().and_then(|nulls| nulls.iter().position(|valid| !valid)) {
                    return Err(Refusal::value(at, "the time may not be null").of_column(name, rows));
                }
                fields.push(Arc::new(Field::new(name, timestamp_type(), false)));
            } else {
                fields.push(Arc::new(arrow_field(name, &data_type, true)));
            }
            columns.push(converted);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(foreign.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }

    /// The rows of a file as a spine, in file order.
    ///
    /// Text carries no types. CSV: a column that is neither time nor key is int64, float64, bool or a timestamp
    /// with an offset if every value of the whole file is one and reads back as it was written, else a string.
    /// NDJSON: the same, values of several kinds and nested ones stay json.
    ///
    /// # Errors
    /// The file is empty, cut short, damaged or of no known format; else as [`SpineIntake::convert`].
    pub fn open(&self, file: &ForeignFile) -> Result<IntakeBatches> {
        file.naming(|| {
            let format = file.format()?;
            match open_typed(file, format)? {
                Some(Typing { schema: foreign, batches, total_rows }) => {
                    let schema = self.schema(&foreign)?;
                    let intake = self.clone();
                    let convert = move |batch: &RecordBatch, first_row| intake.convert(batch, first_row);
                    let batches = Typed::new(batches, convert);
                    Ok(IntakeBatches::new(file, schema, batches).with_total_rows(total_rows))
                }
                None => self.open_text(file, format),
            }
        })
    }

    /// The canonical type of a column; none for one that is carried along.
    pub(super) fn wanted(&self, name: &str) -> Option<DataType> {
        if name == self.time_column {
            return Some(DataType::Timestamp);
        }
        self.keys.get(name).map(|key_type| key_type.data_type())
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules
    }

    /// Checks the names of a spine's columns.
    ///
    /// # Errors
    /// A name is there twice or is an output's, or the time or a key is missing.
    pub(super) fn check_names<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        let mut present = BTreeSet::new();
        for name in names {
            if !present.insert(name) {
                return Err(Error::Format(format!("column `{name}` is there twice")));
            }
            if self.outputs.contains(name) {
                return Err(Error::Format(format!(
                    "column `{name}` of the spine is also one that the training set adds; rename it"
                )));
            }
        }
        let time = std::iter::once(self.time_column.as_str());
        match time.chain(self.keys.keys().map(String::as_str)).find(|name| !present.contains(name)) {
            Some(missing) => Err(Error::MissingColumn {
                column: missing.to_owned(),
                expected: self.wanted(missing).map_or(String::new(), |wanted| wanted.to_string()),
                owner: OWNER.to_owned(),
                hint: match hint(missing, present) {
                    near if missing == self.time_column => {
                        format!("{near}; it is the time of each label, name another column with `--time`")
                    }
                    near => near,
                },
            }),
            None => Ok(()),
        }
    }
}
