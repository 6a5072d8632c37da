//! The state machine of the meta group: the catalog, writers, bulk loads, training sets, models and the ledger.

mod command;
mod define;
mod definition_hash;
mod inputs;
mod layout;
mod ledger_state;
mod load;
mod restore;
mod trained;

use std::collections::BTreeMap;

use lineate_ledger::record::Kind;
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, HistoryId, Name, Principal, TimestampUs, ViewId, WriterId, limits};
use minicbor::{Decode, Encode};

use crate::{Error, LoadId, Position, Refusal, Result, catalog::Catalog, codec};
pub use command::{
    AssertionDraft, BeginLoad, ColumnDraft, CommitLoad, CreateDataset, Define, FileDraft, LoadedSegment,
    MetaCommand, MetaReply, MetaRequest, Promote, RegisterModel, SourceDraft, SpineDraft,
};
pub use ledger_state::LedgerState;
pub use load::{LoadOutcome, LoadState};
pub use trained::{CONTRACT_VERSION, DatasetState, ModelState};

/// The state of the meta group.
#[derive(Debug, Default)]
pub struct MetaMachine {
    catalog: Catalog,
    /// The records of view versions.
    view_records: BTreeMap<ViewId, Hash>,
    writers: BTreeMap<WriterId, WriterState>,
    loads: BTreeMap<LoadId, LoadState>,
    /// By shard, history and run: the record of a sealed run and its least commit time.
    seals: BTreeMap<(u16, HistoryId, u64), (Hash, TimestampUs)>,
    datasets: BTreeMap<(Name, Name), Vec<DatasetState>>,
    models: BTreeMap<(Name, Name), Vec<ModelState>>,
    ledger: LedgerState,
}

/// Who a writer belongs to and how often it started.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WriterState {
    /// The principal it was issued to.
    #[n(0)]
    pub principal: Principal,
    /// The epoch it is in.
    #[n(1)]
    pub epoch: u32,
}

impl MetaMachine {
    /// Applies one command; what changes in the store goes into `batch`.
    ///
    /// # Errors
    /// The command or the state is damaged: the replica must stop.
    pub fn apply(&mut self, at: Position, command: &[u8], batch: &mut KvBatch) -> Result<MetaReply> {
        let MetaRequest { principal, agent, command } = codec::decode("meta command", command)?;
        let reply = match command {
            MetaCommand::Define(define) => self.define(at, agent, define, batch),
            MetaCommand::OpenWriter { resume } => self.open_writer(principal, resume, batch),
            MetaCommand::BeginLoad(begin) => self.begin_load(begin, batch),
            MetaCommand::CommitLoad(commit) => self.commit_load(at, agent, commit, batch),
            MetaCommand::AbortLoad { load } => self.abort_load(load, batch),
            MetaCommand::RecordSeal { shard, note } => self.record_seal(at, shard, note, batch),
            MetaCommand::CreateDataset(create) => self.create_dataset(at, agent, create, batch),
            MetaCommand::RegisterModel(register) => self.register_model(at, agent, register, batch),
            MetaCommand::Promote(promote) => self.promote(at, agent, promote, batch),
        };
        Ok(reply.unwrap_or_else(|error| MetaReply::Refused(Refusal::from(&error))))
    }

    /// Everything defined.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The ledger.
    pub fn ledger(&self) -> &LedgerState {
        &self.ledger
    }

    /// The record of a view version.
    pub fn view_record(&self, view: ViewId) -> Option<Hash> {
        self.view_records.get(&view).copied()
    }

    /// A writer.
    pub fn writer(&self, writer: WriterId) -> Option<&WriterState> {
        self.writers.get(&writer)
    }

    /// A bulk load.
    pub fn load(&self, load: LoadId) -> Option<&LoadState> {
        self.loads.get(&load)
    }

    /// All bulk loads, oldest first.
    pub fn loads(&self) -> impl Iterator<Item = (LoadId, &LoadState)> {
        self.loads.iter().map(|(id, load)| (*id, load))
    }

    /// The record of a sealed run, if it was recorded.
    pub fn seal_record(&self, shard: u16, history: HistoryId, run: u64) -> Option<Hash> {
        self.seals.get(&(shard, history, run)).map(|(record, _)| *record)
    }

    /// The versions of a training set, oldest first.
    pub fn dataset_versions(&self, project: &Name, name: &Name) -> &[DatasetState] {
        self.datasets.get(&(project.clone(), name.clone())).map_or(&[], Vec::as_slice)
    }

    /// All training sets, by project, name and version.
    pub fn datasets(&self) -> impl Iterator<Item = &DatasetState> {
        self.datasets.values().flatten()
    }

    /// The versions of a model, oldest first.
    pub fn model_versions(&self, project: &Name, name: &Name) -> &[ModelState] {
        self.models.get(&(project.clone(), name.clone())).map_or(&[], Vec::as_slice)
    }

    /// All models, by project, name and version.
    pub fn models(&self) -> impl Iterator<Item = &ModelState> {
        self.models.values().flatten()
    }

    fn open_writer(
        &mut self,
        principal: Principal,
        resume: Option<WriterId>,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let (writer, epoch) = match resume {
            None => {
                if self.writers.len() >= limits::WRITERS {
                    return Err(Error::ResourceExhausted(format!(
                        "{} writers were issued, which is the most; resume one of them",
                        limits::WRITERS
                    )));
                }
                // 0 stands for rows without a writer.
                (WriterId(self.writers.keys().next_back().map_or(1, |last| last.0 + 1)), 1)
            }
            Some(writer) => match self.writers.get(&writer) {
                Some(state) if state.principal == principal => (writer, state.epoch + 1),
                Some(_) => {
                    return Err(Error::PermissionDenied(format!(
                        "writer {writer} was issued to another principal"
                    )));
                }
                None => {
                    return Err(Error::NotFound {
                        what: "writer".into(),
                        name: writer.to_string(),
                        hint: "; open a new one".into(),
                    });
                }
            },
        };
        let state = WriterState { principal, epoch };
        batch.put(layout::writer(writer), codec::encode(&state));
        self.writers.insert(writer, state);
        Ok(MetaReply::Writer { writer, epoch })
    }

    fn record_of_kind(&self, id: &Hash, kind: Kind, what: &str) -> Result<()> {
        match self.ledger.entry(id) {
            Some(entry) if entry.kind == kind => Ok(()),
            Some(entry) => Err(Error::Invalid(format!("{id} is a {}, not a {what}", entry.kind.as_str()))),
            None => Err(Error::NotFound { what: what.into(), name: id.to_string(), hint: String::new() }),
        }
    }
}
