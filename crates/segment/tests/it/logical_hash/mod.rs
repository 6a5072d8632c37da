//! Logical hashes depend on values alone, and agree with the published vectors.

mod layouts;
mod vectors;

use arrow::{array::ArrayRef, datatypes::Field};
use lineate_segment::logical_hash::ColumnHasher;
use lineate_types::Hash;

/// The hash of a column that comes in pieces.
fn hash_of<'a>(field: &Field, pieces: impl IntoIterator<Item = &'a ArrayRef>) -> Hash {
    let mut hasher = ColumnHasher::new(field).expect("no union");
    for piece in pieces {
        hasher.update(piece).expect("of the type");
    }
    hasher.finish()
}
