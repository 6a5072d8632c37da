//! The state of the server.

use lineate_proto::v1::{
    HealthReply, HealthRequest, StatusReply, StatusRequest, admin_server::Admin, status_reply::Group,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::app::App;

#[tonic::async_trait]
impl Admin for Service {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let status = self.0.node().status();
        let groups = status
            .groups
            .iter()
            .map(|group| Group {
                group: group.group.0,
                leads: group.leads,
                term: group.term,
                committed_index: group.commit,
                applied_index: group.applied,
                closed_us: group.closed.0,
            })
            .collect();
        Ok(Response::new(StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store_id: status.store,
            data_dir: status.data_dir.display().to_string(),
            started_us: self.0.started().0,
            shards: status.shards.into(),
            groups,
            open_rows: status.open_rows,
            sealed_rows: status.sealed_rows,
            segments: status.segments,
            segment_bytes: status.segment_bytes,
            ledger_entries: status.ledger_entries,
        }))
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthReply>, Status> {
        Ok(Response::new(health(&self.0)))
    }
}

/// Whether every group has a leader here: without one neither reads nor writes are answered.
pub(crate) fn health(app: &App) -> HealthReply {
    let status = app.node().status();
    let leaderless: Vec<String> = status
        .groups
        .iter()
        .filter(|group| !group.leads)
        .map(|group| format!("group {} has no leader here", group.group))
        .collect();
    let well = leaderless.is_empty();
    HealthReply { reads: well, writes: well, reasons: leaderless }
}
