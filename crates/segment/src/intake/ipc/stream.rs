//! The streaming format: messages one after another, each behind a marker and its length.

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    ipc::writer::{IpcWriteOptions, StreamWriter},
};
use bytes::Bytes;

use super::{IpcDecoder, IpcLimits, check};
use crate::{Error, Result};

/// What stands before the length of every message.
const MARKER: [u8; 4] = [0xff; 4];
/// Bytes of the marker and the length.
pub(in crate::intake) const PREFIX: usize = 8;

/// The length of one message's flatbuffer, from the eight bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::intake) enum MessageFrame {
    /// A message whose flatbuffer takes this many bytes.
    Header(usize),
    /// The end of the stream.
    End,
}

impl MessageFrame {
    /// Reads the marker and the length.
    ///
    /// # Errors
    /// There is no marker, or the length is out of bounds.
    pub(in crate::intake) fn parse(prefix: [u8; PREFIX], limit: usize) -> Result<Self> {
        let [m0, m1, m2, m3, l0, l1, l2, l3] = prefix;
        if [m0, m1, m2, m3] != MARKER {
            return Err(Error::Format("arrow data is damaged: a message lacks its marker".into()));
        }
        match i32::from_le_bytes([l0, l1, l2, l3]) {
            0 => Ok(Self::End),
            length => {
                usize::try_from(length).ok().filter(|length| *length <= limit).map(Self::Header).ok_or_else(
                    || Error::Format(format!("arrow data is damaged: a header of {length} bytes")),
                )
            }
        }
    }

    /// Bytes of the body that follows a header.
    ///
    /// # Errors
    /// The header is damaged, or declares a body out of bounds.
    pub(in crate::intake) fn body_length(header: &[u8], limit: usize) -> Result<usize> {
        check::body_length(header, limit)
    }
}

/// The schema and the batches of an Arrow IPC stream in memory, which must end with its end mark.
///
/// # Errors
/// The bytes are damaged, cut short, or beyond the limits.
pub fn decode_ipc_stream(bytes: &Bytes, limits: IpcLimits) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut decoder = IpcDecoder::new(limits);
    let mut batches = Vec::new();
    let mut at = 0_usize;
    loop {
        let prefix = take(bytes, &mut at, PREFIX)?;
        let prefix: [u8; PREFIX] = prefix.as_ref().try_into().map_err(|_| cut_short())?;
        let MessageFrame::Header(length) = MessageFrame::parse(prefix, limits.bytes)? else { break };
        let header = take(bytes, &mut at, length)?;
        let body = MessageFrame::body_length(&header, limits.bytes)?;
        let body = take(bytes, &mut at, body)?;
        batches.extend(decoder.message(&header, body)?);
    }
    if at != bytes.len() {
        return Err(Error::Format(format!("{} bytes follow the end of the arrow stream", bytes.len() - at)));
    }
    let schema = decoder.schema().cloned();
    let schema = schema.ok_or_else(|| Error::Format("the arrow stream has no schema".into()))?;
    Ok((schema, batches))
}

fn take(bytes: &Bytes, at: &mut usize, length: usize) -> Result<Bytes> {
    let end = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(cut_short)?;
    let taken = bytes.slice(*at..end);
    *at = end;
    Ok(taken)
}

/// The stream ends before its end mark.
pub(in crate::intake) fn cut_short() -> Error {
    Error::Format("the arrow stream is cut short: its end mark is missing".into())
}

/// One batch as an Arrow IPC stream with its end mark; the same batch gives the same bytes.
///
/// # Errors
/// Arrow cannot write the batch.
pub fn encode_ipc(batch: &RecordBatch) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let options = IpcWriteOptions::default();
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, batch.schema_ref(), options)?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(Bytes::from(bytes))
}
