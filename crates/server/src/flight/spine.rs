//! Labels brought over Flight: kept as an upload, until `create_dataset` takes them.
//!
//! The messages are kept as they come, in the streaming format of Arrow IPC. They are read like any file of strangers
//! when a training set is made of them, and not before.

use arrow_flight::{FlightData, PutResult};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, stream};
use prost::Message;

use super::incoming::Incoming;
use crate::{Error, Result, app::App, grpc::store};

/// What begins every message of the format.
const MARKER: u32 = u32::MAX;
/// What a header is padded to, behind the marker and its length.
const ALIGNMENT: usize = 8;

/// Keeps the stream, and says under which id. One that breaks off leaves nothing.
///
/// # Errors
/// As those of an upload; or there is no message of Arrow.
pub(super) async fn keep(app: &App, incoming: Incoming) -> Result<PutResult> {
    let reply = store::upload(app.node(), parts(incoming)).await?;
    Ok(PutResult { app_metadata: reply.encode_to_vec().into() })
}

/// The bytes of the file, message by message.
fn parts(incoming: Incoming) -> impl Stream<Item = Result<Bytes>> {
    let start = Some((incoming, 0_u64));
    stream::try_unfold(start, async |state| {
        let Some((mut incoming, before)) = state else { return Ok(None) };
        match incoming.message().await? {
            Some(message) => Ok(Some((framed(&message), Some((incoming, before + 1))))),
            None if before == 0 => {
                Err(Error::Invalid("the stream holds no labels; begin with a schema".into()))
            }
            None => Ok(Some((end(), None))),
        }
    })
}

/// A message as it stands in the format: the marker, the length of its header, the header, its body.
fn framed(message: &FlightData) -> Bytes {
    let FlightData { data_header, data_body, .. } = message;
    let padded = data_header.len().next_multiple_of(ALIGNMENT);
    let mut bytes = BytesMut::with_capacity(ALIGNMENT + padded + data_body.len());
    bytes.put_u32_le(MARKER);
    // A message is far smaller than what the length can say.
    bytes.put_u32_le(u32::try_from(padded).unwrap_or(u32::MAX));
    bytes.put_slice(data_header);
    bytes.put_bytes(0, padded - data_header.len());
    bytes.put_slice(data_body);
    bytes.freeze()
}

/// The mark that ends a stream.
fn end() -> Bytes {
    let mut bytes = BytesMut::with_capacity(ALIGNMENT);
    bytes.put_u32_le(MARKER);
    bytes.put_u32_le(0);
    bytes.freeze()
}
