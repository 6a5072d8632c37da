//! What a message declares, checked before Arrow believes it.

use arrow::ipc;
use lineate_types::limits;

use super::IpcLimits;
use crate::{Error, Result};

/// Bytes of the declared length before a compressed buffer.
const PREFIX: usize = 8;
/// What stands in the place of that length where a buffer is stored as it is.
const STORED: i64 = -1;
/// LZ4 can shrink no input by more than this.
const LZ4_RATIO: usize = 255;

fn damaged(why: impl Into<String>) -> Error {
    Error::Format(format!("arrow data is damaged: {}", why.into()))
}

/// The message of a header whose flatbuffer is sound.
pub(super) fn message(header: &[u8]) -> Result<ipc::Message<'_>> {
    let message = ipc::root_as_message(header).map_err(|cause| damaged(cause.to_string()))?;
    match message.version() {
        ipc::MetadataVersion::V4 | ipc::MetadataVersion::V5 => Ok(message),
        other => {
            Err(Error::Format(format!("arrow metadata of version {} is not read; write version 5", other.0)))
        }
    }
}

/// The bytes of body a message says to follow it.
pub(in crate::intake) fn body_length(header: &[u8], limit: usize) -> Result<usize> {
    let declared = message(header)?.bodyLength();
    match usize::try_from(declared) {
        Ok(length) if length <= limit => Ok(length),
        Ok(length) => Err(Error::TooMuch {
            what: "bytes of an arrow message",
            actual: length as u64,
            limit: limit as u64,
        }),
        Err(_) => Err(damaged(format!("a message declares a body of {declared} bytes"))),
    }
}

/// Checks the number and the nesting of a schema's fields.
pub(super) fn schema(schema: ipc::Schema<'_>, limits: &IpcLimits) -> Result<()> {
    if schema.endianness() != ipc::Endianness::Little {
        return Err(Error::Format("big-endian arrow data is not read; write it little-endian".into()));
    }
    let mut fields = 0_usize;
    let mut open: Vec<(ipc::Field<'_>, usize)> = Vec::new();
    open.extend(schema.fields().into_iter().flatten().map(|field| (field, 1)));
    while let Some((field, depth)) = open.pop() {
        fields += 1;
        if depth > limits::INTAKE_TYPE_DEPTH {
            return Err(damaged(format!("its types nest deeper than {}", limits::INTAKE_TYPE_DEPTH)));
        }
        if fields.saturating_add(open.len()) > limits.fields {
            return Err(Error::TooMuch {
                what: "fields of an arrow schema",
                actual: fields.saturating_add(open.len()) as u64,
                limit: limits.fields as u64,
            });
        }
        open.extend(field.children().into_iter().flatten().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// Checks rows, elements and buffers of a record batch against its body.
pub(super) fn record_batch(batch: ipc::RecordBatch<'_>, body: &[u8], limits: &IpcLimits) -> Result<()> {
    let rows = usize::try_from(batch.length()).map_err(|_| damaged("a batch has a negative length"))?;
    if rows > limits.rows {
        return Err(Error::TooMuch {
            what: "rows of an arrow batch",
            actual: rows as u64,
            limit: limits.rows as u64,
        });
    }
    // One element takes one bit at least, unless it is of a type without buffers; those have a bound too.
    let most = limits.bytes.saturating_mul(8);
    for node in batch.nodes().into_iter().flatten() {
        let fits = usize::try_from(node.length()).is_ok_and(|length| length <= most);
        if !fits || !(0..=node.length()).contains(&node.null_count()) {
            return Err(damaged(format!(
                "a column declares {} elements with {} nulls",
                node.length(),
                node.null_count()
            )));
        }
    }
    let mut decoded = 0_usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let bytes = usize::try_from(buffer.offset())
            .ok()
            .zip(usize::try_from(buffer.length()).ok())
            .and_then(|(offset, length)| body.get(offset..offset.checked_add(length)?))
            .ok_or_else(|| damaged("a buffer lies outside of its message"))?;
        let length = match batch.compression() {
            Some(compression) => decoded_length(bytes, compression.codec(), limits)?,
            None => bytes.len(),
        };
        decoded = decoded.saturating_add(length);
        if decoded > limits.bytes {
            return Err(too_large(decoded, limits));
        }
    }
    let variadic = batch.variadicBufferCounts().into_iter().flatten();
    let declared = variadic.fold(0_i64, |sum, count| sum.saturating_add(count.max(0)));
    let buffers = batch.buffers().map_or(0, |buffers| buffers.len());
    if usize::try_from(declared).is_ok_and(|declared| declared <= buffers) {
        Ok(())
    } else {
        Err(damaged("more view buffers are declared than there are buffers"))
    }
}

fn too_large(actual: usize, limits: &IpcLimits) -> Error {
    Error::TooMuch {
        what: "bytes of an arrow message once decompressed",
        actual: actual as u64,
        limit: limits.bytes as u64,
    }
}

/// Bytes of a buffer once decompressed.
fn decoded_length(bytes: &[u8], codec: ipc::CompressionType, limits: &IpcLimits) -> Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let (prefix, compressed) = bytes
        .split_first_chunk::<PREFIX>()
        .ok_or_else(|| damaged("a compressed buffer is shorter than its length"))?;
    let declared = i64::from_le_bytes(*prefix);
    if declared == STORED {
        return Ok(compressed.len());
    }
    let declared = usize::try_from(declared)
        .map_err(|_| damaged(format!("a compressed buffer declares {declared} bytes")))?;
    if declared > limits.bytes {
        return Err(too_large(declared, limits));
    }
    // Arrow decompresses LZ4 to its end, however little was declared. Zstandard stops at what was declared.
    if codec == ipc::CompressionType::LZ4_FRAME && compressed.len().saturating_mul(LZ4_RATIO) > limits.bytes {
        let found = lz4_length(compressed, declared)?;
        if found != declared {
            return Err(damaged("a compressed buffer is longer than it declares"));
        }
    }
    Ok(declared)
}

/// Bytes an LZ4 frame decompresses to, counted up to one more than was declared.
fn lz4_length(compressed: &[u8], declared: usize) -> Result<usize> {
    use std::io::Read;
    let mut frame = lz4_flex::frame::FrameDecoder::new(compressed).take(declared as u64 + 1);
    let counted = std::io::copy(&mut frame, &mut std::io::sink())
        .map_err(|cause| damaged(format!("a buffer does not decompress: {cause}")))?;
    Ok(usize::try_from(counted).unwrap_or(usize::MAX))
}
