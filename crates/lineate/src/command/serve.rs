//! `lineate serve`.

use std::net::SocketAddr;

use clap::Args;
use lineate_server::{Bounds, ServeOptions, Server};
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

One port speaks gRPC, Arrow Flight and HTTP: / for a look, /health, /metrics for Prometheus. Logs go to standard \
error (LINEATE_LOG=debug, LINEATE_LOG_FORMAT=json); traces and metrics to OTEL_EXPORTER_OTLP_ENDPOINT if it \
is set. Ctrl-C or SIGTERM finishes what is under way, then ends.";

/// Serves a store to others until it is told to stop.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = lineate_client::DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// Listen beyond this machine although nobody is asked who they are
    #[arg(long)]
    insecure: bool,
}

pub(crate) async fn run(
    arguments: Arguments,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let directory = super::required_directory(global, "serve")?;
    let telemetry = telemetry::start()?;
    let options = ServeOptions {
        data_dir: directory.clone(),
        listen: arguments.listen,
        insecure: arguments.insecure,
        shards: None,
        cache_bytes: None,
        bounds: Bounds::default(),
    };
    // Listened for before anybody is told that there is a server to stop.
    let stop = StopSignal::listen();
    let server = Server::bind(options).await?;
    output
        .report(&Serving { address: server.local_address(), directory: directory.display().to_string() })?;
    let served = server.run(stop.wait()).await;
    telemetry.stop();
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
