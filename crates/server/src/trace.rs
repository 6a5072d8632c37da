//! The span of a request, which goes on the caller's trace where the caller names one (W3C `traceparent`).

use axum::http::{HeaderMap, HeaderName};
use opentelemetry::{global, propagation::Extractor};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Names beyond this length are none.
const SUBJECT_BYTES: usize = 256;

/// A request's span. What it is about is recorded by [`about`] once it is read.
pub(crate) fn request(method: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.name = method,
        otel.kind = "server",
        method,
        code = Empty,
        otel.status_code = Empty,
        subject = Empty,
    );
    if headers.contains_key("traceparent") && !span.is_disabled() {
        let caller = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
        // Fails only where there is no export, which then misses nothing.
        let _ = span.set_parent(caller);
    }
    span
}

/// Says how a request was answered; the span fails where the server is to blame, not where the caller is.
pub(crate) fn answered(span: &Span, code: &str) {
    const TO_BLAME: [&str; 6] =
        ["Unknown", "DeadlineExceeded", "Unimplemented", "Internal", "Unavailable", "DataLoss"];
    span.record("code", code);
    if TO_BLAME.contains(&code) || code.starts_with('5') {
        span.record("otel.status_code", "ERROR");
    }
}

/// Says which view, service, training set or node the request of this span is about, as the caller named it.
pub(crate) fn about(kind: &str, name: &str) {
    if name.len() <= SUBJECT_BYTES {
        Span::current().record("subject", tracing::field::display(format_args!("{kind}:{name}")));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
