//! The body of a request: when the server stops, one that pauses is ended, and one that goes on may finish.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::Error;

/// How long a body may pause once the server stops.
const PAUSE: Duration = Duration::from_millis(500);

/// A body on its way in.
pub(crate) struct Arrival {
    body: Body,
    stop: CancellationToken,
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Arrival {
    pub(crate) fn new(body: Body, stop: CancellationToken) -> Self {
        Self { body, stop, stopped: None, pause: None }
    }

    /// Ready once the server stops and the body has paused too long.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let stop = &self.stop;
        let stopped = self.stopped.get_or_insert_with(|| Box::pin(stop.clone().cancelled_owned()));
        if !stop.is_cancelled() {
            ready!(stopped.as_mut().poll(context));
        }
        self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE))).as_mut().poll(context)
    }
}

impl HttpBody for Arrival {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let arrival = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut arrival.body).poll_frame(context) {
            arrival.pause = None;
            return Poll::Ready(frame);
        }
        ready!(arrival.poll_given_up(context));
        Poll::Ready(Some(Err(axum::Error::new(tonic::Status::from(Error::Stopping)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use axum::BoxError;
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn a_body_that_pauses_is_given_up_once_the_server_stops_and_not_before() {
        let stop = CancellationToken::new();
        let forever = stream::iter([Ok::<_, BoxError>(Bytes::from_static(b"a"))]).chain(stream::pending());
        let mut frames = Body::new(Arrival::new(Body::from_stream(forever), stop.clone())).into_data_stream();
        assert!(frames.next().await.is_some_and(|frame| frame.is_ok()));
        assert!(frames.next().now_or_never().is_none());
        stop.cancel();
        let given_up = frames.next().await.expect("an end").expect_err("an error").to_string();
        assert!(given_up.contains("stopping"), "{given_up}");
    }

    #[tokio::test]
    async fn a_body_that_is_there_is_read_to_its_end_although_the_server_stops() {
        let stop = CancellationToken::new();
        stop.cancel();
        let mut frames = Body::new(Arrival::new(Body::from("whole"), stop)).into_data_stream();
        assert_eq!(frames.next().await.expect("a frame").expect("no error"), "whole");
        assert!(frames.next().await.is_none());
    }
}
