//! HTTP for people, load balancers and Prometheus: `/`, `/health`, `/metrics`.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse},
    routing::get,
};
use serde_json::json;

use crate::{app::App, grpc::admin};

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(app)
}

/// 200 while reads and writes work, 503 with the reasons otherwise.
async fn health(State(app): State<App>) -> impl IntoResponse {
    let health = admin::health(&app);
    let status = if health.reads && health.writes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"reads": health.reads, "writes": health.writes, "reasons": health.reasons});
    (status, Json(body))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let text = app.metrics().text(&app.node().status());
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

async fn overview(State(app): State<App>) -> impl IntoResponse {
    let status = app.node().status();
    let led = status.groups.iter().filter(|group| group.leads).count();
    let rows = [
        ("store", status.store.clone()),
        ("shards", status.shards.to_string()),
        ("groups led", format!("{led} of {}", status.groups.len())),
        ("rows sealed", status.sealed_rows.to_string()),
        ("rows open", status.open_rows.to_string()),
        ("segments", format!("{} ({} bytes)", status.segments, status.segment_bytes)),
        ("ledger records", status.ledger_entries.to_string()),
        ("serving since", app.started().to_string()),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value)))
        .collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>lineate</title>\
         <style>body{{font:15px/1.6 system-ui;max-width:40em;margin:3em auto;padding:0 1em;color-scheme:light dark}}\
         th{{text-align:left;font-weight:normal;opacity:.65;padding-right:2em}}td{{font-variant-numeric:tabular-nums}}\
         </style><h1>lineate {}</h1><table>{rows}</table>\
         <p><a href=\"/health\">health</a> · <a href=\"/metrics\">metrics</a> · gRPC and Arrow Flight on this port</p>",
        env!("CARGO_PKG_VERSION")
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
