//! From authored definitions and the present catalog to a plan: what is new, changed or unchanged, what a
//! change would break, and the resolved definitions to add.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use lineate_types::{
    DataType, EntityDefinition, Feature, KeyColumn, KeyMapping, KeyType, Name, NodeKind, ServiceDefinition,
    ServiceFeature, VersionedName, ViewDefinition, limits,
};
use minicbor::{Decode, Encode};

use super::{Catalog, authored, service_change};
use crate::Error;

/// What applying a definition file would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The catalog version this plan was made at.
    pub catalog_version: u64,
    /// One line per definition in the file, in file order.
    pub changes: Vec<Change>,
    /// What to add.
    pub resolved: Resolved,
    /// Owners, descriptions and tags as the file has them, for every definition in it.
    pub notes: Vec<Note>,
}

/// New versions, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Resolved {
    /// New entities.
    #[n(0)]
    pub entities: Vec<EntityDefinition>,
    /// New view versions.
    #[n(1)]
    pub views: Vec<ViewDefinition>,
    /// New service versions.
    #[n(2)]
    pub services: Vec<ServiceDefinition>,
}

/// What happens to one definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// New, changed or unchanged.
    pub kind: ChangeKind,
    /// `entity`, `view` or `service`.
    pub what: &'static str,
    /// The name, with the version it has afterwards.
    pub name: String,
    /// What differs, for people.
    pub details: Vec<String>,
    /// What a change means for rows and for what depends on it.
    pub breaks: Vec<String>,
}

/// Whether a definition is new, changed or unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ChangeKind {
    New,
    Changed,
    Unchanged,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        })
    }
}

/// A fact beside a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The kind of the definition.
    pub kind: NodeKind,
    /// Its name.
    pub name: Name,
    /// `owner`, `description` or `tag`.
    pub predicate: &'static str,
    /// The text.
    pub text: String,
}

impl Plan {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.resolved == Resolved::default()
    }
}

impl Catalog {
    /// Resolves a definition file against this catalog.
    ///
    /// # Errors
    /// A definition is wrong, or changes what can never change in place. Nothing is changed here.
    pub fn plan(&self, file: &authored::Definitions) -> Result<Plan, Error> {
        let mut planner = Planner {
            catalog: self.clone(),
            before: self,
            project: file.project.clone(),
            changes: Vec::new(),
            resolved: Resolved::default(),
            notes: Vec::new(),
        };
        no_twice("entity", file.entities.iter().map(|entity| &entity.name))?;
        no_twice("view", file.views.iter().map(|view| &view.name))?;
        no_twice("service", file.services.iter().map(|service| &service.name))?;
        for entity in &file.entities {
            planner.entity(entity)?;
        }
        for view in &file.views {
            planner.view(view).map_err(|error| error.within(&format!("view `{}`", view.name)))?;
        }
        for service in &file.services {
            planner.service(service).map_err(|error| error.within(&format!("service `{}`", service.name)))?;
        }
        let Planner { changes, resolved, notes, .. } = planner;
        Ok(Plan { catalog_version: self.version, changes, resolved, notes })
    }
}

struct Planner<'a> {
    /// The catalog with what this plan has added so far.
    catalog: Catalog,
    before: &'a Catalog,
    project: Name,
    changes: Vec<Change>,
    resolved: Resolved,
    notes: Vec<Note>,
}

