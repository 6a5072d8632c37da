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

    /// The metadata before the first message of Arrow or beside it; empty if there is none.
    ///
    /// # Errors
    /// It came twice, or the caller vanished.
    pub(super) async fn opening(&mut self) -> Result<Bytes> {
        let mut opening = Bytes::new();
        while let Some(mut message) = self.any_message().await? {
            let metadata = std::mem::take(&mut message.app_metadata);
            match (opening.is_empty(), metadata.is_empty()) {
                (true, _) => opening = metadata,
                (false, true) => {}
                (false, false) => {
                    return Err(Error::Invalid("metadata came twice before the rows; send it once".into()));
                }
            }
            if !message.data_header.is_empty() {
                self.first = Some(message);
                break;
            }
        }
        Ok(opening)
    }

    /// The next message of Arrow as it came; none at the end.
    ///
    /// # Errors
    /// Metadata came alone, or the caller vanished.
    pub(super) async fn message(&mut self) -> Result<Option<FlightData>> {
        while let Some(message) = self.any_message().await? {
            if !message.data_header.is_empty() {
                return Ok(Some(message));
            }
            // It would be taken to have been heard.
            if !message.app_metadata.is_empty() {
                return Err(Error::Invalid("metadata came alone where it says nothing".into()));
            }
        }
        Ok(None)
    }

    async fn any_message(&mut self) -> Result<Option<FlightData>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.messages.next().await.transpose().map_err(|status| cut_short(&status))
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// A message is no Arrow, is out of order or out of bounds, or the caller vanished.
    pub(super) async fn next(&mut self) -> Result<Option<Arrived>> {
        while let Some(message) = self.message().await? {
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
        Ok(None)
    }
}

fn cut_short(status: &tonic::Status) -> Error {
    if status.code() == tonic::Code::Unavailable {
        return Error::Stopping;
    }
    Error::Invalid(format!("the stream was cut short: {}", status.message()))
}
