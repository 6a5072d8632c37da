//! Arrow schemas of views: the mapping of types, the canonical column order, entity keys of a batch.
//!
//! A *canonical batch* of a view version has the columns of [`ViewSchema`], exactly, in its order
//! (`docs/formats/canonical-rows.md`). Everything behind the intake works on canonical batches only.
//!
//! Deliberately absent: the conversion of foreign columns (see [`crate::intake`]).

mod arrow_type;
mod entity_keys;
mod projection;
mod view_schema;

pub use arrow_type::{
    JSON_EXTENSION, UUID_EXTENSION, arrow_field, arrow_type, extension_of, lineate_type, lineate_type_of,
};
pub(crate) use arrow_type::{entries_field, entries_fields, struct_fields};
pub use entity_keys::EntityKeys;
pub use projection::project;
pub use view_schema::{COMMIT_TIME_COLUMN, DELETED_COLUMN, ORDINAL_COLUMN, ViewSchema, timestamp_type};
