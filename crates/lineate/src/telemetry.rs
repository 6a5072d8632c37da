//! Logs on standard error, and traces and metrics over OTLP where a collector is configured.
//!
//! `LINEATE_LOG` filters logs (`debug`, `lineate_node=trace`), `LINEATE_LOG_FORMAT=json` makes them machine-readable,
//! `OTEL_EXPORTER_OTLP_ENDPOINT` turns the export on; the other `OTEL_*` variables mean what OpenTelemetry says.

use std::{env, io::IsTerminal};

use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::error::Error;

/// What has to be flushed at the end.
pub(crate) struct Telemetry {
    export: Option<(SdkTracerProvider, SdkMeterProvider)>,
}

/// Logs of a command that is over soon: warnings and errors, unless told otherwise.
pub(crate) fn quiet() {
    let filter = filter("error");
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi());
    // A second subscriber in one process is of no use to anyone.
    let _ = registry().with(logs.with_filter(filter)).try_init();
}

/// Logs and export of a server. Must be called within the runtime that the export runs on.
pub(crate) fn start() -> Result<Telemetry, Error> {
    let export = exporters().map_err(|cause| Error::Usage(format!("cannot export telemetry: {cause}")))?;
    let spans = export
        .as_ref()
        .map(|(tracers, _)| tracing_opentelemetry::layer().with_tracer(tracers.tracer("lineate")));
    let json = env::var("LINEATE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi());
    let logs = if json { logs.json().boxed() } else { logs.boxed() };
    let _ = registry().with(spans).with(logs.with_filter(filter("info"))).try_init();
    Ok(Telemetry { export })
}

impl Telemetry {
    /// Sends what is waiting to be sent.
    pub(crate) fn stop(self) {
        if let Some((tracers, meters)) = self.export {
            for (what, ended) in [("traces", tracers.shutdown()), ("metrics", meters.shutdown())] {
                if let Err(cause) = ended {
                    tracing::warn!(what, %cause, "telemetry could not be sent to the end");
                }
            }
        }
    }
}

fn exporters() -> Result<Option<(SdkTracerProvider, SdkMeterProvider)>, opentelemetry_otlp::ExporterBuildError>
{
    if env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none_or(|endpoint| endpoint.is_empty()) {
        return Ok(None);
    }
    let resource = Resource::builder().with_service_name("lineate").build();
    let spans = SpanExporter::builder().with_tonic().build()?;
    let metrics = MetricExporter::builder().with_tonic().build()?;
    let tracers =
        SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource).build();
    global::set_tracer_provider(tracers.clone());
    global::set_meter_provider(meters.clone());
    Ok(Some((tracers, meters)))
}

fn filter(default: &str) -> EnvFilter {
    let wanted = env::var("LINEATE_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { default } else { &wanted };
    EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(default))
}

fn ansi() -> bool {
    std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none()
}
