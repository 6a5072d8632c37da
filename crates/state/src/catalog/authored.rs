//! Definitions as people write them: the YAML of a definition file, before names are resolved.

use std::{collections::BTreeMap, fmt};

use lineate_types::Name;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// One definition file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definitions {
    /// The project of everything below.
    pub project: Name,
    /// Entities.
    #[serde(default)]
    pub entities: Vec<Entity>,
    /// Feature views.
    #[serde(default)]
    pub views: Vec<View>,
    /// Feature services.
    #[serde(default)]
    pub services: Vec<Service>,
}

/// What stands beside a definition: it never changes an answer, so it makes no version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
}

/// An entity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// The name.
    pub name: Name,
    /// The keys, in order.
    pub keys: Vec<TypedName>,
    /// What it is, for people.
    pub description: Option<String>,
}

/// A name and the text of its type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedName {
    /// The name.
    pub name: Name,
    /// The type, such as `int64` or `list<string>`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// What it is, for people.
    pub description: Option<String>,
}

/// How timestamps without a zone are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NaiveTimes {
    /// As UTC.
    Utc,
}

/// A feature view.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The name.
    pub name: Name,
    /// The entity.
    pub entity: Name,
    /// The column of the event time.
    pub event_time: Name,
    /// The column of the created time, where rows carry one.
    pub created_time: Option<Name>,
    /// How long a row stays an answer, such as `3h`.
    pub ttl: Option<String>,
    /// How timestamps without a zone are read; none refuses them.
    pub naive_times: Option<NaiveTimes>,
    /// The features, in order.
    pub features: Vec<TypedName>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A feature service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name.
    pub name: Name,
    /// The features, in the order of the output columns.
    pub features: Vec<Selection>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Features of one view in a service: `weather.temp`, `weather.*`, `weather@v2.temp`, or a map that can rename
/// the view and give its keys from other columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The view, with `@vN` for another version than the newest.
    pub view: String,
    /// The features; none means all.
    pub features: Option<Vec<Name>>,
    /// The first part of the output columns; none means the view's name.
    pub alias: Option<Name>,
    /// From a key of the view to the column that gives it.
    pub keys: BTreeMap<Name, Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectionMap {
    view: String,
    features: Option<Vec<Name>>,
    #[serde(rename = "as")]
    alias: Option<Name>,
    #[serde(default)]
    keys: BTreeMap<Name, Name>,
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SelectionVisitor)
    }
}

struct SelectionVisitor;

impl<'de> Visitor<'de> for SelectionVisitor {
    type Value = Selection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "`view.feature`, `view.*`, or a map with `view` and optionally `features`, `as` and `keys`",
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Selection, E> {
        let Some((view, feature)) = text.rsplit_once('.') else {
            return Err(E::custom(format!(
                "`{text}` names no feature; write `{text}.*` for all of view `{text}`"
            )));
        };
        let features = match feature {
            "*" => None,
            name => Some(vec![Name::new(name).map_err(E::custom)?]),
        };
        Ok(Selection { view: view.to_owned(), features, alias: None, keys: BTreeMap::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Selection, A::Error> {
        let SelectionMap { view, features, alias, keys } =
            SelectionMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Selection { view, features, alias, keys })
    }
}
