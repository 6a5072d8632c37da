//! Adding definitions, with the records of their versions and the assertions beside them.

use std::collections::BTreeSet;

use lineate_ledger::{
    Record,
    graph::At,
    record::{self, Kind},
};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, Name, NodeKind, VersionedName, ViewDefinition};

use super::{
    MetaMachine,
    command::{AssertionDraft, Define, MetaReply},
    definition_hash, layout,
    ledger_state::sealed,
};
use crate::{Error, Position, Result, catalog::Resolved, codec};

impl MetaMachine {
    pub(super) fn define(
        &mut self,
        at: Position,
        agent: Hash,
        define: Define,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let Define { catalog_version, resolved, assertions } = define;
        if catalog_version != self.catalog.version() {
            return Err(Error::Conflict(
                "the catalog changed while the plan was made; nothing was applied, plan again".into(),
            ));
        }
        let predicates = self.check_assertions(&resolved, &assertions)?;
        self.catalog.add(&resolved);
        batch.put(layout::catalog(), codec::encode(&self.catalog.version()));
        for entity in &resolved.entities {
            batch.put(layout::entity(&entity.project, &entity.name), codec::encode(entity));
        }
        for view in &resolved.views {
            batch.put(layout::view(view.id), codec::encode(view));
            let record = Record::View(record::View {
                project: view.project.clone(),
                name: view.name.clone(),
                version: view.version,
                definition_hash: definition_hash::of_view(&self.catalog, view),
                entity: view.entity.clone(),
                previous: self.record_before(view),
            });
            let id = self.ledger.append(&record, at.commit_time, batch)?;
            self.view_records.insert(view.id, id);
        }
        for service in &resolved.services {
            batch.put(
                layout::service(&service.project, &service.name, service.version),
                codec::encode(service),
            );
            let views: BTreeSet<Hash> =
                service.features.iter().filter_map(|feature| self.view_record(feature.view)).collect();
            let record = Record::Service(record::Service {
                project: service.project.clone(),
                name: service.name.clone(),
                version: service.version,
                definition_hash: definition_hash::of_service(&self.catalog, service),
                views,
            });
            self.ledger.append(&record, at.commit_time, batch)?;
        }
        for (assertion, predicate) in assertions.into_iter().zip(predicates) {
            self.assert(at, agent, assertion, predicate, batch)?;
        }
        Ok(MetaReply::Done)
    }

    fn record_before(&self, view: &ViewDefinition) -> Option<Hash> {
        let version = view.version.checked_sub(1).filter(|version| *version > 0)?;
        let wanted = VersionedName { name: view.name.clone(), version: Some(version) };
        let before = self.catalog.view(&view.project, &wanted).ok()?;
        self.view_record(before.id)
    }

    /// The predicates of assertions that can be recorded once the definitions are added. Everything is checked before
    /// anything is changed.
    fn check_assertions(&self, resolved: &Resolved, assertions: &[AssertionDraft]) -> Result<Vec<Name>> {
        let check = |draft: &AssertionDraft| {
            let AssertionDraft { service, project, name, predicate, value, replaces } = draft;
            let wanted = VersionedName { name: name.clone(), version: None };
            let is_new = match service {
                true => resolved.services.iter().any(|new| new.project == *project && new.name == *name),
                false => resolved.views.iter().any(|new| new.project == *project && new.name == *name),
            };
            if !is_new {
                match service {
                    true => self.catalog.service(project, &wanted).map(|_| ())?,
                    false => self.catalog.view(project, &wanted).map(|_| ())?,
                }
            }
            match replaces {
                Some(replaced) => self.record_of_kind(replaced, Kind::Assertion, "assertion")?,
                None if value.is_none() => {
                    return Err(Error::Invalid(
                        "an assertion without a value names what it withdraws".into(),
                    ));
                }
                None => {}
            }
            Name::new(predicate.as_str())
                .map_err(|cause| Error::Invalid(format!("predicate of an assertion: {cause}")))
        };
        assertions.iter().map(check).collect()
    }

    fn assert(
        &mut self,
        at: Position,
        agent: Hash,
        draft: AssertionDraft,
        predicate: Name,
        batch: &mut KvBatch,
    ) -> Result<()> {
        let kind = if draft.service { NodeKind::Service } else { NodeKind::View };
        let node = lineate_types::NodeRef::Named {
            kind,
            project: Some(draft.project.clone()),
            name: VersionedName { name: draft.name, version: None },
        };
        let about = self.ledger.graph().resolve(&node, None, At::Newest)?.id;
        let record = Record::Assertion(record::Assertion {
            project: draft.project,
            about,
            predicate,
            value: draft.value.map(sealed),
            replaces: draft.replaces,
            principal: sealed(agent),
        });
        self.ledger.append(&record, at.commit_time, batch)?;
        Ok(())
    }
}
