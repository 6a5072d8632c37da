//! The state machine of the meta group: the catalog, writers, bulk loads, training sets, models and the ledger.

mod command;
mod define;
mod definition_hash;
mod erase;
mod inputs;
mod layout;
mod ledger_state;
mod load;
mod restore;
mod trained;
mod writers;

use std::collections::BTreeMap;

use lineate_ledger::record::Kind;
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, HistoryId, Name, TimestampUs, ViewId};

use crate::{Error, LoadId, Position, Refusal, Result, catalog::Catalog, codec};
pub use command::{
    AssertionDraft, BeginLoad, ColumnDraft, CommitLoad, CreateDataset, Define, Erase, FileDraft,
    LoadedSegment, MetaCommand, MetaReply, MetaRequest, Promote, RegisterModel, SourceDraft, SpineDraft,
    ViewMatches,
};
pub use erase::Text;
pub use ledger_state::LedgerState;
pub use load::{LoadOutcome, LoadState};
pub use trained::{CONTRACT_VERSION, DatasetState, ModelState};
pub use writers::{WriterState, Writers};

/// The state of the meta group.
#[derive(Debug, Default)]
pub struct MetaMachine {
    catalog: Catalog,
    /// The records of view versions.
    view_records: BTreeMap<ViewId, Hash>,
    writers: Writers,
    loads: BTreeMap<LoadId, LoadState>,
    /// By history and the hash of a file's bytes: the first load that brought it. Derived from `loads`.
    loaded_files: BTreeMap<(HistoryId, Hash), LoadId>,
    /// By shard, history and run: the record of a sealed run and its least commit time.
    seals: BTreeMap<(u16, HistoryId, u64), (Hash, TimestampUs)>,
    datasets: BTreeMap<(Name, Name), Vec<DatasetState>>,
    models: BTreeMap<(Name, Name), Vec<ModelState>>,
    /// By project and model, then alias: the record of its last promotion.
    promotions: BTreeMap<(Name, Name), BTreeMap<Name, Hash>>,
    ledger: LedgerState,
}

impl MetaMachine {
    /// Applies one command; what changes in the store goes into `batch`.
    ///
    /// # Errors
    /// The command or the state is damaged: the replica must stop.
    pub fn apply(&mut self, at: Position, command: &[u8], batch: &mut KvBatch) -> Result<MetaReply> {
        let MetaRequest { agent, command } = codec::decode("meta command", command)?;
        let reply = match command {
            MetaCommand::Define(define) => self.define(at, agent, define, batch),
            MetaCommand::OpenWriter { resume } => {
                let opened = self.writers.open(agent, resume, at.commit_time, batch);
                opened.map(|(writer, epoch)| MetaReply::Writer { writer, epoch })
            }
            MetaCommand::BeginLoad(begin) => self.begin_load(begin, batch),
            MetaCommand::CommitLoad(commit) => self.commit_load(at, agent, commit, batch),
            MetaCommand::AbortLoad { load } => self.abort_load(load, batch),
            MetaCommand::RecordSeal { shard, note } => self.record_seal(at, shard, note, batch),
            MetaCommand::CreateDataset(create) => self.create_dataset(at, agent, create, batch),
            MetaCommand::RegisterModel(register) => self.register_model(at, agent, register, batch),
            MetaCommand::Promote(promote) => self.promote(at, agent, promote, batch),
            MetaCommand::Erase(erase) => self.erase(at, agent, erase, batch),
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

    /// The writers that may write.
    pub fn writers(&self) -> &Writers {
        &self.writers
    }

    /// A bulk load.
    pub fn load(&self, load: LoadId) -> Option<&LoadState> {
        self.loads.get(&load)
    }

    /// The first load that brought a file, by the BLAKE3 of its bytes, into a history.
    pub fn load_of_file(&self, history: HistoryId, file: &Hash) -> Option<LoadId> {
        self.loaded_files.get(&(history, *file)).copied()
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

    fn record_of_kind(&self, id: &Hash, kind: Kind, what: &str) -> Result<()> {
        match self.ledger.entry(id) {
            Some(entry) if entry.kind == kind => Ok(()),
            Some(entry) => Err(Error::Invalid(format!("{id} is a {}, not a {what}", entry.kind.as_str()))),
            None => Err(Error::NotFound { what: what.into(), name: id.to_string(), hint: String::new() }),
        }
    }
}
