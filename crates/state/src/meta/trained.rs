//! Training sets, models and their aliases.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{
    Record,
    graph::At,
    record::{self, Kind},
};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, HistoryId, Name, NodeKind, NodeRef, ServiceDefinition, VersionedName, ViewId};
use minicbor::{Decode, Encode};

use super::{
    MetaMachine,
    command::{ColumnDraft, CreateDataset, MetaReply, Promote, RegisterModel},
    layout,
    ledger_state::sealed,
};
use crate::{Error, Position, Result, codec};

/// The version of the point-in-time contract that training sets are made by.
pub const CONTRACT_VERSION: u32 = 1;

/// One version of a training set.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DatasetState {
    /// The version, from 1.
    #[n(0)]
    pub version: u32,
    /// Its record.
    #[n(1)]
    pub record: Hash,
    /// When it was recorded.
    #[n(2)]
    pub created: lineate_types::TimestampUs,
    /// The contract it was made by.
    #[n(3)]
    pub contract_version: u32,
    /// Everything else.
    #[n(4)]
    pub draft: CreateDataset,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ModelState {
    /// The version, from 1.
    #[n(0)]
    pub version: u32,
    /// Its record.
    #[n(1)]
    pub record: Hash,
    /// When it was registered.
    #[n(2)]
    pub created: lineate_types::TimestampUs,
    /// Everything else.
    #[n(3)]
    pub draft: RegisterModel,
    /// The aliases that point at it.
    #[n(4)]
    pub aliases: BTreeSet<Name>,
}

impl MetaMachine {
    pub(super) fn create_dataset(
        &mut self,
        at: Position,
        agent: Hash,
        draft: CreateDataset,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let wanted = VersionedName { name: draft.service.clone(), version: Some(draft.service_version) };
        let service = self.catalog.service(&draft.project, &wanted)?.clone();
        let key = (draft.project.clone(), draft.name.clone());
        let version = self.datasets.get(&key).map_or(1, |versions| versions.len() as u32 + 1);
        let inputs = self.inputs_at(&draft.project, &self.histories_of(&service), draft.snapshot);
        let record = Record::Dataset(self.dataset_record(&draft, &service, version, inputs.named, agent)?);
        // Checked before anything is appended.
        record.check()?;
        for collection in &inputs.collections {
            self.ledger.append(collection, at.commit_time, batch)?;
        }
        let id = self.ledger.append(&record, at.commit_time, batch)?;
        let state = DatasetState {
            version,
            record: id,
            created: at.commit_time,
            contract_version: CONTRACT_VERSION,
            draft,
        };
        batch.put(layout::dataset(&id), codec::encode(&state));
        self.datasets.entry(key).or_default().push(state);
        Ok(MetaReply::Versioned { version, record: id })
    }

    /// The histories that a service reads, each once.
    fn histories_of(&self, service: &ServiceDefinition) -> Vec<HistoryId> {
        let views = views_of(service);
        let histories: BTreeSet<HistoryId> =
            views.iter().filter_map(|view| self.catalog.view_by_id(*view)).map(|view| view.history).collect();
        histories.into_iter().collect()
    }

    fn dataset_record(
        &self,
        draft: &CreateDataset,
        service: &ServiceDefinition,
        version: u32,
        inputs: BTreeSet<Hash>,
        agent: Hash,
    ) -> Result<record::Dataset> {
        let views = views_of(service);
        let node = NodeRef::Named {
            kind: NodeKind::Service,
            project: Some(draft.project.clone()),
            name: VersionedName { name: draft.service.clone(), version: Some(draft.service_version) },
        };
        Ok(record::Dataset {
            project: draft.project.clone(),
            name: draft.name.clone(),
            version,
            service: self.ledger.graph().resolve(&node, None, At::Newest)?.id,
            views: views.iter().filter_map(|view| self.view_record(*view)).collect(),
            spine: record::Spine {
                columns: draft
                    .spine
                    .columns
                    .iter()
                    .map(|column| record::SpineColumn {
                        name: column.name.clone(),
                        logical_hash: column.logical,
                    })
                    .collect(),
                physical_hash: draft.spine.physical,
                rows: draft.spine.rows,
                time_column: draft.spine.time_column.clone(),
            },
            mode: draft.mode,
            snapshot: draft.snapshot,
            contract_version: CONTRACT_VERSION,
            inputs,
            rows: draft.rows,
            columns: draft.columns.iter().map(column_record).collect(),
            files: draft
                .files
                .iter()
                .map(|file| record::File { physical_hash: file.physical, bytes: file.bytes, rows: file.rows })
                .collect(),
            principal: sealed(agent),
        })
    }

