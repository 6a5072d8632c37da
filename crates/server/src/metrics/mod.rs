//! What is counted: for Prometheus at `/metrics`, and over OTLP where it is configured. Both see the same figures
//! under the same names, but for how each writes units.

mod figure;

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, global, metrics as otlp};
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

use figure::{FIGURES, Shown};

pub(crate) use figure::Reading;

/// How old a reading may be that several figures of one export are taken from.
const READING_AGE: Duration = Duration::from_secs(1);

/// The labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The path of the method, or of the page.
    method: &'static str,
    /// The gRPC code, or the HTTP status.
    code: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

/// The figures of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
    under_way: Gauge,
    otlp_requests: otlp::Counter<u64>,
    otlp_seconds: otlp::Histogram<f64>,
    otlp_under_way: otlp::UpDownCounter<i64>,
    rows_in: Count,
    rows_out: Count,
    lookups: Count,
    store: Vec<Shown>,
    last: Last,
}

/// The newest reading of the store, and when it was taken.
type Last = Arc<Mutex<Option<(Instant, Reading)>>>;

/// A count, both ways.
struct Count {
    prometheus: Counter,
    otlp: otlp::Counter<u64>,
}

/// A request under way; counted when it is dropped.
pub(crate) struct Timer<'a> {
    metrics: &'a Metrics,
    method: &'static str,
    started: Instant,
    code: Cow<'static, str>,
}

impl Metrics {
    /// Figures that start at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("lineate");
        let meter = global::meter("lineate");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("requests", "Requests answered", requests.clone());
        let seconds = Family::<MethodLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
        });
        let to_the_head = "Time to the head of the answer";
        registry.register_with_unit("request_duration", to_the_head, Unit::Seconds, seconds.clone());
        let under_way = Gauge::default();
        registry.register("requests_under_way", "Requests being answered", under_way.clone());
        let mut count = |name, help| Count::register(&mut registry, &meter, name, help);
        let rows_in = count("rows_written", "Rows acknowledged, streamed and loaded");
        let rows_out = count("rows_read", "Rows of training sets sent");
        let lookups = count("entities_looked_up", "Entities of online lookups");
        let store = FIGURES.iter().map(|figure| figure.register(&mut registry)).collect();
        Self {
            registry,
            requests,
            seconds,
            under_way,
            otlp_requests: meter.u64_counter("lineate.requests").build(),
            otlp_seconds: meter.f64_histogram("lineate.request_duration").with_unit("s").build(),
            otlp_under_way: meter.i64_up_down_counter("lineate.requests_under_way").build(),
            rows_in,
            rows_out,
            lookups,
            store,
            last: Last::default(),
        }
    }

    /// Exports the state of the store over OTLP as well; `read` is asked before each export, off the threads that
    /// serve. Once it gives nothing, the last reading stays.
    pub(crate) fn export(&self, read: impl Fn() -> Option<Reading> + Send + Sync + 'static) {
        let meter = global::meter("lineate");
        let read = Arc::new(read);
        for figure in FIGURES {
            let (last, read) = (self.last.clone(), read.clone());
            figure.observe(&meter, move || {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.as_ref().is_none_or(|(at, _)| at.elapsed() > READING_AGE) {
                    *last = read().map(|reading| (Instant::now(), reading)).or(last.take());
                }
                last.as_ref().map(|(_, reading)| reading.clone())
            });
        }
    }

    /// Takes the last reading, for an export after the store is closed.
    pub(crate) fn settle(&self, reading: Reading) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reading));
    }

    /// Begins to time a request.
    pub(crate) fn time(&self, method: &'static str) -> Timer<'_> {
        self.under_way.inc();
        self.otlp_under_way.add(1, &[]);
        Timer { metrics: self, method, started: Instant::now(), code: Cow::Borrowed("cancelled") }
    }

    /// Counts rows that were written.
    pub(crate) fn rows_written(&self, rows: u64) {
        self.rows_in.add(rows);
    }

    /// Counts rows that were sent.
    pub(crate) fn rows_read(&self, rows: u64) {
        self.rows_out.add(rows);
    }

    /// Counts entities that were looked up.
    pub(crate) fn looked_up(&self, entities: u64) {
        self.lookups.add(entities);
    }

    /// The figures as Prometheus reads them, with the state of the store as it was read.
    pub(crate) fn text(&self, reading: &Reading) -> String {
        for (figure, shown) in FIGURES.iter().zip(&self.store) {
            figure.show(shown, reading);
        }
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Count {
    fn register(
        registry: &mut Registry,
        meter: &otlp::Meter,
        name: &'static str,
        help: &'static str,
    ) -> Self {
        let prometheus = Counter::default();
        registry.register(name, help, prometheus.clone());
        let otlp = meter.u64_counter(format!("lineate.{name}")).with_description(help).build();
        Self { prometheus, otlp }
    }

    fn add(&self, more: u64) {
        self.prometheus.inc_by(more);
        self.otlp.add(more, &[]);
    }
}

impl Timer<'_> {
    /// Says how the request was answered.
    pub(crate) fn answered(mut self, code: Cow<'static, str>) -> Duration {
        self.code = code;
        self.started.elapsed()
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let (method, code) = (self.method, std::mem::take(&mut self.code));
        let of_method = KeyValue::new("method", method);
        let of_code = KeyValue::new("code", code.clone());
        self.metrics.under_way.dec();
        self.metrics.otlp_under_way.add(-1, &[]);
        self.metrics.otlp_seconds.record(seconds, std::slice::from_ref(&of_method));
        self.metrics.otlp_requests.add(1, &[of_method, of_code]);
        self.metrics.seconds.get_or_create(&MethodLabels { method }).observe(seconds);
        self.metrics.requests.get_or_create(&RequestLabels { method, code }).inc();
    }
}
