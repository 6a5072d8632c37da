//! The rows a write carries.

use arrow::{array::RecordBatch, compute::concat_batches};
use bytes::Bytes;
use lineate_segment::{
    intake::{IpcLimits, decode_ipc_stream},
    schema::ViewSchema,
};

use crate::Result;

/// Decodes the canonical rows of a write, checked against the view's columns before any row is built.
pub(super) fn decode(ipc: &[u8], schema: &ViewSchema) -> Result<RecordBatch> {
    let (_, batches) = decode_ipc_stream(&Bytes::copy_from_slice(ipc), IpcLimits::PUSH)?;
    let rows = concat_batches(schema.arrow(), &batches).map_err(lineate_segment::Error::from)?;
    schema.check(&rows)?;
    Ok(rows)
}
