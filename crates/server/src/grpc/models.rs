//! The register of models.

use std::collections::BTreeMap;

use lineate_ledger::Sealed;
use lineate_node::api::{ModelRequest, Versioned};
use lineate_proto::v1::{
    ListModelsRequest, Model, ModelListing, PromoteModelRequest, Promotion, RegisterModelRequest,
    models_server::Models,
};
use lineate_state::meta::ModelState;
use lineate_types::{Hash, Name};
use tonic::{Request, Response, Status};

use super::{Service, blocking, store::upload_id};
use crate::{Error, Result, app::App, reader};

#[tonic::async_trait]
impl Models for Service {
    async fn register(&self, request: Request<RegisterModelRequest>) -> Result<Response<Model>, Status> {
        Ok(Response::new(register(&self.0, request.into_inner()).await?))
    }

    async fn promote(&self, request: Request<PromoteModelRequest>) -> Result<Response<Promotion>, Status> {
        Ok(Response::new(promote(&self.0, request.into_inner()).await?))
    }

    async fn list(&self, request: Request<ListModelsRequest>) -> Result<Response<ModelListing>, Status> {
        let (app, request) = (self.0.clone(), request.into_inner());
        Ok(Response::new(blocking(move || list(&app, &request)).await?))
    }
}

fn list(app: &App, request: &ListModelsRequest) -> Result<ModelListing> {
    let ListModelsRequest { project, all_versions } = request;
    let mut listed: BTreeMap<(Name, Name, u32), ModelState> = BTreeMap::new();
    for state in app.node().meta().read().models() {
        if project.is_empty() || state.draft.project.as_str() == project {
            // Versions come in order, so that without all of them the newest stays.
            let version = if *all_versions { state.version } else { 0 };
            listed.insert((state.draft.project.clone(), state.draft.name.clone(), version), state.clone());
        }
    }
    let models = listed.values().map(|state| message(app, state)).collect::<Result<Vec<_>>>()?;
    Ok(ModelListing { models })
}

async fn register(app: &App, request: RegisterModelRequest) -> Result<Model> {
    let (mut project, name) = reader::unversioned("model", &request.name)?;
    let mut datasets = Vec::with_capacity(request.datasets.len());
    for text in &request.datasets {
        let dataset = reader::reference("dataset", text)?;
        if let Some(named) = dataset.project {
            match &project {
                Some(project) if *project != named => {
                    return Err(Error::Invalid(format!(
                        "the model is of project `{project}`, its dataset `{text}` of another"
                    )));
                }
                _ => project = Some(named),
            }
        }
        datasets.push(dataset.name);
    }
    let artifact = match request.artifact_upload_id.as_str() {
        "" => None,
        id => Some(upload_id(id)?),
    };
    let request = ModelRequest {
        project,
        name,
        datasets,
        artifact,
        code: Some(request.code).filter(|code| !code.is_empty()),
        parameters: request.parameters.into_iter().collect(),
        metrics: request.metrics.into_iter().collect(),
    };
    let Versioned { project, name, version, .. } =
        app.node().register_model(app.principal(), request).await?;
    let app = app.clone();
    blocking(move || message(&app, &state(&app, &project, &name, version)?)).await
}

async fn promote(app: &App, request: PromoteModelRequest) -> Result<Promotion> {
    let reference = reader::reference("model", &request.model)?;
    let alias = Name::new(request.alias).map_err(|cause| Error::Invalid(format!("alias {cause}")))?;
    let previous = {
        let meta = app.node().meta().read();
        let project = meta.catalog().project(reference.project.as_ref())?;
        let versions = meta.model_versions(&project, &reference.name.name);
        versions.iter().find(|state| state.aliases.contains(&alias)).map(|state| state.version)
    };
    let promoted = app
        .node()
        .promote(app.principal(), reference.project.as_ref(), &reference.name, alias.clone())
        .await?;
    Ok(Promotion {
        model: format!("{}@v{}", promoted.name, promoted.version),
        alias: alias.to_string(),
        previous: previous.map(|version| format!("{}@v{version}", promoted.name)).unwrap_or_default(),
        model_record: promoted.record.to_string(),
    })
}

fn state(app: &App, project: &Name, name: &Name, version: u32) -> Result<ModelState> {
    let meta = app.node().meta().read();
    let found = meta.model_versions(project, name).iter().find(|state| state.version == version).cloned();
    found.ok_or_else(|| Error::Stopped(format!("model {name}@v{version} is not where it was put")))
}

/// A model as a message. Reads sealed texts: not for threads that serve.
fn message(app: &App, state: &ModelState) -> Result<Model> {
    let draft = &state.draft;
    // A text that is erased or damaged says so and hides nothing else of the model.
    let shown = |commitment: Hash| app.node().shown_text(Sealed(commitment));
    let parameters = draft.parameters.iter().map(|(name, value)| (name.clone(), shown(*value)));
    let (datasets, run) = {
        let meta = app.node().meta().read();
        let graph = meta.ledger().graph();
        let title = |id: &Hash| graph.node(*id).map_or_else(|| id.to_string(), |node| node.title());
        let datasets = draft.datasets.iter().map(|id| {
            let title = title(id);
            title.strip_prefix("dataset:").map_or(title.clone(), ToOwned::to_owned)
        });
        let run = match meta.ledger().record(&state.record) {
            Some(lineate_ledger::Record::Model(model)) => model.run.to_string(),
            _ => String::new(),
        };
        (datasets.collect(), run)
    };
    Ok(Model {
        project: draft.project.to_string(),
        name: draft.name.to_string(),
        version: state.version,
        record: state.record.to_string(),
        datasets,
        run,
        artifact_hash: draft.artifact.map(|file| file.physical.to_string()).unwrap_or_default(),
        artifact_bytes: draft.artifact.map_or(0, |file| file.bytes),
        code: draft.code.map(shown).unwrap_or_default(),
        parameters: parameters.collect(),
        metrics: draft.metrics.iter().cloned().collect(),
        commit_time_us: state.created.0,
        aliases: state.aliases.iter().map(ToString::to_string).collect(),
    })
}
