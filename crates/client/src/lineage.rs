//! The lineage graph.

use lineate_proto::v1::{
    DiffReply, DiffRequest, EraseRequest, Erasure, NodeDetail, Progress, ShowNodeRequest, TraceReply,
    TraceRequest, VerifyReport, VerifyRequest,
};

use crate::{Client, Result, connect::service, work::follow};

impl Client {
    /// Walks the graph; an answer that is not complete carries a cursor.
    ///
    /// # Errors
    /// The node is unknown, or the server is away.
    pub async fn trace(&self, request: TraceRequest) -> Result<TraceReply> {
        self.retry()
            .read(|| {
                let (mut lineage, request) = (service!(self, lineage_client::LineageClient), request.clone());
                async move { lineage.trace(request).await }
            })
            .await
    }

    /// Shows the record of one node.
    ///
    /// # Errors
    /// The node is unknown, or the server is away.
    pub async fn show_node(&self, node: &str) -> Result<NodeDetail> {
        self.retry()
            .read(|| {
                let mut lineage = service!(self, lineage_client::LineageClient);
                let request = ShowNodeRequest { node: node.to_owned() };
                async move { lineage.show(request).await }
            })
            .await
    }

    /// Re-hashes and re-proves what a node stands on, or the whole store.
    ///
    /// # Errors
    /// The node is unknown, or the server is away. What is wrong is in the report, no error.
    pub async fn verify(
        &self,
        node: Option<&str>,
        on_progress: impl FnMut(Progress),
    ) -> Result<VerifyReport> {
        let request = VerifyRequest { node: node.unwrap_or_default().to_owned() };
        let events = service!(self, lineage_client::LineageClient).verify(request).await?.into_inner();
        follow(events, on_progress).await
    }

    /// Erases texts of a node, or says which would be.
    ///
    /// # Errors
    /// The node is unknown or has no such text, or the server is away.
    pub async fn erase(&self, request: EraseRequest) -> Result<Erasure> {
        self.retry()
            .read(|| {
                let (mut lineage, request) = (service!(self, lineage_client::LineageClient), request.clone());
                // Erasing twice is erasing once.
                async move { lineage.erase(request).await }
            })
            .await
    }

    /// Compares the ancestry of two nodes.
    ///
    /// # Errors
    /// A node is unknown, or the server is away.
    pub async fn diff(&self, left: &str, right: &str) -> Result<DiffReply> {
        self.retry()
            .read(|| {
                let mut lineage = service!(self, lineage_client::LineageClient);
                let request = DiffRequest { left: left.to_owned(), right: right.to_owned() };
                async move { lineage.diff(request).await }
            })
            .await
    }
}
