//! A service resolved once: which columns come from which view, under which keys.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use lineate_segment::schema::{EntityKeys, arrow_field};
use lineate_state::catalog::Catalog;
use lineate_types::{EntityKey, KeyType, Name, ServiceDefinition, VersionedName, ViewDefinition};

use crate::{Error, Node, Result};

/// Everything needed to answer for a service version.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// The service version.
    pub service: ServiceDefinition,
    /// Its views, in the order of their first columns.
    pub views: Vec<ViewPlan>,
    /// The output columns, `alias__feature`, all nullable.
    pub output: SchemaRef,
}

/// One view of a service under one name.
#[derive(Debug, Clone)]
pub struct ViewPlan {
    /// The first part of its columns' names.
    pub alias: Name,
    /// The view version.
    pub view: Arc<ViewDefinition>,
    /// For each key of the view, the column that gives it.
    pub key_columns: Vec<Name>,
    /// The features, as they are stored.
    pub features: SchemaRef,
    /// For each feature, its position in the output.
    pub columns: Vec<usize>,
}

impl ServicePlan {
    /// Resolves a service against the catalog it was defined in.
    ///
    /// # Errors
    /// The catalog lacks a view or feature of the service, which a definition never does.
    pub fn of(catalog: &Catalog, service: &ServiceDefinition) -> Result<Self> {
        let mut views: Vec<ViewPlan> = Vec::new();
        let mut stored: Vec<Vec<Field>> = Vec::new();
        let mut output = Vec::with_capacity(service.features.len());
        for (column, wanted) in service.features.iter().enumerate() {
            let lacks = || Error::Internal(format!("service `{service}` names what the catalog lacks"));
            let view = catalog.view_by_id(wanted.view).ok_or_else(lacks)?;
            let (_, feature) = view.feature(wanted.feature.as_str()).ok_or_else(lacks)?;
            let position = match views.iter().position(|plan| plan.alias == wanted.alias) {
                Some(position) => position,
                None => {
                    views.push(ViewPlan {
                        alias: wanted.alias.clone(),
                        view: Arc::new(view.clone()),
                        key_columns: wanted.keys.iter().map(|key| key.column.clone()).collect(),
                        features: Arc::new(Schema::empty()),
                        columns: Vec::new(),
                    });
                    stored.push(Vec::new());
                    views.len() - 1
                }
            };
            let name = format!("{}__{}", wanted.alias, wanted.feature);
            output.push(arrow_field(&name, &feature.data_type, true));
            if let (Some(plan), Some(fields)) = (views.get_mut(position), stored.get_mut(position)) {
                plan.columns.push(column);
                fields.push(arrow_field(wanted.feature.as_str(), &feature.data_type, true));
            }
        }
        for (plan, fields) in views.iter_mut().zip(stored) {
            plan.features = Arc::new(Schema::new(fields));
        }
        Ok(Self { service: service.clone(), views, output: Arc::new(Schema::new(output)) })
    }

    /// The columns that give keys, each once, with the key type each view wants of it.
    ///
    /// # Errors
    /// Two views want one column as different types.
    pub fn key_columns(&self) -> Result<Vec<(Name, KeyType)>> {
        let mut columns: Vec<(Name, KeyType)> = Vec::new();
        for plan in &self.views {
            for (name, key) in plan.key_columns.iter().zip(&plan.view.keys) {
                match columns.iter().find(|(known, _)| known == name) {
                    None => columns.push((name.clone(), key.key_type)),
                    Some((_, known)) if *known == key.key_type => {}
                    Some((_, known)) => {
                        return Err(Error::Invalid(format!(
                            "column `{name}` gives a key of type {known} and one of type {}; map one of them to another column with `keys`",
                            key.key_type
                        )));
                    }
                }
            }
        }
        Ok(columns)
    }
}

impl Node {
    /// A service, resolved, as a copy of what [`Self::shared_service_plan`] gives.
    ///
    /// # Errors
    /// It does not exist; the nearest name is offered.
    pub fn service_plan(&self, project: Option<&Name>, service: &VersionedName) -> Result<ServicePlan> {
        Ok(self.shared_service_plan(project, service)?.as_ref().clone())
    }
}

impl ViewPlan {
    /// The view's keys in each row of a batch that has its key columns, converted; none where one is null.
    ///
    /// # Errors
    /// A column is missing, or a key is too long.
    pub fn keys(&self, rows: &RecordBatch) -> Result<Vec<Option<EntityKey>>> {
        let mut columns = Vec::with_capacity(self.key_columns.len());
        for (name, key) in self.key_columns.iter().zip(&self.view.keys) {
            let column = rows.column_by_name(name.as_str()).ok_or_else(|| {
                Error::Invalid(format!(
                    "column `{name}` is missing; view `{}` takes its key `{}` from it",
                    self.view, key.name
                ))
            })?;
            columns.push((column, key.key_type));
        }
        let keys = EntityKeys::new(&columns)?;
        (0..rows.num_rows()).map(|row| Ok(keys.key(row)?)).collect()
    }
}
