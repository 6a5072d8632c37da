//! One port for gRPC, Flight and HTTP: routed by content type, bounded in number and time, counted and traced.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use lineate_proto::status;
use lineate_types::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::Instrument;

use crate::{Error, activity::Activity, answer::Answer, arrival::Arrival, methods, metrics::Metrics, trace};

/// The longest a request may take to the head of its answer, where its caller names no shorter time.
const LONGEST_REQUEST: Duration = Duration::from_secs(300);
/// The longest a file may be under way.
const LONGEST_UPLOAD: Duration = Duration::from_secs(24 * 3600);

/// What every request passes.
#[derive(Clone)]
struct Gate {
    metrics: Arc<Metrics>,
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Gate {
    /// Places for a request on its way to the head of its answer, and for the answer.
    ///
    /// # Errors
    /// The server stops, or all places are taken.
    fn places(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopping);
        }
        let of = |places: &Arc<Semaphore>| places.clone().try_acquire_owned();
        match (of(&self.requests), of(&self.answers)) {
            (Ok(request), Ok(answer)) => Ok((request, answer)),
            _ => Err(Error::Busy(format!(
                "{} requests or {} answers are under way, which is the most; repeat after a pause",
                limits::REQUESTS_UNDER_WAY,
                limits::ANSWERS_UNDER_WAY
            ))),
        }
    }
}

/// Joins the gRPC services and the pages into one router, which refuses requests once `stop` is cancelled.
pub(crate) fn router(grpc: Router, pages: Router, metrics: Arc<Metrics>, stop: CancellationToken) -> Router {
    let requests = Arc::new(Semaphore::new(limits::REQUESTS_UNDER_WAY));
    let answers = Arc::new(Semaphore::new(limits::ANSWERS_UNDER_WAY));
    let gate = Gate { metrics, requests, answers, stop };
    let all = pages.fallback(move |request: Request| {
        let grpc = grpc.clone();
        async move {
            if is_grpc(request.headers()) {
                match grpc.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            } else {
                (StatusCode::NOT_FOUND, "there is no such page; see / \n").into_response()
            }
        }
    });
    all.layer(middleware::from_fn_with_state(gate, pass))
}

/// Bounds, times and counts one request.
async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    let path = methods::known(request.uri().path(), grpc);
    let timer = gate.metrics.time(path);
    let places = match path.starts_with("/health") {
        // A server that has much to do, or ends, is not to be ended for that by whoever asks how it is.
        true => Ok(None),
        false => gate.places().map(Some),
    };
    let (permit, place) = match places {
        Ok(places) => places.unzip(),
        Err(refusal) => {
            let response = refuse(grpc, &refusal);
            timer.answered(code(grpc, &response));
            return response;
        }
    };
    let longest = match deadline(request.headers()) {
        Ok(asked) => asked.unwrap_or(Duration::MAX).min(longest(path)),
        Err(()) => {
            let wrong = Error::Invalid("grpc-timeout is at most 8 digits and a unit (H M S m u n)".into());
            let response = refuse(grpc, &wrong);
            timer.answered(code(grpc, &response));
            return response;
        }
    };
    let span = trace::request(path, request.headers());
    let busy = request.extensions().get::<Activity>().map(Activity::begin);
    let request = request.map(|body| Body::new(Arrival::new(body, gate.stop.clone())));
    let answering = next.run(request).instrument(span.clone());
    let response = match tokio::time::timeout(longest, answering).await {
        Ok(response) => response,
        Err(_) if grpc => tonic::Status::deadline_exceeded("the request took too long").into_http(),
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    drop(permit);
    let code = code(grpc, &response);
    let took = timer.answered(code.clone());
    trace::answered(&span, &code);
    tracing::debug!(method = %path, code = %code, took_us = took.as_micros(), "request answered");
    response.map(|body| Body::new(Answer::new(body, span, place, busy)))
}

/// An upload is answered when it is complete, which depends on its size; it is bounded by its pauses instead.
fn longest(path: &str) -> Duration {
    if path == "/lineate.v1.Store/Upload" { LONGEST_UPLOAD } else { LONGEST_REQUEST }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn refuse(grpc: bool, error: &Error) -> Response {
    use lineate_types::HasKind;
    if grpc {
        return status::from_error(error).into_http();
    }
    let status = StatusCode::from_u16(status::http_status(error.kind()));
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), format!("{error}\n")).into_response()
}

/// The gRPC code where the head tells it, else the HTTP status.
fn code(grpc: bool, response: &Response) -> Cow<'static, str> {
    if !grpc {
        return methods::http_code(response.status());
    }
    let status = response.headers().get("grpc-status").and_then(|value| value.to_str().ok());
    let number = status.and_then(|number| number.parse::<i32>().ok());
    Cow::Borrowed(number.map_or("Ok", |number| methods::grpc_code(tonic::Code::from_i32(number))))
}

/// The time a gRPC caller gives, if it gives one.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, ()> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let text = value.to_str().map_err(|_| ())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(())?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(());
    }
    let number: u64 = digits.parse().map_err(|_| ())?;
    match unit {
        "H" => Ok(Some(Duration::from_secs(number * 3600))),
        "M" => Ok(Some(Duration::from_secs(number * 60))),
        "S" => Ok(Some(Duration::from_secs(number))),
        "m" => Ok(Some(Duration::from_millis(number))),
        "u" => Ok(Some(Duration::from_micros(number))),
        "n" => Ok(Some(Duration::from_nanos(number))),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header"));
            deadline(&headers)
        };
        assert_eq!(read("5S"), Ok(Some(Duration::from_secs(5))));
        assert_eq!(read("1n"), Ok(Some(Duration::from_nanos(1))));
        assert_eq!(read("99999999H"), Ok(Some(Duration::from_secs(99_999_999 * 3600))));
        for text in ["", "S", "5", "-5S", "5 S", "123456789S", "5x"] {
            assert_eq!(read(text), Err(()), "{text}");
        }
        assert_eq!(deadline(&HeaderMap::new()), Ok(None));
    }
}
