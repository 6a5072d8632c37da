//! Logical hashes: what columns say, apart from how they are stored (`docs/formats/logical-hash.md`).
//!
//! A hash depends on the logical type, the number of rows, which of them are null, and the values that are
//! not. It does not depend on batches, offsets, dictionary or run-end encoding, the width of offsets, views,
//! or what lies under nulls. Every bit of a float counts.
//!
//! Invariants:
//! - two columns of one type with the same hash have the same values (as far as BLAKE3 has no collisions):
//!   every part of the hashed text has a length known from the parts before it;
//! - hashing is streaming: memory is a few buffers per column, whatever the number of rows.
//!
//! Deliberately absent: the order of rows (the caller's), unions.

mod bits;
mod logical_type;
mod node;
mod stream;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema},
};
use lineate_types::{Hash, Hasher};

pub use logical_type::logical_type_text;

use crate::{Error, Result};
use logical_type::LogicalType;
use node::Node;

/// The BLAKE3 key derivation contexts, one per kind of hashed text.
const NODE_CONTEXT: &str = "lineate logical hash v1 node";
const COLUMN_CONTEXT: &str = "lineate logical hash v1 column";
const TABLE_CONTEXT: &str = "lineate logical hash v1 table";

/// Hashes one column, batch by batch.
#[derive(Debug)]
pub struct ColumnHasher {
    type_text: String,
    root: Node,
}

impl ColumnHasher {
    /// A hasher for the values of a field; only its type and extension count, not its name.
    ///
    /// # Errors
    /// The type has a union in it, which has no logical hash.
    pub fn new(field: &Field) -> Result<Self> {
        let logical = LogicalType::of(field)?;
        Ok(Self { type_text: logical.to_string(), root: Node::new(&logical) })
    }

    /// Adds rows. The array may be of any layout of the logical type, and of another one each time.
    ///
    /// # Errors
    /// The array is of another logical type, or a single value takes 4 GiB or more.
    pub fn update(&mut self, array: &ArrayRef) -> Result<()> {
        self.root.append(array)
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.root.rows()
    }

    /// The hash of the rows so far.
    pub fn finish(self) -> Hash {
        let mut hasher = Hasher::new_derive_key(COLUMN_CONTEXT);
        update_text(&mut hasher, &self.type_text);
        hasher.update(self.root.finish().as_bytes());
        Hash::finish(&hasher)
    }
}

/// Hashes the columns of a table, batch by batch.
#[derive(Debug)]
pub struct TableHasher {
    columns: Vec<(String, ColumnHasher)>,
}

impl TableHasher {
    /// A hasher for tables of a schema; only names, types and extensions count.
    ///
    /// # Errors
    /// A type has a union in it.
    pub fn new(schema: &Schema) -> Result<Self> {
        let columns =
            schema.fields().iter().map(|field| Ok((field.name().clone(), ColumnHasher::new(field)?)));
        Ok(Self { columns: columns.collect::<Result<_>>()? })
    }

    /// Adds the rows of a batch whose columns are those of the schema, by position.
    ///
    /// # Errors
    /// The number of columns differs, or a column is of another logical type.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::Invalid(format!(
                "a batch of {} columns cannot be hashed among batches of {}",
                batch.num_columns(),
                self.columns.len()
            )));
        }
        for ((name, hasher), column) in self.columns.iter_mut().zip(batch.columns()) {
            hasher.update(column).map_err(|cause| Error::Invalid(format!("column `{name}`: {cause}")))?;
        }
        Ok(())
    }

    /// Name and hash of each column, in order.
    pub fn finish_columns(self) -> Vec<(String, Hash)> {
        self.columns.into_iter().map(|(name, hasher)| (name, hasher.finish())).collect()
    }

    /// The hash of the table: of the names and hashes of its columns, in order.
    pub fn finish(self) -> Hash {
        table_hash(self.finish_columns().iter().map(|(name, hash)| (name.as_str(), *hash)))
    }
}

/// The hash of a table from the names and hashes of its columns, in order.
pub fn table_hash<'a>(columns: impl IntoIterator<Item = (&'a str, Hash)>) -> Hash {
    let mut hasher = Hasher::new_derive_key(TABLE_CONTEXT);
    for (name, hash) in columns {
        update_text(&mut hasher, name);
        hasher.update(hash.as_bytes());
    }
    Hash::finish(&hasher)
}

/// The bytes of a text behind their number, eight bytes little-endian.
fn update_text(hasher: &mut Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
