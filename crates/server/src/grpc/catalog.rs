//! Definitions.

use lineate_ledger::graph::At;
use lineate_proto::v1::{
    Annotations, ApplyRequest, CatalogListing, Column, Definition, DescribeRequest, Entity,
    ListCatalogRequest, Plan, Service as ServiceMessage, View,
    catalog_server::Catalog,
    definition,
    plan::{Change, Kind},
    service::Feature,
};
use lineate_state::catalog::{Catalog as Definitions, ChangeKind};
use lineate_types::{
    EntityDefinition, KeyColumn, Name, NodeKind, NodeRef, ServiceDefinition, VersionedName, ViewDefinition,
};
use tonic::{Request, Response, Status};

use super::{Service, blocking};
use crate::{Error, Result, app::App, definitions, reader};

#[tonic::async_trait]
impl Catalog for Service {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<Plan>, Status> {
        let ApplyRequest { files, plan_only } = request.into_inner();
        let definitions = blocking(move || definitions::read(&files)).await?;
        let app = &self.0;
        let applied =
            app.node().apply(app.principal(), &definitions, plan_only).await.map_err(Error::from)?;
        let changes = applied.changes.into_iter().map(|change| Change {
            kind: match change.kind {
                ChangeKind::New => Kind::New,
                ChangeKind::Changed => Kind::Changed,
                ChangeKind::Unchanged => Kind::Unchanged,
            }
            .into(),
            what: change.what.to_owned(),
            name: change.name,
            details: change.details,
            consequences: change.breaks,
        });
        Ok(Response::new(Plan { changes: changes.collect(), applied: applied.applied }))
    }

    async fn list(&self, request: Request<ListCatalogRequest>) -> Result<Response<CatalogListing>, Status> {
        let (app, wanted) = (self.0.clone(), request.into_inner().project);
        Ok(Response::new(blocking(move || list(&app, &wanted)).await?))
    }

    async fn describe(&self, request: Request<DescribeRequest>) -> Result<Response<Definition>, Status> {
        let (app, node) = (self.0.clone(), request.into_inner().node);
        Ok(Response::new(blocking(move || describe(&app, &node)).await?))
    }
}

fn list(app: &App, wanted: &str) -> Result<CatalogListing> {
    let describer = Describer::new(app);
    let mut definitions = Vec::new();
    let projects: Vec<Name> = describer.catalog.projects().into_iter().cloned().collect();
    for project in projects.iter().filter(|project| wanted.is_empty() || project.as_str() == wanted) {
        definitions.extend(describer.project(project)?);
    }
    Ok(CatalogListing { definitions })
}

fn describe(app: &App, node: &str) -> Result<Definition> {
    let describer = Describer::new(app);
    let (kind, name) = node.split_once(':').unwrap_or(("", node));
    let reference = reader::reference("definition", name)?;
    let project = describer.catalog.project(reference.project.as_ref())?;
    describer.one(kind, &project, &reference.name)
}

/// Definitions as messages, with what the ledger says beside them. Reads sealed texts: not for threads that serve.
struct Describer<'a> {
    app: &'a App,
    catalog: Definitions,
}

impl<'a> Describer<'a> {
    fn new(app: &'a App) -> Self {
        Self { app, catalog: app.node().catalog() }
    }

    fn one(&self, kind: &str, project: &Name, name: &VersionedName) -> Result<Definition> {
        let definition = match kind {
            "entity" => definition::Definition::Entity(entity(self.catalog.entity(project, &name.name)?)),
            "view" => definition::Definition::View(self.view(self.catalog.view(project, name)?)),
            "service" => definition::Definition::Service(self.service(self.catalog.service(project, name)?)?),
            _ => {
                return Err(Error::Invalid(format!(
                    "`{kind}` is no kind of definition; write entity:NAME, view:NAME or service:NAME"
                )));
            }
        };
        Ok(Definition { definition: Some(definition) })
    }