impl Planner<'_> {
    fn entity(&mut self, authored: &authored::Entity) -> Result<(), Error> {
        let within = |error: Error| error.within(&format!("entity `{}`", authored.name));
        let entity = EntityDefinition {
            project: self.project.clone(),
            name: authored.name.clone(),
            keys: resolve_keys(&authored.keys).map_err(within)?,
        };
        let kind = match self.catalog.entity(&self.project, &entity.name) {
            Ok(present) if *present == entity => ChangeKind::Unchanged,
            Ok(present) => {
                return Err(within(Error::Conflict(format!(
                    "its keys are ({}) and never change in place; the file says ({}). Define an entity of another name",
                    show_keys(&present.keys),
                    show_keys(&entity.keys)
                ))));
            }
            Err(_) => ChangeKind::New,
        };
        let details = vec![format!("keys {}", show_keys(&entity.keys))];
        self.changes.push(Change {
            kind,
            what: "entity",
            name: entity.name.to_string(),
            details,
            breaks: vec![],
        });
        if kind == ChangeKind::New {
            self.catalog.insert_entity(entity.clone());
            self.resolved.entities.push(entity);
        }
        Ok(())
    }

    fn view(&mut self, authored: &authored::View) -> Result<(), Error> {
        let wanted = VersionedName { name: authored.name.clone(), version: None };
        let present = self.catalog.view(&self.project, &wanted).ok().cloned();
        let mut view = self.resolve_view(authored)?;
        self.note(NodeKind::View, &authored.name, &authored.owner, &authored.description, &authored.tags);
        let Some(present) = present else {
            let details = vec![format!("{} features of entity {}", view.features.len(), view.entity)];
            self.add_view(ChangeKind::New, view, details, vec![]);
            return Ok(());
        };
        (view.id, view.version, view.history) = (present.id, present.version, present.history);
        if view == present {
            self.push_change(ChangeKind::Unchanged, "view", view.to_string(), vec![], vec![]);
            return Ok(());
        }
        let details = differences(&present, &view);
        let shares_history = only_adds_features(&present, &view);
        view.id = self.catalog.next_view();
        view.version = present.version + 1;
        let mut breaks = self.users_of(&present);
        if shares_history {
            breaks.extend(new_columns(&present, &view));
        } else {
            view.history = self.catalog.next_history();
            breaks.insert(0, format!("{view} starts empty: its rows must be ingested again"));
        }
        self.add_view(ChangeKind::Changed, view, details, breaks);
        Ok(())
    }

    fn resolve_view(&self, authored: &authored::View) -> Result<ViewDefinition, Error> {
        let entity = self.catalog.entity(&self.project, &authored.entity)?;
        let ttl = match &authored.ttl {
            None => None,
            Some(text) => Some(text.parse().map_err(|cause| Error::Invalid(format!("ttl: {cause}")))?),
        };
        let mut features = Vec::with_capacity(authored.features.len());
        for feature in &authored.features {
            let data_type: DataType = feature
                .data_type
                .parse()
                .map_err(|cause| Error::Invalid(format!("feature `{}`: {cause}", feature.name)))?;
            features.push(Feature { name: feature.name.clone(), data_type });
        }
        bounded("features", features.len(), limits::FEATURES_PER_VIEW)?;
        let columns = entity.keys.iter().map(|key| &key.name).chain([&authored.event_time]);
        let columns =
            columns.chain(&authored.created_time).chain(features.iter().map(|feature| &feature.name));
        no_twice("column", columns)?;
        Ok(ViewDefinition {
            id: self.catalog.next_view(),
            history: self.catalog.next_history(),
            project: self.project.clone(),
            name: authored.name.clone(),
            version: 1,
            entity: entity.name.clone(),
            keys: entity.keys.clone(),
            event_time: authored.event_time.clone(),
            created_time: authored.created_time.clone(),
            ttl,
            naive_times_are_utc: authored.naive_times.is_some(),
            features,
        })
    }

    fn add_view(
        &mut self,
        kind: ChangeKind,
        view: ViewDefinition,
        details: Vec<String>,
        breaks: Vec<String>,
    ) {
        self.push_change(kind, "view", view.to_string(), details, breaks);
        self.catalog.insert_view(view.clone());
        self.resolved.views.push(view);
    }

    /// Services that stay pinned to a view version when a newer one appears.
    fn users_of(&self, view: &ViewDefinition) -> Vec<String> {
        let uses =
            |service: &&ServiceDefinition| service.features.iter().any(|feature| feature.view == view.id);
        let newest = self.before.services.values().filter_map(|versions| versions.last());
        newest.filter(uses).map(|service| format!("service {service} stays on {view}")).collect()
    }

    fn service(&mut self, authored: &authored::Service) -> Result<(), Error> {
        let mut features = Vec::new();
        for selection in &authored.features {
            self.select(selection, &mut features)?;
        }
        bounded("features", features.len(), limits::FEATURES_PER_SERVICE)?;
        check_columns(&features)?;
        self.check_key_columns(&features)?;
        self.note(NodeKind::Service, &authored.name, &authored.owner, &authored.description, &authored.tags);
        let wanted = VersionedName { name: authored.name.clone(), version: None };
        let present = self.catalog.service(&self.project, &wanted).ok().cloned();
        let (kind, version) = match &present {
            None => (ChangeKind::New, 1),
            Some(present) if present.features == features => (ChangeKind::Unchanged, present.version),
            Some(present) => (ChangeKind::Changed, present.version + 1),
        };
        let service = ServiceDefinition {
            project: self.project.clone(),
            name: authored.name.clone(),
            version,
            features,
        };
        let mut details = vec![self.describe(&service)];
        if let (ChangeKind::Changed, Some(present)) = (kind, &present) {
            details.extend(service_change::differences(&self.catalog, present, &service));
        }
        self.push_change(kind, "service", service.to_string(), details, vec![]);
        if kind != ChangeKind::Unchanged {
            self.catalog.insert_service(service.clone());
            self.resolved.services.push(service);
        }
        Ok(())
    }

    fn select(
        &self,
        selection: &authored::Selection,
        features: &mut Vec<ServiceFeature>,
    ) -> Result<(), Error> {
        let wanted: VersionedName = selection
            .view
            .parse()
            .map_err(|cause: lineate_types::NameError| Error::Invalid(cause.to_string()))?;
        let view = self.catalog.view(&self.project, &wanted)?;
        for key in selection.keys.keys() {
            if !view.keys.iter().any(|column| column.name == *key) {
                return Err(Error::Invalid(format!(
                    "`{key}` is not a key of view `{view}`; its keys are {}",
                    show_keys(&view.keys)
                )));
            }
        }
        let keys: Vec<KeyMapping> = view
            .keys
            .iter()
            .map(|column| KeyMapping {
                key: column.name.clone(),
                column: selection.keys.get(&column.name).unwrap_or(&column.name).clone(),
            })
            .collect();
        let alias = selection.alias.as_ref().unwrap_or(&view.name);
        let names: Vec<Name> = match &selection.features {
            None => view.features.iter().map(|feature| feature.name.clone()).collect(),
            Some(names) => names.clone(),
        };
        for feature in names {
            if view.feature(feature.as_str()).is_none() {
                return Err(unknown_feature(view, &feature));
            }
            features.push(ServiceFeature {
                view: view.id,
                alias: alias.clone(),
                feature,
                keys: keys.clone(),
            });
        }
        Ok(())
    }

    /// A request has one value for a column, so all views that take a key from it must want it as one type.
    fn check_key_columns(&self, features: &[ServiceFeature]) -> Result<(), Error> {
        let mut columns: BTreeMap<&Name, KeyType> = BTreeMap::new();
        for feature in features {
            let keys = self.catalog.view_by_id(feature.view).map_or(&[][..], |view| &view.keys);
            for (mapping, key) in feature.keys.iter().zip(keys) {
                let known = *columns.entry(&mapping.column).or_insert(key.key_type);
                if known != key.key_type {
                    return Err(Error::Invalid(format!(
                        "column `{}` gives a key of type {known} and one of type {}; map one of them to another column with `keys`",
                        mapping.column, key.key_type
                    )));
                }
            }
        }
        Ok(())
    }

    fn describe(&self, service: &ServiceDefinition) -> String {
        let views: BTreeSet<String> = service
            .features
            .iter()
            .filter_map(|feature| self.catalog.view_by_id(feature.view).map(|view| (feature, view)))
            .map(|(feature, view)| match feature.alias == view.name {
                true => view.to_string(),
                false => format!("{view} as {}", feature.alias),
            })
            .collect();
        format!("{} features of {}", service.features.len(), views.into_iter().collect::<Vec<_>>().join(", "))
    }

    fn push_change(
        &mut self,
        kind: ChangeKind,
        what: &'static str,
        name: String,
        details: Vec<String>,
        breaks: Vec<String>,
    ) {
        self.changes.push(Change { kind, what, name, details, breaks });
    }

    fn note(
        &mut self,
        kind: NodeKind,
        name: &Name,
        owner: &Option<String>,
        description: &Option<String>,
        tags: &BTreeMap<String, String>,
    ) {
        let owner = owner.iter().map(|text| ("owner", text.clone()));
        let description = description.iter().map(|text| ("description", text.clone()));
        let tags = tags.iter().map(|(key, value)| ("tag", format!("{key}={value}")));
        for (predicate, text) in owner.chain(description).chain(tags) {
            self.notes.push(Note { kind, name: name.clone(), predicate, text });
        }
    }
}

