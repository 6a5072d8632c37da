//! `lineate serve`.

mod file;
mod settings;
mod size;

use std::{env, net::SocketAddr, path::PathBuf};

use clap::Args;
use lineate_server::Server;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Outcome;
use crate::{
    cli::Global,
    error::Error,
    output::{Output, Page, Report},
    telemetry,
};

const EXAMPLES: &str = "\
Examples:
  lineate serve --data-dir store
  lineate serve --data-dir store --listen 127.0.0.1:9000
  lineate serve --data-dir store --listen 0.0.0.0:7401 --insecure
  lineate serve --config single-node.yaml

Settings come from options, then the environment, then the file, then defaults:
  data_dir            --data-dir   LINEATE_DATA_DIR
  listen              --listen     LINEATE_LISTEN        127.0.0.1:7401
  insecure            --insecure   LINEATE_INSECURE      false
  shards                           LINEATE_SHARDS        16, of a store that is made now
  cache_bytes                      LINEATE_CACHE_BYTES   256MiB
  log_bytes                        LINEATE_LOG_BYTES     256MiB
  bounds:             connections, idle_timeout, send_timeout, drain_timeout
  telemetry:
    endpoint          OTEL_EXPORTER_OTLP_ENDPOINT        traces and metrics, http://host:4317
    log, log_format   LINEATE_LOG, LINEATE_LOG_FORMAT    info, text (or json)

One port speaks gRPC, Arrow Flight and HTTP: / for a look, /health and /health/ready for probes, /metrics for \
Prometheus. Logs go to standard error. Ctrl-C or SIGTERM finishes what is under way, then ends.";

/// Serves a store to others until it is told to stop.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Read settings from this YAML file [env: LINEATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Listen beyond this machine although nobody is asked who they are
    #[arg(long)]
    insecure: bool,
}

pub(crate) async fn run(
    arguments: Arguments,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let settings = settings::resolve(&arguments, global, &|name| env::var(name).ok())?;
    let telemetry = telemetry::start(&settings.telemetry)?;
    let directory = settings.serve.data_dir.display().to_string();
    // Listened for before anybody is told that there is a server to stop.
    let stop = StopSignal::listen();
    let server = Server::bind(settings.serve).await?;
    output.report(&Serving { address: server.local_address(), directory })?;
    let served = server.run(stop.wait()).await;
    telemetry.stop().await;
    served?;
    Ok(Outcome::Done)
}

/// Ctrl-C or SIGTERM.
struct StopSignal {
    interrupt: std::io::Result<Signal>,
    terminate: std::io::Result<Signal>,
}

impl StopSignal {
    /// From now on neither ends the process by itself.
    fn listen() -> Self {
        Self { interrupt: signal(SignalKind::interrupt()), terminate: signal(SignalKind::terminate()) }
    }

    /// Waits for either.
    async fn wait(self) {
        let received = async |listener: std::io::Result<Signal>| match listener {
            Ok(mut listener) => {
                listener.recv().await;
            }
            Err(_) => std::future::pending().await,
        };
        tokio::select! {
            () = received(self.interrupt) => {}
            () = received(self.terminate) => {}
        }
    }
}

struct Serving {
    address: SocketAddr,
    directory: String,
}

impl Report for Serving {
    fn text(&self, page: &mut Page) {
        page.verdict(true, &format!("serving {} on {}", self.directory, self.address), "Ctrl-C ends it");
    }

    fn json(&self) -> Value {
        json!({"address": self.address.to_string(), "data_dir": self.directory})
    }
}
