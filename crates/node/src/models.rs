//! Registering models and moving their aliases.

use lineate_state::meta::{FileDraft, MetaCommand, MetaReply, Promote, RegisterModel};
use lineate_storage::blob::{BlobStore, Lease};
use lineate_types::{Name, Principal, VersionedName};

use crate::{
    Error, Node, Result,
    api::{ModelRequest, Versioned},
};

impl Node {
    /// Registers a model, the run that made it and its metrics.
    ///
    /// # Errors
    /// A training set does not exist, or a metric is no number; nothing is registered then.
    pub async fn register_model(&self, principal: &Principal, request: ModelRequest) -> Result<Versioned> {
        let project = self.meta().read().catalog().project(request.project.as_ref())?;
        let datasets =
            request.datasets.iter().map(|name| self.dataset(&project, name).map(|dataset| dataset.record));
        let datasets = datasets.collect::<Result<Vec<_>>>()?;
        let lease = self.lease_blobs();
        let artifact = match request.artifact {
            None => None,
            Some(upload) => Some(self.store_upload(upload, &lease).await?),
        };
        self.check_space()?;
        let texts: Vec<&str> = request
            .code
            .iter()
            .chain(request.parameters.iter().map(|(_, value)| value))
            .map(String::as_str)
            .collect();
        let texts = self.sealed_texts().seal(&texts).await?;
        let mut sealed = texts.iter().copied();
        let command = MetaCommand::RegisterModel(RegisterModel {
            project: project.clone(),
            name: request.name.clone(),
            datasets,
            run: *uuid::Uuid::new_v4().as_bytes(),
            code: request.code.as_ref().and_then(|_| sealed.next()),
            parameters: request.parameters.iter().map(|(name, _)| name.clone()).zip(sealed).collect(),
            metrics: request.metrics,
            artifact,
        });
        let registering = self.versioned(principal, command, project, request.name);
        self.name_texts(&texts, self.name_blobs(&lease, registering)).await
    }

    /// Points an alias at a model version.
    ///
    /// # Errors
    /// The model or version does not exist.
    pub async fn promote(
        &self,
        principal: &Principal,
        project: Option<&Name>,
        model: &VersionedName,
        alias: Name,
    ) -> Result<Versioned> {
        let project = self.meta().read().catalog().project(project)?;
        let version = model.version.ok_or_else(|| {
            Error::Invalid(format!("name the version to promote, such as {}@v1", model.name))
        })?;
        let command = MetaCommand::Promote(Promote {
            project: project.clone(),
            model: model.name.clone(),
            version,
            alias,
        });
        self.versioned(principal, command, project, model.name.clone()).await
    }

    /// Proposes a command that gives a name a version.
    ///
    /// # Errors
    /// It is refused.
    pub async fn versioned(
        &self,
        principal: &Principal,
        command: MetaCommand,
        project: Name,
        name: Name,
    ) -> Result<Versioned> {
        match self.propose_meta(principal, command).await?.0 {
            MetaReply::Versioned { version, record } => Ok(Versioned { project, name, version, record }),
            other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
        }
    }

    /// Makes a blob of an upload.
    async fn store_upload(&self, id: u64, lease: &Lease) -> Result<FileDraft> {
        let upload = self.uploads().take(id)?;
        let blobs = self.new_blobs(lease);
        let info = tokio::task::spawn_blocking(move || -> Result<_> {
            let path = upload.path();
            let mut file = std::fs::File::open(path)
                .map_err(|cause| lineate_storage::Error::io("read the upload", path, cause))?;
            let mut writer = blobs.writer()?;
            std::io::copy(&mut file, &mut writer)
                .map_err(|cause| lineate_storage::Error::io("write a blob from", path, cause))?;
            Ok(writer.finish()?)
        })
        .await??;
        Ok(FileDraft { physical: info.hash, bytes: info.bytes, rows: 0 })
    }
}