fn resolve_keys(keys: &[authored::TypedName]) -> Result<Vec<KeyColumn>, Error> {
    if keys.is_empty() {
        return Err(Error::Invalid("it has no keys; an entity has at least one".into()));
    }
    bounded("keys", keys.len(), limits::KEY_COLUMNS)?;
    no_twice("key", keys.iter().map(|key| &key.name))?;
    let mut columns = Vec::with_capacity(keys.len());
    for key in keys {
        let data_type: DataType =
            key.data_type.parse().map_err(|cause| Error::Invalid(format!("key `{}`: {cause}", key.name)))?;
        let key_type = KeyType::of(&data_type).ok_or_else(|| {
            let known = KeyType::ALL.map(|key_type| key_type.to_string()).join(", ");
            Error::Invalid(format!("key `{}`: a key cannot be {data_type}; it can be {known}", key.name))
        })?;
        columns.push(KeyColumn { name: key.name.clone(), key_type });
    }
    Ok(columns)
}

/// What whoever writes to a view without naming a version must do from now on, where features were added.
fn new_columns(present: &ViewDefinition, view: &ViewDefinition) -> Option<String> {
    let is_new = |feature: &&Feature| present.features.iter().all(|known| known.name != feature.name);
    let names: Vec<String> =
        view.features.iter().filter(is_new).map(|feature| format!("`{}`", feature.name)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "rows written to {} must carry {}, null where unknown; those written to {present} go on",
            view.name,
            names.join(", ")
        )
    })
}

