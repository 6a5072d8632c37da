//! What is said of a bulk load: of each file, which load brought it, and when.

use std::{collections::BTreeMap, sync::Arc};

use lineate_ledger::Record;
use lineate_state::{LoadId, meta::LoadOutcome};
use lineate_types::{Hash, TimestampUs, ViewDefinition};

use crate::{
    Error, Node, Result,
    api::{LoadReport, LoadedFile},
    ingest::Source,
};

/// A committed load.
#[derive(Debug, Clone)]
pub(crate) struct Brought {
    pub(crate) load: LoadId,
    pub(crate) commit_time: TimestampUs,
    pub(crate) record: Hash,
    /// By the hash of a file: its rows.
    pub(crate) rows: BTreeMap<Hash, u64>,
}

/// How a file that was asked for comes into the view.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// This load reads it.
    Read,
    /// This load reads the same bytes as an earlier one of its files.
    Repeated,
    /// It is there already.
    Earlier(Arc<Brought>),
}

impl Node {
    /// How each file comes in, by what the meta group says of a load that it began.
    pub(crate) fn origins(&self, load: LoadId, skipped: &[Option<LoadId>]) -> Result<Vec<Origin>> {
        let mut known = BTreeMap::new();
        let origin_of = |skipped: &Option<LoadId>| match skipped {
            None => Ok(Origin::Read),
            Some(by) if *by == load => Ok(Origin::Repeated),
            Some(by) => Ok(Origin::Earlier(self.brought_once(*by, &mut known)?)),
        };
        skipped.iter().map(origin_of).collect()
    }

    /// Says that every file is there.
    pub(crate) fn report_loaded(
        &self,
        loads: &[LoadId],
        view: &ViewDefinition,
        sources: &[Source],
    ) -> Result<LoadReport> {
        let mut known = BTreeMap::new();
        let brought = loads.iter().map(|load| self.brought_once(*load, &mut known));
        let brought = brought.collect::<Result<Vec<_>>>()?;
        let Some(last) = brought.iter().max_by_key(|brought| (brought.commit_time, brought.load)) else {
            return Err(Error::Internal("a load without files was begun".into()));
        };
        Ok(LoadReport {
            load: last.load,
            already_loaded: true,
            view: view.to_string(),
            commit_time: last.commit_time,
            record: last.record,
            rows: 0,
            tombstones: 0,
            segment_bytes: 0,
            segments: 0,
            files: sources
                .iter()
                .zip(&brought)
                .map(|(source, brought)| source.report(brought, true))
                .collect(),
        })
    }

    fn brought_once(&self, load: LoadId, known: &mut BTreeMap<LoadId, Arc<Brought>>) -> Result<Arc<Brought>> {
        if let Some(brought) = known.get(&load) {
            return Ok(brought.clone());
        }
        let brought = Arc::new(self.brought(load)?);
        known.insert(load, brought.clone());
        Ok(brought)
    }

    fn brought(&self, load: LoadId) -> Result<Brought> {
        let meta = self.meta().read();
        let Some(LoadOutcome::Committed { commit_time, record, .. }) =
            meta.load(load).map(|state| state.outcome)
        else {
            return Err(Error::Internal(format!("load {load} is not committed")));
        };
        let Some(Record::Load(recorded)) = meta.ledger().record(&record) else {
            return Err(Error::Internal(format!("the record of load {load} is not in the ledger")));
        };
        let rows = recorded.sources.iter().filter_map(|source| match meta.ledger().record(source) {
            Some(Record::Source(source)) => Some((source.physical_hash, source.rows)),
            _ => None,
        });
        Ok(Brought { load, commit_time, record, rows: rows.collect() })
    }
}

impl Origin {
    /// The file of a source, where `own` is the load that is reported.
    pub(crate) fn report(&self, source: &Source, own: &Brought) -> LoadedFile {
        match self {
            Self::Read => source.report(own, false),
            Self::Repeated => source.report(own, true),
            Self::Earlier(brought) => source.report(brought, true),
        }
    }
}
