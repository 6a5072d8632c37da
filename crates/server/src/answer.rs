//! The body of an answer: until it is sent or dropped, its request is under way, and has a place if it needs one.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::activity::Busy;

/// A body that holds its request's place, and works in its request's span.
pub(crate) struct Answer {
    body: Body,
    span: Span,
    _place: Option<OwnedSemaphorePermit>,
    _busy: Option<Busy>,
}

impl Answer {
    pub(crate) fn new(
        body: Body,
        span: Span,
        place: Option<OwnedSemaphorePermit>,
        busy: Option<Busy>,
    ) -> Self {
        Self { body, span, _place: place, _busy: busy }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, span, .. } = self.get_mut();
        let _within = span.enter();
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}
