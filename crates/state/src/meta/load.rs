//! Bulk loads and sealed runs: begun, committed or aborted, and recorded.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{Record, record};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, HistoryId, Name, ShardId, TimestampUs, ViewId, WriterId};
use minicbor::{Decode, Encode};

use super::{
    MetaMachine,
    command::{BeginLoad, CommitLoad, MetaReply, SourceDraft},
    layout,
    ledger_state::sealed,
};
use crate::{Error, LoadId, Position, Result, codec, shard::SealNote};

/// A bulk load.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LoadState {
    /// The view version of its rows.
    #[n(0)]
    pub view: ViewId,
    /// The history they belong to.
    #[n(1)]
    pub history: HistoryId,
    /// Its files, in order: those asked for without the ones that it skips. None once it is aborted.
    #[n(2)]
    pub sources: Vec<SourceDraft>,
    /// Whether it may load files that were loaded before.
    #[n(3)]
    pub again: bool,
    /// How it ended.
    #[n(4)]
    pub outcome: LoadOutcome,
}

/// How a bulk load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum LoadOutcome {
    /// Not yet.
    #[n(0)]
    Pending,
    /// Its rows are there.
    #[n(1)]
    Committed {
        /// Their commit time.
        #[n(0)]
        commit_time: TimestampUs,
        /// Its record.
        #[n(1)]
        record: Hash,
        /// How many there are.
        #[n(2)]
        rows: u64,
    },
    /// Nothing of it is visible, ever.
    #[n(2)]
    Aborted,
}