/// Whether rows of the old version answer for the new one, the added features being null.
fn only_adds_features(old: &ViewDefinition, new: &ViewDefinition) -> bool {
    let mut as_old = new.clone();
    as_old.features.retain(|feature| old.feature(feature.name.as_str()).is_some());
    as_old.features == old.features && {
        as_old.features.clone_from(&old.features);
        as_old == *old
    }
}

fn differences(old: &ViewDefinition, new: &ViewDefinition) -> Vec<String> {
    let mut lines = Vec::new();
    let mut differs = |what: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("{what}: {old} -> {new}"));
        }
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".into());
    differs("entity", old.entity.to_string(), new.entity.to_string());
    differs("keys", show_keys(&old.keys), show_keys(&new.keys));
    differs("event_time", old.event_time.to_string(), new.event_time.to_string());
    let created = |view: &ViewDefinition| or_none(view.created_time.as_ref().map(Name::to_string));
    differs("created_time", created(old), created(new));
    differs("ttl", or_none(old.ttl.map(|ttl| ttl.to_string())), or_none(new.ttl.map(|ttl| ttl.to_string())));
    differs("naive_times are UTC", old.naive_times_are_utc.to_string(), new.naive_times_are_utc.to_string());
    for feature in &new.features {
        match old.feature(feature.name.as_str()) {
            None => lines.push(format!("+ {} {}", feature.name, feature.data_type)),
            Some((_, was)) if was.data_type != feature.data_type => {
                lines.push(format!("{}: {} -> {}", feature.name, was.data_type, feature.data_type));
            }
            Some(_) => {}
        }
    }
    let gone = old.features.iter().filter(|feature| new.feature(feature.name.as_str()).is_none());
    lines.extend(gone.map(|feature| format!("- {} {}", feature.name, feature.data_type)));
    if lines.is_empty() {
        lines.push("the order of its features".into());
    }
    lines
}

fn check_columns(features: &[ServiceFeature]) -> Result<(), Error> {
    if features.is_empty() {
        return Err(Error::Invalid("it has no features; a service has at least one".into()));
    }
    let mut columns = BTreeSet::new();
    let mut aliases: BTreeMap<&Name, &ServiceFeature> = BTreeMap::new();
    for feature in features {
        if !columns.insert((&feature.alias, &feature.feature)) {
            return Err(Error::Invalid(format!(
                "column `{}__{}` occurs twice; give one of the views another name with `as`",
                feature.alias, feature.feature
            )));
        }
        let first = aliases.entry(&feature.alias).or_insert(feature);
        if (first.view, &first.keys) != (feature.view, &feature.keys) {
            return Err(Error::Invalid(format!(
                "`{}` names a view under two versions or two key mappings; give one of them another name with `as`",
                feature.alias
            )));
        }
    }
    Ok(())
}

fn unknown_feature(view: &ViewDefinition, feature: &Name) -> Error {
    let names = || view.features.iter().map(|feature| feature.name.as_str());
    let hint = match Name::nearest(feature.as_str(), names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its features are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Error::Invalid(format!("feature `{feature}` is not in view `{view}`; {hint}"))
}

fn show_keys(keys: &[KeyColumn]) -> String {
    keys.iter().map(|key| format!("{} {}", key.name, key.key_type)).collect::<Vec<_>>().join(", ")
}

fn no_twice<'a>(what: &str, names: impl Iterator<Item = &'a Name>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::Invalid(format!("{what} `{name}` occurs twice; names are unique")));
        }
    }
    Ok(())
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), Error> {
    if count > most {
        return Err(Error::Invalid(format!("{count} {what}; at most {most} are allowed")));
    }
    Ok(())
}
