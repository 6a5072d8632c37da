//! Logs on standard error, and traces and metrics over OTLP where a collector is configured.
//!
//! Invariants: a collector that is away or slow never holds up a request, since what waits for it is bounded and
//! the rest is dropped, nor the end of the process for longer than [`FLUSH_TIMEOUT`]. Only spans of Lineate are
//! exported, so that an export is no cause of another.
//!
//! The other `OTEL_*` variables mean what OpenTelemetry says.

use std::{env, io::IsTerminal, time::Duration};

use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource, metrics::SdkMeterProvider, propagation::TraceContextPropagator, trace::SdkTracerProvider,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use crate::error::Error;

/// What the logs of a server tell, unless it is told otherwise.
pub(crate) const DEFAULT_FILTER: &str = "info";
/// How long the end of a server waits for its collector.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server tells about itself, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where traces and metrics go, if anywhere.
    pub(crate) endpoint: Option<String>,
    /// Which logs are written: `info`, `lineate_node=debug`.
    pub(crate) log: String,
    /// Whether logs are JSON.
    pub(crate) json: bool,
}

/// What has to be flushed at the end.
pub(crate) struct Telemetry {
    export: Option<(SdkTracerProvider, SdkMeterProvider)>,
}

/// Logs of a command that is over soon: errors, unless told otherwise.
pub(crate) fn quiet() {
    let wanted = env::var("LINEATE_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = wanted.and_then(|wanted| EnvFilter::try_new(wanted).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("error"));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi());
    // A second subscriber in one process is of no use to anyone.
    let _ = registry().with(logs.with_filter(filter)).try_init();
}

/// Logs and export of a server. Must be called within the runtime that the export runs on.
///
/// # Errors
/// The filter is none, or the endpoint is no address.
pub(crate) fn start(settings: &Settings) -> Result<Telemetry, Error> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|cause| {
        Error::Usage(format!(
            "`{}` filters no logs: {cause}; write info, or lineate_node=debug",
            settings.log
        ))
    })?;
    let export = settings.endpoint.as_deref().map(exporters).transpose();
    let export = export.map_err(|cause| Error::Usage(format!("cannot export telemetry: {cause}")))?;
    let spans = export.as_ref().map(|(tracers, _)| {
        let ours = filter_fn(|what| what.is_span() && what.target().starts_with("lineate"));
        tracing_opentelemetry::layer()
            .with_tracer(tracers.tracer("lineate"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours.with_max_level_hint(LevelFilter::DEBUG))
    });
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi());
    let logs = if settings.json { logs.json().boxed() } else { logs.boxed() };
    let _ = registry().with(spans).with(logs.with_filter(filter)).try_init();
    Ok(Telemetry { export })
}

impl Telemetry {
    /// Sends what waits to be sent, for as long as a collector may take.
    pub(crate) async fn stop(self) {
        let Some((tracers, meters)) = self.export else { return };
        let ends = [
            ("traces", tokio::task::spawn_blocking(move || tracers.shutdown_with_timeout(FLUSH_TIMEOUT))),
            ("metrics", tokio::task::spawn_blocking(move || meters.shutdown_with_timeout(FLUSH_TIMEOUT))),
        ];
        let deadline = tokio::time::Instant::now() + FLUSH_TIMEOUT;
        for (what, end) in ends {
            match tokio::time::timeout_at(deadline, end).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(cause))) => tracing::warn!(what, %cause, "telemetry could not be sent to the end"),
                Ok(Err(cause)) => tracing::warn!(what, %cause, "telemetry could not be sent to the end"),
                Err(_) => tracing::warn!(what, "telemetry could not be sent in time"),
            }
        }
    }
}

fn exporters(endpoint: &str) -> Result<(SdkTracerProvider, SdkMeterProvider), ExporterBuildError> {
    let resource = Resource::builder()
        .with_service_name(env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "lineate".to_owned()))
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let tracers =
        SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource).build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(tracers.clone());
    global::set_meter_provider(meters.clone());
    Ok((tracers, meters))
}

fn ansi() -> bool {
    std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none()
}
