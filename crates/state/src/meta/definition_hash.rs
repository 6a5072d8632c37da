//! The hash by which a record commits to a definition (`docs/formats/command.md`): of what decides an answer, without
//! the numbers that one store gave to views and histories.

use lineate_types::{Hash, Name, ServiceDefinition, ViewDefinition};
use minicbor::Encode;

use crate::{catalog::Catalog, codec};

/// The version of the forms: another one gives another hash of the same definition.
const FORM_VERSION: u8 = 1;

#[derive(Encode)]
struct ViewForm<'a> {
    #[n(0)]
    project: &'a Name,
    #[n(1)]
    name: &'a Name,
    #[n(2)]
    version: u32,
    #[n(3)]
    entity: &'a Name,
    #[n(4)]
    keys: &'a [lineate_types::KeyColumn],
    #[n(5)]
    event_time: &'a Name,
    #[n(6)]
    created_time: Option<&'a Name>,
    #[n(7)]
    ttl: Option<lineate_types::DurationUs>,
    #[n(8)]
    naive_times_are_utc: bool,
    #[n(9)]
    features: &'a [lineate_types::Feature],
    /// The first version whose rows it reads.
    #[n(10)]
    history_since: u32,
}

#[derive(Encode)]
struct ServiceForm<'a> {
    #[n(0)]
    project: &'a Name,
    #[n(1)]
    name: &'a Name,
    #[n(2)]
    version: u32,
    #[n(3)]
    features: Vec<ServiceFeatureForm<'a>>,
}

#[derive(Encode)]
struct ServiceFeatureForm<'a> {
    #[n(0)]
    view: &'a Name,
    #[n(1)]
    view_version: u32,
    #[n(2)]
    alias: &'a Name,
    #[n(3)]
    feature: &'a Name,
    #[n(4)]
    keys: &'a [lineate_types::KeyMapping],
}

/// The definition hash of a view version.
pub(super) fn of_view(catalog: &Catalog, view: &ViewDefinition) -> Hash {
    let of_history = catalog.views().filter(|other| other.history == view.history);
    let form = ViewForm {
        project: &view.project,
        name: &view.name,
        version: view.version,
        entity: &view.entity,
        keys: &view.keys,
        event_time: &view.event_time,
        created_time: view.created_time.as_ref(),
        ttl: view.ttl,
        naive_times_are_utc: view.naive_times_are_utc,
        features: &view.features,
        history_since: of_history.map(|other| other.version).min().unwrap_or(view.version),
    };
    Hash::of(&codec::encode_as(FORM_VERSION, &form))
}

/// The definition hash of a service version.
pub(super) fn of_service(catalog: &Catalog, service: &ServiceDefinition) -> Hash {
    let features = service.features.iter().filter_map(|feature| {
        let view = catalog.view_by_id(feature.view)?;
        Some(ServiceFeatureForm {
            view: &view.name,
            view_version: view.version,
            alias: &feature.alias,
            feature: &feature.feature,
            keys: &feature.keys,
        })
    });
    let form = ServiceForm {
        project: &service.project,
        name: &service.name,
        version: service.version,
        features: features.collect(),
    };
    Hash::of(&codec::encode_as(FORM_VERSION, &form))
}

#[cfg(test)]
mod tests {
    use lineate_types::{DurationUs, HistoryId, ViewId};

    use super::*;

    fn view(id: u32, history: u32) -> ViewDefinition {
        let name = |text: &str| text.parse().expect("a name");
        ViewDefinition {
            id: ViewId(id),
            history: HistoryId(history),
            project: name("p"),
            name: name("v"),
            version: 1,
            entity: name("e"),
            keys: vec![],
            event_time: name("t"),
            created_time: None,
            ttl: None,
            naive_times_are_utc: false,
            features: vec![],
        }
    }

    #[test]
    fn numbers_of_one_store_are_no_part_and_what_decides_answers_is() {
        let catalog = Catalog::default();
        let first = of_view(&catalog, &view(1, 1));
        assert_eq!(first, of_view(&catalog, &view(7, 9)));
        assert_ne!(first, of_view(&catalog, &ViewDefinition { ttl: Some(DurationUs(1)), ..view(1, 1) }));
        assert_eq!(first.to_string(), "b3:48d66d30e3243d8f4043036c58e014ff67f45492f6bb0a76741ddd6bf244b1f0");
    }
}
