//! Reads the meta group's state back from its key-value tree.

use lineate_ledger::{Entry, Record};
use lineate_storage::kv::OrderedKv;
use lineate_types::{Hash, HistoryId, TimestampUs};

use super::{DatasetState, MetaMachine, ModelState, Writers, layout, ledger_state::StoredRecord};
use crate::{Error, LoadId, Result, codec, scan::each};

impl MetaMachine {
    /// The state stored in a tree, empty if there is none.
    ///
    /// # Errors
    /// What is stored is damaged or was written by a newer release.
    pub fn restore(kv: &dyn OrderedKv, tree: &str) -> Result<Self> {
        let mut machine = Self::default();
        machine.restore_catalog(kv, tree)?;
        machine.restore_ledger(kv, tree)?;
        machine.writers = Writers::restore(kv, tree)?;
        each(kv, tree, layout::LOAD, |key, value| {
            machine.insert_load(LoadId(layout::read_number(key)?), codec::decode("load", value)?);
            Ok(())
        })?;
        each(kv, tree, layout::SEAL, |key, value| {
            let sealed: (Hash, TimestampUs) = codec::decode("sealed run", value)?;
            machine.seals.insert(seal_key(key).ok_or_else(layout::damaged_key)?, sealed);
            Ok(())
        })?;
        let mut datasets: Vec<DatasetState> = Vec::new();
        each(kv, tree, layout::DATASET, |_, value| {
            datasets.push(codec::decode("training set", value)?);
            Ok(())
        })?;
        datasets.sort_by_key(|state| state.version);
        for state in datasets {
            let key = (state.draft.project.clone(), state.draft.name.clone());
            machine.datasets.entry(key).or_default().push(state);
        }
        let mut models: Vec<ModelState> = Vec::new();
        each(kv, tree, layout::MODEL, |_, value| {
            models.push(codec::decode("model", value)?);
            Ok(())
        })?;
        models.sort_by_key(|state| state.version);
        for state in models {
            let key = (state.draft.project.clone(), state.draft.name.clone());
            machine.models.entry(key).or_default().push(state);
        }
        Ok(machine)
    }

    fn restore_catalog(&mut self, kv: &dyn OrderedKv, tree: &str) -> Result<()> {
        each(kv, tree, layout::ENTITY, |_, value| {
            self.catalog.insert_entity(codec::decode("entity", value)?);
            Ok(())
        })?;
        each(kv, tree, layout::VIEW, |_, value| {
            self.catalog.insert_view(codec::decode("view", value)?);
            Ok(())
        })?;
        each(kv, tree, layout::SERVICE, |_, value| {
            self.catalog.insert_service(codec::decode("service", value)?);
            Ok(())
        })?;
        each(kv, tree, layout::CATALOG, |_, value| {
            self.catalog.set_version(codec::decode("catalog version", value)?);
            Ok(())
        })
    }

    fn restore_ledger(&mut self, kv: &dyn OrderedKv, tree: &str) -> Result<()> {
        each(kv, tree, layout::ENTRY, |key, value| {
            let stored: StoredRecord = codec::decode("ledger entry", value)?;
            let entry = Entry::decode(&stored.entry)?;
            let record = Record::decode(&stored.record)?;
            let id = Record::id_of(record.kind(), &stored.record);
            if entry.seq != layout::read_number(key)? || entry.record != id || entry.seq != self.ledger.size()
            {
                return Err(Error::Corrupt {
                    what: format!("ledger entry {}", entry.seq),
                    why: "its record or its place is another than it says".into(),
                });
            }
            if let Record::View(view) = &record {
                let wanted =
                    lineate_types::VersionedName { name: view.name.clone(), version: Some(view.version) };
                let view = self.catalog.view(&view.project, &wanted)?.id;
                self.view_records.insert(view, id);
            }
            if let Record::Promotion(promotion) = &record {
                self.insert_promotion(promotion, id);
            }
            self.ledger.insert(entry, &record)
        })
    }
}

fn seal_key(key: &[u8]) -> Option<(u16, HistoryId, u64)> {
    let (shard, rest) = key.split_first_chunk()?;
    let (history, rest) = rest.split_first_chunk()?;
    let run = rest.try_into().ok()?;
    Some((u16::from_be_bytes(*shard), HistoryId(u32::from_be_bytes(*history)), u64::from_be_bytes(run)))
}
