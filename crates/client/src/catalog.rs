//! Definitions.

use lineate_proto::v1::{
    ApplyRequest, CatalogListing, Definition, DefinitionFile, DescribeRequest, ListCatalogRequest, Plan,
};

use crate::{Client, Result, connect::service};

impl Client {
    /// Compares definitions with the store, without applying them.
    ///
    /// # Errors
    /// A file is not valid, or the server is away.
    pub async fn plan(&self, files: Vec<DefinitionFile>) -> Result<Plan> {
        let request = ApplyRequest { files, plan_only: true };
        self.retry()
            .read(|| {
                let (mut catalog, request) = (service!(self, catalog_client::CatalogClient), request.clone());
                async move { catalog.apply(request).await }
            })
            .await
    }

    /// Applies definitions as one change and says what changed.
    ///
    /// # Errors
    /// A file is not valid, or the server is away.
    pub async fn apply(&self, files: Vec<DefinitionFile>) -> Result<Plan> {
        let request = ApplyRequest { files, plan_only: false };
        Ok(service!(self, catalog_client::CatalogClient).apply(request).await?.into_inner())
    }

    /// Lists what is defined; in all projects if `project` is empty.
    ///
    /// # Errors
    /// The server is away.
    pub async fn list_definitions(&self, project: &str) -> Result<CatalogListing> {
        self.retry()
            .read(|| {
                let mut catalog = service!(self, catalog_client::CatalogClient);
                let request = ListCatalogRequest { project: project.to_owned() };
                async move { catalog.list(request).await }
            })
            .await
    }

    /// Describes `view:…`, `service:…` or `entity:…`.
    ///
    /// # Errors
    /// There is no such thing, or the server is away.
    pub async fn describe(&self, node: &str) -> Result<Definition> {
        self.retry()
            .read(|| {
                let mut catalog = service!(self, catalog_client::CatalogClient);
                let request = DescribeRequest { node: node.to_owned() };
                async move { catalog.describe(request).await }
            })
            .await
    }
}
