//! The state of the server.

use lineate_proto::v1::{
    HealthReply, HealthRequest, StatusReply, StatusRequest,
    admin_server::Admin,
    status_reply::{Disk, Group},
};
use tonic::{Request, Response, Status};

use super::Service;

#[tonic::async_trait]
impl Admin for Service {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let status = self.0.status().await?;
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
            disk: status.disk.map(|disk| Disk {
                available_bytes: disk.available_bytes,
                log_bytes: disk.log_bytes,
                kv_bytes: disk.kv_bytes,
                blob_bytes: disk.blob_bytes,
                sealed_text_bytes: disk.sealed_text_bytes,
                tmp_bytes: disk.tmp_bytes,
                quarantine_bytes: disk.quarantine_bytes,
            }),
        }))
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthReply>, Status> {
        let health = self.0.health().await?;
        Ok(Response::new(HealthReply {
            reads: health.reads(),
            writes: health.writes(),
            state: health.state.as_str().to_owned(),
            available_bytes: health.available_bytes,
            reasons: health.reasons,
        }))
    }
}
