//! What a store knows of entities, feature views and feature services, resolved and versioned.
//!
//! A view or service definition is immutable: whatever can change an answer is part of it. Owners, tags and
//! descriptions stand beside it (see the catalog). The authored YAML form is `lineate-server`'s.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::{DataType, DurationUs, HistoryId, KeyType, Name, ViewId};

/// One join key of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct KeyColumn {
    /// The column's name.
    #[n(0)]
    pub name: Name,
    /// Its type, which never changes in place.
    #[n(1)]
    pub key_type: KeyType,
}

/// A thing that has features, identified by one or more keys in a declared order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct EntityDefinition {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(1)]
    pub name: Name,
    /// The keys, at least one.
    #[n(2)]
    pub keys: Vec<KeyColumn>,
}

/// One feature of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Feature {
    /// The column's name.
    #[n(0)]
    pub name: Name,
    /// Its type; every feature is nullable.
    #[n(1)]
    pub data_type: DataType,
}

/// Which rows count as known at a label's time (design of the point-in-time contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum MatchMode {
    /// Rows whose event time has come.
    #[n(0)]
    Event,
    /// Rows whose event time and created time have come; a null created time counts as the commit time.
    #[n(1)]
    Known,
    /// The view's default mode, and rows this store had committed by then.
    #[n(2)]
    Served,
}

impl MatchMode {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Known => "known",
            Self::Served => "served",
        }
    }
}

impl fmt::Display for MatchMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One version of a feature view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ViewDefinition {
    /// Its number, unique in the store.
    #[n(0)]
    pub id: ViewId,
    /// The history of rows it reads, shared with the versions it only added features to.
    #[n(1)]
    pub history: HistoryId,
    /// The project.
    #[n(2)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(3)]
    pub name: Name,
    /// The version, from 1.
    #[n(4)]
    pub version: u32,
    /// The entity's name.
    #[n(5)]
    pub entity: Name,
    /// The entity's keys, in order.
    #[n(6)]
    pub keys: Vec<KeyColumn>,
    /// The column of the event time.
    #[n(7)]
    pub event_time: Name,
    /// The column of the created time, where rows carry one.
    #[n(8)]
    pub created_time: Option<Name>,
    /// How long a row stays an answer, both ends inclusive; none means for ever.
    #[n(9)]
    pub ttl: Option<DurationUs>,
    /// Whether timestamps without a zone are read as UTC rather than refused.
    #[n(10)]
    pub naive_times_are_utc: bool,
    /// The features, in order.
    #[n(11)]
    pub features: Vec<Feature>,
}

impl ViewDefinition {
    /// The mode used where none is asked for: `known` if rows carry a created time.
    pub fn default_mode(&self) -> MatchMode {
        match self.created_time {
            Some(_) => MatchMode::Known,
            None => MatchMode::Event,
        }
    }

    /// The feature of this name, with its position.
    pub fn feature(&self, name: &str) -> Option<(usize, &Feature)> {
        self.features.iter().enumerate().find(|(_, feature)| feature.name.as_str() == name)
    }
}

impl fmt::Display for ViewDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@v{}", self.name, self.version)
    }
}

/// A spine column that stands for one of the view's keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct KeyMapping {
    /// The view's key.
    #[n(0)]
    pub key: Name,
    /// The spine or request column that gives it.
    #[n(1)]
    pub column: Name,
}

/// One feature of a service. Its column is `alias__feature`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ServiceFeature {
    /// The view version.
    #[n(0)]
    pub view: ViewId,
    /// The first part of the column's name: the view's name unless `as` was given.
    #[n(1)]
    pub alias: Name,
    /// The feature.
    #[n(2)]
    pub feature: Name,
    /// For every key of the view, in order, the column that gives it.
    #[n(3)]
    pub keys: Vec<KeyMapping>,
}

/// One version of a feature service: a named list of features, pinned to view versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ServiceDefinition {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(1)]
    pub name: Name,
    /// The version, from 1.
    #[n(2)]
    pub version: u32,
    /// The features, in the order of the output columns. All of one alias share view and keys.
    #[n(3)]
    pub features: Vec<ServiceFeature>,
}

impl fmt::Display for ServiceDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@v{}", self.name, self.version)
    }
}
