//! Adding definitions, with the records of their versions and the assertions beside them.

use std::collections::BTreeSet;

use lineate_ledger::{Record, graph::At, record};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, Name, NodeKind, VersionedName, ViewDefinition};

use super::{
    MetaMachine,
    command::{AssertionDraft, Define, MetaReply},
    definition_hash, layout,
    ledger_state::sealed,
};
use crate::{Error, Position, Result, codec};

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
        for assertion in assertions {
            self.assert(at, agent, assertion, batch)?;
        }
        Ok(MetaReply::Done)
    }

    fn record_before(&self, view: &ViewDefinition) -> Option<Hash> {
        let version = view.version.checked_sub(1).filter(|version| *version > 0)?;
        let wanted = VersionedName { name: view.name.clone(), version: Some(version) };
        let before = self.catalog.view(&view.project, &wanted).ok()?;
        self.view_record(before.id)
    }

    fn assert(
        &mut self,
        at: Position,
        agent: Hash,
        draft: AssertionDraft,
        batch: &mut KvBatch,
    ) -> Result<()> {
        let kind = if draft.service { NodeKind::Service } else { NodeKind::View };
        let node = lineate_types::NodeRef::Named {
            kind,
            project: Some(draft.project.clone()),
            name: VersionedName { name: draft.name, version: None },
        };
        let about = self.ledger.graph().resolve(&node, None, At::Newest)?.id;
        let predicate = Name::new(draft.predicate)
            .map_err(|cause| Error::Invalid(format!("predicate of an assertion: {cause}")))?;
        let record = Record::Assertion(record::Assertion {
            project: draft.project,
            about,
            predicate,
            value: Some(sealed(draft.value)),
            replaces: None,
            principal: sealed(agent),
        });
        self.ledger.append(&record, at.commit_time, batch)?;
        Ok(())
    }
}