    pub(super) fn register_model(
        &mut self,
        at: Position,
        agent: Hash,
        draft: RegisterModel,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        for dataset in &draft.datasets {
            self.record_of_kind(dataset, Kind::Dataset, "dataset")?;
        }
        let mut metrics = BTreeMap::new();
        for (name, value) in &draft.metrics {
            let value = value.parse().map_err(|cause| Error::Invalid(format!("metric `{name}`: {cause}")))?;
            metrics.insert(name.clone(), value);
        }
        let run = Record::Run(record::Run {
            project: draft.project.clone(),
            job: draft.name.clone(),
            run: draft.run,
            inputs: draft.datasets.iter().copied().collect(),
            code: draft.code.map(sealed),
            parameters: draft.parameters.iter().map(|(name, value)| (name.clone(), sealed(*value))).collect(),
            started: None,
            ended: None,
            principal: sealed(agent),
        });
        run.check()?;
        let evaluation = |model: Hash| {
            Record::Evaluation(record::Evaluation {
                project: draft.project.clone(),
                model,
                metrics: metrics.clone(),
                dataset: draft.datasets.first().copied(),
                principal: sealed(agent),
            })
        };
        if !metrics.is_empty() {
            // Everything is checked before anything is appended; which model it names makes no difference.
            evaluation(agent).check()?;
        }
        let key = (draft.project.clone(), draft.name.clone());
        let version = self.models.get(&key).map_or(1, |versions| versions.len() as u32 + 1);
        let run = self.ledger.append(&run, at.commit_time, batch)?;
        let model = Record::Model(record::Model {
            project: draft.project.clone(),
            name: draft.name.clone(),
            version,
            run,
            artifact: draft
                .artifact
                .map(|file| record::Artifact { physical_hash: file.physical, bytes: file.bytes }),
            principal: sealed(agent),
        });
        let record = self.ledger.append(&model, at.commit_time, batch)?;
        if !metrics.is_empty() {
            self.ledger.append(&evaluation(record), at.commit_time, batch)?;
        }
        let state = ModelState { version, record, created: at.commit_time, draft, aliases: BTreeSet::new() };
        batch.put(layout::model(&record), codec::encode(&state));
        self.models.entry(key).or_default().push(state);
        Ok(MetaReply::Versioned { version, record })
    }

    /// Points an alias at a version. Where it points there already nothing happens and nothing is recorded.
    pub(super) fn promote(
        &mut self,
        at: Position,
        agent: Hash,
        promote: Promote,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let Promote { project, model, version, alias } = promote;
        if VersionedName::is_version(alias.as_str()) {
            return Err(Error::Invalid(format!(
                "`{alias}` is no alias, it reads as a version; a name such as `production` is one"
            )));
        }
        let key = (project.clone(), model.clone());
        let versions = self.models.get_mut(&key).ok_or_else(|| Error::NotFound {
            what: "model".into(),
            name: format!("{project}/{model}"),
            hint: "; `lineate model register` makes one".into(),
        })?;
        let newest = versions.len();
        let Some(promoted) = versions.iter().find(|state| state.version == version) else {
            return Err(Error::NotFound {
                what: "model".into(),
                name: format!("{model}@v{version}"),
                hint: format!("; its newest version is v{newest}"),
            });
        };
        let record = promoted.record;
        if promoted.aliases.contains(&alias) {
            return Ok(MetaReply::Versioned { version, record });
        }
        for state in versions.iter_mut() {
            let changed = match state.version == version {
                true => state.aliases.insert(alias.clone()),
                false => state.aliases.remove(&alias),
            };
            if changed {
                batch.put(layout::model(&state.record), codec::encode(&*state));
            }
        }
        let promotions = self.promotions.entry(key).or_default();
        let promotion = Record::Promotion(record::Promotion {
            project,
            alias: alias.clone(),
            model: record,
            previous: promotions.get(&alias).copied(),
            principal: sealed(agent),
        });
        let id = self.ledger.append(&promotion, at.commit_time, batch)?;
        promotions.insert(alias, id);
        Ok(MetaReply::Versioned { version, record })
    }

    /// Remembers a promotion of the ledger as the last of its alias.
    pub(super) fn insert_promotion(&mut self, promotion: &record::Promotion, id: Hash) {
        if let Some(Record::Model(model)) = self.ledger.record(&promotion.model) {
            let key = (model.project.clone(), model.name.clone());
            self.promotions.entry(key).or_default().insert(promotion.alias.clone(), id);
        }
    }
}

fn views_of(service: &ServiceDefinition) -> BTreeSet<ViewId> {
    service.features.iter().map(|feature| feature.view).collect()
}

fn column_record(column: &ColumnDraft) -> record::Column {
    record::Column {
        name: column.name.clone(),
        data_type: column.data_type.clone(),
        logical_hash: column.logical,
    }
}
