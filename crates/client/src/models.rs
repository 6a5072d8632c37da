//! Models.

use lineate_proto::v1::{
    ListModelsRequest, Model, ModelListing, PromoteModelRequest, Promotion, RegisterModelRequest,
};

use crate::{Client, Result, connect::service};

impl Client {
    /// Records a training run and the model version it made.
    ///
    /// # Errors
    /// The training set is unknown, or the server is away.
    pub async fn register_model(&self, request: RegisterModelRequest) -> Result<Model> {
        Ok(service!(self, models_client::ModelsClient).register(request).await?.into_inner())
    }

    /// Points an alias of a model at one version.
    ///
    /// # Errors
    /// The model version is unknown, or the server is away.
    pub async fn promote_model(&self, model: &str, alias: &str) -> Result<Promotion> {
        let request = PromoteModelRequest { model: model.to_owned(), alias: alias.to_owned() };
        Ok(service!(self, models_client::ModelsClient).promote(request).await?.into_inner())
    }

    /// Lists models, of each the newest version or all; in all projects if `project` is empty.
    ///
    /// # Errors
    /// The server is away.
    pub async fn list_models(&self, project: &str, all_versions: bool) -> Result<ModelListing> {
        self.retry()
            .read(|| {
                let mut models = service!(self, models_client::ModelsClient);
                let request = ListModelsRequest { project: project.to_owned(), all_versions };
                async move { models.list(request).await }
            })
            .await
    }
}
