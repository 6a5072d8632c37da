//! Record batches as Arrow IPC streams, as they travel inside messages.

use std::io::Cursor;

use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use bytes::Bytes;

use crate::{Error, Result};

/// One batch as an IPC stream.
///
/// # Errors
/// Arrow cannot write the batch.
pub fn encode(batch: &RecordBatch) -> Result<Bytes> {
    let write = || -> std::result::Result<Vec<u8>, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        writer.write(batch)?;
        writer.into_inner()
    };
    write().map(Bytes::from).map_err(|cause| Error::Answer(format!("the batch cannot be encoded: {cause}")))
}

/// The batch in an IPC stream; several are joined.
///
/// # Errors
/// The bytes are no IPC stream.
pub fn decode(bytes: &[u8]) -> Result<RecordBatch> {
    let read = || -> std::result::Result<RecordBatch, ArrowError> {
        let reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let schema = reader.schema();
        let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
        match <[RecordBatch; 1]>::try_from(batches) {
            Ok([batch]) => Ok(batch),
            Err(batches) => concat_batches(&schema, &batches),
        }
    };
    read().map_err(|cause| Error::answer(format!("it holds no Arrow batch: {cause}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    #[test]
    fn batches_round_trip() {
        let columns: [(&str, ArrayRef); 2] = [
            ("name", Arc::new(StringArray::from(vec![Some("a"), None]))),
            ("value", Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("equal lengths");
        assert_eq!(decode(&encode(&batch).expect("encodes")).expect("decodes"), batch);
        assert!(decode(b"no arrow").is_err());
    }
}
