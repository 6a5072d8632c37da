//! What is counted: for Prometheus at `/metrics`, and over OTLP where it is configured.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, global, metrics::Histogram as OtlpHistogram};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// The labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The path of the method, or of the page.
    method: String,
    /// The gRPC code, or the HTTP status.
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: String,
}

/// The figures of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
    under_way: Gauge,
    rows_in: Counter,
    rows_out: Counter,
    lookups: Counter,
    store: StoreGauges,
    otlp_seconds: OtlpHistogram<f64>,
}

/// The state of the store when it was last asked.
#[derive(Default)]
struct StoreGauges {
    open_rows: Gauge<u64, AtomicU64>,
    sealed_rows: Gauge<u64, AtomicU64>,
    segments: Gauge<u64, AtomicU64>,
    segment_bytes: Gauge<u64, AtomicU64>,
    ledger_entries: Gauge<u64, AtomicU64>,
    groups_led: Gauge<u64, AtomicU64>,
}

/// A request under way; counted when it is dropped.
pub(crate) struct Timer<'a> {
    metrics: &'a Metrics,
    method: String,
    started: Instant,
    code: String,
}

impl Metrics {
    /// Figures that start at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("lineate");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("requests", "Requests answered", requests.clone());
        let seconds = Family::<MethodLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
        });
        registry.register_with_unit(
            "request",
            "Time to the head of the answer",
            Unit::Seconds,
            seconds.clone(),
        );
        let under_way = Gauge::default();
        registry.register("requests_under_way", "Requests being answered", under_way.clone());
        let (rows_in, rows_out, lookups) = (Counter::default(), Counter::default(), Counter::default());
        registry.register("rows_written", "Rows acknowledged, streamed and loaded", rows_in.clone());
        registry.register("rows_read", "Rows of training sets sent", rows_out.clone());
        registry.register("entities_looked_up", "Entities of online lookups", lookups.clone());
        let store = StoreGauges::default();
        registry.register("open_rows", "Rows not yet sealed", store.open_rows.clone());
        registry.register("sealed_rows", "Rows in segments", store.sealed_rows.clone());
        registry.register("segments", "Segments", store.segments.clone());
        registry.register_with_unit(
            "segment",
            "Size of all segments",
            Unit::Bytes,
            store.segment_bytes.clone(),
        );
        registry.register("ledger_entries", "Entries of the ledger", store.ledger_entries.clone());
        registry.register("groups_led", "Raft groups led by this node", store.groups_led.clone());
        let meter = global::meter("lineate");
        Self {
            registry,
            requests,
            seconds,
            under_way,
            rows_in,
            rows_out,
            lookups,
            store,
            otlp_seconds: meter.f64_histogram("lineate.request.duration").with_unit("s").build(),
        }
    }

    /// Begins to time a request.
    pub(crate) fn time(&self, method: String) -> Timer<'_> {
        self.under_way.inc();
        Timer { metrics: self, method, started: Instant::now(), code: "cancelled".to_owned() }
    }

    /// Counts rows that were written.
    pub(crate) fn rows_written(&self, rows: u64) {
        self.rows_in.inc_by(rows);
    }

    /// Counts rows that were sent.
    pub(crate) fn rows_read(&self, rows: u64) {
        self.rows_out.inc_by(rows);
    }

    /// Counts entities that were looked up.
    pub(crate) fn looked_up(&self, entities: u64) {
        self.lookups.inc_by(entities);
    }

    /// The figures as Prometheus reads them, with the state of the store as it is now.
    pub(crate) fn text(&self, status: &lineate_node::api::NodeStatus) -> String {
        let led = status.groups.iter().filter(|group| group.leads).count();
        self.store.open_rows.set(status.open_rows);
        self.store.sealed_rows.set(status.sealed_rows);
        self.store.segments.set(status.segments);
        self.store.segment_bytes.set(status.segment_bytes);
        self.store.ledger_entries.set(status.ledger_entries);
        self.store.groups_led.set(led as u64);
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Timer<'_> {
    /// Says how the request was answered.
    pub(crate) fn answered(mut self, code: String) -> Duration {
        self.code = code;
        self.started.elapsed()
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let (method, code) = (std::mem::take(&mut self.method), std::mem::take(&mut self.code));
        self.metrics.under_way.dec();
        self.metrics
            .otlp_seconds
            .record(seconds, &[KeyValue::new("method", method.clone()), KeyValue::new("code", code.clone())]);
        self.metrics.seconds.get_or_create(&MethodLabels { method: method.clone() }).observe(seconds);
        self.metrics.requests.get_or_create(&RequestLabels { method, code }).inc();
    }
}
