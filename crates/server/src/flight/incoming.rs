//! Batches that come in, decoded without trust.

use arrow::array::RecordBatch;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::StreamExt;
use lineate_segment::intake::{IpcDecoder, IpcLimits};
use tonic::Streaming;

use crate::{Error, Result};

/// A stream of batches, behind the descriptor that its first message must carry.
pub(super) struct Incoming {
    messages: Streaming<FlightData>,
    first: Option<FlightData>,
    decoder: Option<IpcDecoder>,
}

/// A batch and what was sent beside it.
pub(super) struct Arrived {
    pub(super) batch: RecordBatch,
    pub(super) metadata: Bytes,
}

impl Incoming {
    /// Waits for the descriptor. The limits hold for each message; a stream has as many as its sender likes.
    ///
    /// # Errors
    /// The first message has none.
    pub(super) async fn open(
        mut messages: Streaming<FlightData>,
        limits: IpcLimits,
    ) -> Result<(FlightDescriptor, Self)> {
        let mut first = match messages.next().await {
            Some(Ok(first)) => first,
            Some(Err(status)) => return Err(cut_short(&status)),
            None => return Err(Error::Invalid("the stream is empty; its first message names a path".into())),
        };
        let descriptor = first
            .flight_descriptor
            .take()
            .ok_or_else(|| Error::Invalid("the first message carries no descriptor".into()))?;
        let decoder = Some(IpcDecoder::new(limits.open_ended()));
        Ok((descriptor, Self { messages, first: Some(first), decoder }))
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// A message is no Arrow, is out of order or out of bounds, or the caller vanished.
    pub(super) async fn next(&mut self) -> Result<Option<Arrived>> {
        loop {
            let message = match self.first.take() {
                Some(first) => first,
                None => match self.messages.next().await {
                    None => return Ok(None),
                    Some(Ok(message)) => message,
                    Some(Err(status)) => return Err(cut_short(&status)),
                },
            };
            if message.data_header.is_empty() {
                // A message of metadata alone says nothing here.
                continue;
            }
            let Some(mut decoder) = self.decoder.take() else { return Ok(None) };
            let FlightData { data_header, data_body, app_metadata, .. } = message;
            let decoding = tokio::task::spawn_blocking(move || {
                let batch = decoder.message(&data_header, data_body);
                (decoder, batch)
            });
            let (decoder, batch) = decoding.await.map_err(lineate_node::Error::from)?;
            self.decoder = Some(decoder);
            if let Some(batch) = batch? {
                return Ok(Some(Arrived { batch, metadata: app_metadata }));
            }
        }
    }
}

fn cut_short(status: &tonic::Status) -> Error {
    if status.code() == tonic::Code::Unavailable {
        return Error::Stopping;
    }
    Error::Invalid(format!("the stream was cut short: {}", status.message()))
}
