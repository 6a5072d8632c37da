//! The catalog: every entity, view version and service version of the store, and how it changes.

pub mod authored;
mod plan;
mod service_change;

use std::collections::BTreeMap;

use lineate_types::{
    EntityDefinition, HistoryId, Name, ServiceDefinition, VersionedName, ViewDefinition, ViewId,
};

use crate::Error;
pub use plan::{Change, ChangeKind, Note, Plan, Resolved};

/// Everything defined, in memory. A value: two catalogs of the same commands are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    version: u64,
    entities: BTreeMap<(Name, Name), EntityDefinition>,
    views: BTreeMap<ViewId, ViewDefinition>,
    view_versions: BTreeMap<(Name, Name), Vec<ViewId>>,
    services: BTreeMap<(Name, Name), Vec<ServiceDefinition>>,
}

impl Catalog {
    /// Raised by every change; a plan made at one version applies only to that version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Every project with anything in it, in order.
    pub fn projects(&self) -> Vec<&Name> {
        let mut projects: Vec<&Name> = self.entities.keys().map(|(project, _)| project).collect();
        projects.dedup();
        projects
    }

    /// The project meant by a request that names one or none.
    ///
    /// # Errors
    /// None is named and the store has not exactly one.
    pub fn project(&self, named: Option<&Name>) -> Result<Name, Error> {
        if let Some(name) = named {
            return Ok(name.clone());
        }
        match self.projects().as_slice() {
            [only] => Ok((*only).clone()),
            [] => Err(Error::NotFound {
                what: "project".into(),
                name: "(none)".into(),
                hint: "; nothing is defined yet: `lineate apply FILE` defines entities, views and services"
                    .into(),
            }),
            several => Err(Error::Invalid(format!(
                "the store has {} projects; name one as PROJECT/NAME",
                several.len()
            ))),
        }
    }

    /// All entities, by project and name.
    pub fn entities(&self) -> impl Iterator<Item = &EntityDefinition> {
        self.entities.values()
    }

    /// All view versions, oldest first.
    pub fn views(&self) -> impl Iterator<Item = &ViewDefinition> {
        self.views.values()
    }

    /// All service versions, by project, name and version.
    pub fn services(&self) -> impl Iterator<Item = &ServiceDefinition> {
        self.services.values().flatten()
    }

    /// The view version with this number.
    pub fn view_by_id(&self, id: ViewId) -> Option<&ViewDefinition> {
        self.views.get(&id)
    }

    /// The entity of this name.
    ///
    /// # Errors
    /// There is none; the nearest name is offered.
    pub fn entity(&self, project: &Name, name: &Name) -> Result<&EntityDefinition, Error> {
        self.entities
            .get(&(project.clone(), name.clone()))
            .ok_or_else(|| not_found("entity", project, name.as_str(), self.entities.keys()))
    }

    /// The named version of a view, or its newest.
    ///
    /// # Errors
    /// There is none; the nearest name is offered.
    pub fn view(&self, project: &Name, wanted: &VersionedName) -> Result<&ViewDefinition, Error> {
        let versions = self
            .view_versions
            .get(&(project.clone(), wanted.name.clone()))
            .ok_or_else(|| not_found("view", project, wanted.name.as_str(), self.view_versions.keys()))?;
        let found = match wanted.version {
            None => versions.last(),
            Some(version) => {
                versions.iter().find(|id| self.views.get(id).is_some_and(|view| view.version == version))
            }
        };
        found.and_then(|id| self.views.get(id)).ok_or_else(|| no_such_version("view", wanted, versions.len()))
    }

    /// The named version of a service, or its newest.
    ///
    /// # Errors
    /// There is none; the nearest name is offered.
    pub fn service(&self, project: &Name, wanted: &VersionedName) -> Result<&ServiceDefinition, Error> {
        let versions = self
            .services
            .get(&(project.clone(), wanted.name.clone()))
            .ok_or_else(|| not_found("service", project, wanted.name.as_str(), self.services.keys()))?;
        let found = match wanted.version {
            None => versions.last(),
            Some(version) => versions.iter().find(|service| service.version == version),
        };
        found.ok_or_else(|| no_such_version("service", wanted, versions.len()))
    }

    /// The next number for a view version.
    pub fn next_view(&self) -> ViewId {
        ViewId(self.views.keys().next_back().map_or(1, |id| id.0 + 1))
    }

    /// The next number for a history of rows.
    pub fn next_history(&self) -> HistoryId {
        HistoryId(self.views.values().map(|view| view.history.0 + 1).max().unwrap_or(1))
    }

    /// Adds what a plan resolved. The caller has checked that the plan was made at this version.
    pub(crate) fn add(&mut self, resolved: &Resolved) {
        self.version += 1;
        for entity in &resolved.entities {
            self.insert_entity(entity.clone());
        }
        for view in &resolved.views {
            self.insert_view(view.clone());
        }
        for service in &resolved.services {
            self.insert_service(service.clone());
        }
    }

    pub(crate) fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    pub(crate) fn insert_entity(&mut self, entity: EntityDefinition) {
        self.entities.insert((entity.project.clone(), entity.name.clone()), entity);
    }

    pub(crate) fn insert_view(&mut self, view: ViewDefinition) {
        let versions = self.view_versions.entry((view.project.clone(), view.name.clone())).or_default();
        versions.push(view.id);
        self.views.insert(view.id, view);
    }

    pub(crate) fn insert_service(&mut self, service: ServiceDefinition) {
        self.services.entry((service.project.clone(), service.name.clone())).or_default().push(service);
    }
}

fn not_found<'a>(
    what: &str,
    project: &Name,
    name: &str,
    known: impl Iterator<Item = &'a (Name, Name)>,
) -> Error {
    let candidates: Vec<&str> =
        known.filter(|(candidate, _)| candidate == project).map(|(_, name)| name.as_str()).collect();
    let hint = match Name::nearest(name, candidates.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if candidates.is_empty() => format!("; the project has no {what} yet"),
        None => format!("; there are {}", candidates.join(", ")),
    };
    Error::NotFound { what: what.into(), name: format!("{project}/{name}"), hint }
}

fn no_such_version(what: &str, wanted: &VersionedName, newest: usize) -> Error {
    Error::NotFound {
        what: what.into(),
        name: wanted.to_string(),
        hint: format!("; its newest version is v{newest}"),
    }
}
