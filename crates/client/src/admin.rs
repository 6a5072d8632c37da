//! The state of a server.

use lineate_proto::v1::{HealthReply, HealthRequest, StatusReply, StatusRequest};

use crate::{Client, Result, connect::service};

impl Client {
    /// What the server is and holds.
    ///
    /// # Errors
    /// The server is away.
    pub async fn status(&self) -> Result<StatusReply> {
        self.retry()
            .read(|| {
                let mut admin = service!(self, admin_client::AdminClient);
                async move { admin.status(StatusRequest {}).await }
            })
            .await
    }

    /// Whether the server can serve.
    ///
    /// # Errors
    /// The server is away.
    pub async fn health(&self) -> Result<HealthReply> {
        self.retry()
            .read(|| {
                let mut admin = service!(self, admin_client::AdminClient);
                async move { admin.health(HealthRequest {}).await }
            })
            .await
    }
}
