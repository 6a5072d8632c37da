//! HTTP for people, load balancers and Prometheus: `/`, `/health`, `/health/ready`, `/metrics`.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::{Error, app::App, health::Health};

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/health", get(alive))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app)
}

/// 200 unless the store failed and the process should be ended: for liveness probes.
async fn alive(State(app): State<App>) -> Result<Response, Failed> {
    let health = app.health().await?;
    Ok(tell(health.alive(), &health))
}

/// 200 while reads are answered: for readiness probes and balancers.
async fn ready(State(app): State<App>) -> Result<Response, Failed> {
    let health = app.health().await?;
    Ok(tell(health.reads(), &health))
}

fn tell(well: bool, health: &Health) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health.json())).into_response()
}

async fn metrics(State(app): State<App>) -> Result<Response, Failed> {
    let kind = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Ok((kind, app.figures().await?).into_response())
}

/// A page that could not be made.
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "a page could not be made");
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", self.0)).into_response()
    }
}

async fn overview(State(app): State<App>) -> Result<Response, Failed> {
    let status = app.status().await?;
    let led = status.groups.iter().filter(|group| group.leads).count();
    let rows = [
        ("store", status.store.clone()),
        ("shards", status.shards.to_string()),
        ("groups led", format!("{led} of {}", status.groups.len())),
        ("rows sealed", status.sealed_rows.to_string()),
        ("rows open", status.open_rows.to_string()),
        ("segments", format!("{} ({} bytes)", status.segments, status.segment_bytes)),
        ("disk", status.disk.map_or(String::new(), |disk| format!("{} bytes left", disk.available_bytes))),
        ("ledger records", status.ledger_entries.to_string()),
        ("serving since", app.started().to_string()),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value)))
        .collect();
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>lineate</title>\
         <style>body{{font:15px/1.6 system-ui;max-width:40em;margin:3em auto;padding:0 1em;color-scheme:light dark}}\
         th{{text-align:left;font-weight:normal;opacity:.65;padding-right:2em}}td{{font-variant-numeric:tabular-nums}}\
         </style><h1>lineate {}</h1><table>{rows}</table>\
         <p><a href=\"/health\">health</a> · <a href=\"/metrics\">metrics</a> · gRPC and Arrow Flight on this port</p>",
        env!("CARGO_PKG_VERSION")
    );
    Ok(Html(page).into_response())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
