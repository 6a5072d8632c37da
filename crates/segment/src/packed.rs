//! Feature values of one row as bytes, for caches in memory: small, and many rows unpack into columns at once.
//!
//! Deliberately absent: a stable format. The bytes are Arrow's row format of the running build; they are never
//! stored or sent.

use arrow::{
    array::{RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::SchemaRef,
    row::{RowConverter, Rows, SortField},
};

use crate::{Error, Result};

/// Packs and unpacks rows of one schema. Every value comes back bit for bit.
#[derive(Debug)]
pub struct RowPacker {
    schema: SchemaRef,
    converter: RowConverter,
    /// A row of nulls, which stands for a row that is not there.
    null_row: Box<[u8]>,
}

/// The rows of one batch, packed.
#[derive(Debug)]
pub struct PackedRows {
    rows: Rows,
}

impl RowPacker {
    /// A packer for nullable columns of these types: the features of a view, or some of them.
    ///
    /// # Errors
    /// A type cannot be packed; every type of a canonical batch can.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let nulls = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1));
        let nulls: Vec<_> = nulls.collect();
        let null_row = match nulls.is_empty() {
            true => Box::default(),
            false => converter.convert_columns(&nulls)?.row(0).as_ref().into(),
        };
        Ok(Self { schema, converter, null_row })
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Packs the rows of a batch with exactly these columns.
    ///
    /// # Errors
    /// The batch has other columns.
    pub fn pack(&self, batch: &RecordBatch) -> Result<PackedRows> {
        if batch.schema_ref().fields() != self.schema.fields() {
            return Err(Error::Invalid("rows to pack have other columns than their packer".to_owned()));
        }
        Ok(PackedRows { rows: self.converter.convert_columns(batch.columns())? })
    }

    /// Unpacks rows that this packer packed, in their order; a row that is not there becomes nulls.
    ///
    /// # Errors
    /// The columns cannot be built, which the rows above should have made impossible.
    pub fn unpack<'a>(&self, rows: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<RecordBatch> {
        let parser = self.converter.parser();
        let mut count = 0;
        let rows = rows.into_iter().map(|row| {
            count += 1;
            parser.parse(row.unwrap_or(&self.null_row))
        });
        let columns = self.converter.convert_rows(rows)?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl PackedRows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of each row, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.rows.row(row).data())
    }
}