impl MetaMachine {
    pub(super) fn begin_load(&mut self, begin: BeginLoad, batch: &mut KvBatch) -> Result<MetaReply> {
        let view = self.catalog.view_by_id(begin.view).ok_or_else(|| Error::NotFound {
            what: "view".into(),
            name: format!("number {}", begin.view),
            hint: String::new(),
        })?;
        let history = view.history;
        let load = LoadId(self.loads.keys().next_back().map_or(1, |last| last.0 + 1));
        let BeginLoad { view, sources, again } = begin;
        let skipped = match again {
            true => vec![None; sources.len()],
            false => self.skipped(load, history, &sources),
        };
        if let Some(loads) = skipped.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(MetaReply::AlreadyLoaded { loads });
        }
        let own = sources.into_iter().zip(&skipped).filter(|(_, skipped)| skipped.is_none());
        let sources: Vec<SourceDraft> = own.map(|(source, _)| source).collect();
        if let Some(unnamed) = sources.iter().find(|source| source.path.is_none()) {
            return Err(Error::Invalid(format!(
                "file {} is read by the load; its path is needed",
                unnamed.physical
            )));
        }
        self.put_load(
            load,
            LoadState { view, history, sources, again, outcome: LoadOutcome::Pending },
            batch,
        );
        Ok(MetaReply::LoadBegun { load, skipped })
    }

    /// Of each file of a load: the load that brought it into the history before; the load itself, where an earlier
    /// one of its files has the same bytes.
    fn skipped(&self, load: LoadId, history: HistoryId, sources: &[SourceDraft]) -> Vec<Option<LoadId>> {
        let mut own = BTreeSet::new();
        let of_source = |source: &SourceDraft| {
            let repeated = || (!own.insert(source.physical)).then_some(load);
            self.loaded_files.get(&(history, source.physical)).copied().or_else(repeated)
        };
        sources.iter().map(of_source).collect()
    }

    fn put_load(&mut self, load: LoadId, state: LoadState, batch: &mut KvBatch) {
        batch.put(layout::load(load), codec::encode(&state));
        self.insert_load(load, state);
    }

    /// Takes the state of a load, also one read back. Of loads that brought the same file, the first begun counts,
    /// in whatever order they are taken.
    pub(super) fn insert_load(&mut self, load: LoadId, state: LoadState) {
        if matches!(state.outcome, LoadOutcome::Committed { .. }) {
            for source in &state.sources {
                let first = self.loaded_files.entry((state.history, source.physical)).or_insert(load);
                *first = load.min(*first);
            }
        }
        self.loads.insert(load, state);
    }

    pub(super) fn commit_load(
        &mut self,
        at: Position,
        agent: Hash,
        commit: CommitLoad,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let mut state = self.known_load(commit.load)?.clone();
        match state.outcome {
            LoadOutcome::Pending => {}
            LoadOutcome::Committed { commit_time, record, .. } => {
                return Ok(MetaReply::LoadCommitted { commit_time, record });
            }
            LoadOutcome::Aborted => return Err(Error::Conflict(format!("load {} was aborted", commit.load))),
        }
        if at.commit_time <= commit.floor {
            return Err(Error::Conflict(format!(
                "load {} must commit above {}; the clock of the meta group is at {}",
                commit.load, commit.floor, at.commit_time
            )));
        }
        let is_there =
            |source: &SourceDraft| self.loaded_files.contains_key(&(state.history, source.physical));
        if !state.again && state.sources.iter().any(is_there) {
            return Ok(MetaReply::LoadOvertaken);
        }
        let rows = commit.segments.iter().map(|segment| segment.rows).sum();
        let record = self.load_record(at, agent, &commit, &state, rows, batch)?;
        let commit_time = at.commit_time;
        state.outcome = LoadOutcome::Committed { commit_time, record, rows };
        self.put_load(commit.load, state, batch);
        Ok(MetaReply::LoadCommitted { commit_time, record })
    }

    fn load_record(
        &mut self,
        at: Position,
        agent: Hash,
        commit: &CommitLoad,
        state: &LoadState,
        rows: u64,
        batch: &mut KvBatch,
    ) -> Result<Hash> {
        let (project, view) = self.project_and_record(state.view)?;
        if commit.source_rows.len() != state.sources.len() {
            return Err(Error::Invalid(format!(
                "load {} has {} files; rows of {} were given",
                commit.load,
                state.sources.len(),
                commit.source_rows.len()
            )));
        }
        let mut sources = Vec::with_capacity(state.sources.len());
        for (source, rows) in state.sources.iter().zip(&commit.source_rows) {
            let path = source.path.ok_or_else(|| Error::Invalid("a file of the load has no path".into()))?;
            let format = record::Format::ALL
                .into_iter()
                .find(|format| format.as_str() == source.format)
                .ok_or_else(|| Error::Invalid(format!("`{}` is not a file format", source.format)))?;
            let record = Record::Source(record::Source {
                project: project.clone(),
                physical_hash: source.physical,
                bytes: source.bytes,
                rows: *rows,
                format,
                path: sealed(path),
            });
            sources.push(self.ledger.append(&record, at.commit_time, batch)?);
        }
        let segments = commit.segments.iter().map(|segment| record::LoadSegment {
            shard: segment.shard,
            physical_hash: segment.physical,
            rows: segment.rows,
        });
        let record = Record::Load(record::Load {
            project,
            view,
            sources,
            load_id: commit.load.0,
            rows,
            tombstones: commit.tombstones,
            logical_hash: commit.logical,
            segments: segments.collect::<BTreeSet<_>>(),
            commit_time: at.commit_time,
            principal: sealed(agent),
        });
        self.ledger.append(&record, at.commit_time, batch)
    }

    pub(super) fn abort_load(&mut self, load: LoadId, batch: &mut KvBatch) -> Result<MetaReply> {
        let mut state = self.known_load(load)?.clone();
        if let LoadOutcome::Committed { commit_time, record, .. } = state.outcome {
            return Ok(MetaReply::LoadCommitted { commit_time, record });
        }
        state.outcome = LoadOutcome::Aborted;
        // Nobody asks for them any more, and of aborted loads there is no end.
        state.sources = Vec::new();
        self.put_load(load, state, batch);
        Ok(MetaReply::Done)
    }

    fn known_load(&self, load: LoadId) -> Result<&LoadState> {
        self.loads.get(&load).ok_or_else(|| Error::NotFound {
            what: "load".into(),
            name: load.to_string(),
            hint: String::new(),
        })
    }

    fn project_and_record(&self, view: ViewId) -> Result<(Name, Hash)> {
        let definition = self.catalog.view_by_id(view).zip(self.view_record(view));
        definition.map(|(view, record)| (view.project.clone(), record)).ok_or_else(|| Error::NotFound {
            what: "view".into(),
            name: format!("number {view}"),
            hint: String::new(),
        })
    }

    pub(super) fn record_seal(
        &mut self,
        at: Position,
        shard: ShardId,
        note: SealNote,
        batch: &mut KvBatch,
    ) -> Result<MetaReply> {
        let key = (shard.0, note.run.history, note.run.run.0);
        if self.seals.contains_key(&key) {
            return Ok(MetaReply::Done);
        }
        let (project, view) = self.project_and_record(note.view)?;
        let earlier_views = note.earlier_views.iter().map(|view| Ok(self.project_and_record(*view)?.1));
        let earlier_views = earlier_views.collect::<Result<BTreeSet<Hash>>>()?;
        let record = Record::Seal(record::Seal {
            project,
            view,
            earlier_views: (!earlier_views.is_empty()).then_some(earlier_views),
            shard,
            first_commit: note.first_commit,
            last_commit: note.last_commit,
            rows: note.segment.rows,
            writers: note.writers.into_iter().collect::<BTreeMap<WriterId, u64>>(),
            logical_hash: note.segment.logical,
            physical_hash: note.segment.segment,
        });
        let id = self.ledger.append(&record, at.commit_time, batch)?;
        batch.put(layout::seal(key.0, key.1.0, key.2), codec::encode(&(id, note.first_commit)));
        self.seals.insert(key, (id, note.first_commit));
        Ok(MetaReply::Done)
    }
}