    /// The newest versions of everything in a project: entities, views, services, each by name.
    fn project(&self, project: &Name) -> Result<Vec<Definition>> {
        let of = |candidate: &Name| candidate == project;
        let entities =
            self.catalog.entities().filter(|entity| of(&entity.project)).map(|entity| &entity.name);
        let views = self.catalog.views().filter(|view| of(&view.project)).map(|view| &view.name);
        let services =
            self.catalog.services().filter(|service| of(&service.project)).map(|service| &service.name);
        let mut names: Vec<(&str, &Name)> = entities.map(|name| ("entity", name)).collect();
        names.extend(sorted(views).into_iter().map(|name| ("view", name)));
        names.extend(sorted(services).into_iter().map(|name| ("service", name)));
        names
            .into_iter()
            .map(|(kind, name)| self.one(kind, project, &VersionedName { name: name.clone(), version: None }))
            .collect()
    }

    fn view(&self, view: &ViewDefinition) -> View {
        let shares_history =
            self.catalog.views().any(|other| other.history == view.history && other.version < view.version);
        let record = self.app.node().meta().read().view_record(view.id);
        View {
            project: view.project.to_string(),
            name: view.name.to_string(),
            version: view.version,
            entity: view.entity.to_string(),
            keys: key_columns(&view.keys),
            event_time: view.event_time.to_string(),
            created_time: view.created_time.as_ref().map(ToString::to_string),
            ttl_us: view.ttl.map(|ttl| ttl.0),
            naive_times_are_utc: view.naive_times_are_utc,
            default_mode: view.default_mode().to_string(),
            features: view
                .features
                .iter()
                .map(|feature| column(feature.name.as_str(), &feature.data_type))
                .collect(),
            annotations: Some(self.annotations(NodeKind::View, &view.project, &view.name)),
            record: record.map(|record| record.to_string()).unwrap_or_default(),
            shares_history,
        }
    }

    fn service(&self, service: &ServiceDefinition) -> Result<ServiceMessage> {
        let mut keys: Vec<Column> = Vec::new();
        let mut features = Vec::with_capacity(service.features.len());
        for feature in &service.features {
            let view = self.catalog.view_by_id(feature.view).ok_or_else(|| {
                Error::Stopped(format!("service {service} names a view that is not defined"))
            })?;
            let data_type =
                view.feature(feature.feature.as_str()).map(|(_, feature)| feature.data_type.clone());
            for mapping in &feature.keys {
                let key = view.keys.iter().find(|key| key.name == mapping.key);
                if let Some(key) =
                    key.filter(|_| keys.iter().all(|known| known.name != mapping.column.as_str()))
                {
                    keys.push(column(mapping.column.as_str(), &key.key_type));
                }
            }
            features.push(Feature {
                column: format!("{}__{}", feature.alias, feature.feature),
                view: view.to_string(),
                alias: feature.alias.to_string(),
                feature: feature.feature.to_string(),
                r#type: data_type.map(|data_type| data_type.to_string()).unwrap_or_default(),
                key_columns: feature.keys.iter().map(|mapping| mapping.column.to_string()).collect(),
            });
        }
        Ok(ServiceMessage {
            project: service.project.to_string(),
            name: service.name.to_string(),
            version: service.version,
            features,
            keys,
            annotations: Some(self.annotations(NodeKind::Service, &service.project, &service.name)),
            record: self.service_record(service)?,
        })
    }

    fn annotations(&self, kind: NodeKind, project: &Name, name: &Name) -> Annotations {
        let said = self.app.node().annotations(kind, project, name);
        Annotations {
            owner: said.owner,
            description: said.description,
            tags: said.tags.into_iter().collect(),
        }
    }

    fn service_record(&self, service: &ServiceDefinition) -> Result<String> {
        let name = VersionedName { name: service.name.clone(), version: Some(service.version) };
        let node = NodeRef::Named { kind: NodeKind::Service, project: Some(service.project.clone()), name };
        let meta = self.app.node().meta().read();
        Ok(meta.ledger().graph().resolve(&node, None, At::Newest)?.id.to_string())
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a Name>) -> Vec<&'a Name> {
    let names: std::collections::BTreeSet<&Name> = names.collect();
    names.into_iter().collect()
}

fn entity(entity: &EntityDefinition) -> Entity {
    Entity {
        project: entity.project.to_string(),
        name: entity.name.to_string(),
        keys: key_columns(&entity.keys),
    }
}

fn key_columns(keys: &[KeyColumn]) -> Vec<Column> {
    keys.iter().map(|key| column(key.name.as_str(), &key.key_type)).collect()
}

fn column(name: &str, data_type: &impl ToString) -> Column {
    Column { name: name.to_owned(), r#type: data_type.to_string() }
}
