//! Reads a shard's state back from its key-value tree.

use std::{collections::BTreeMap, sync::Arc};

use lineate_storage::kv::OrderedKv;
use lineate_types::{HistoryId, ViewDefinition};

use super::{
    RunKey, ShardMachine, StreamRun, history::StoredRows, layout, layout::Numbers, rows, writers::Writers,
};
use crate::{Error, LoadId, Position, Result, codec, scan::each};

impl ShardMachine {
    /// The state stored in a tree, empty if there is none.
    ///
    /// # Errors
    /// What is stored is damaged or was written by a newer release.
    pub fn restore(kv: &dyn OrderedKv, tree: &str) -> Result<Self> {
        let mut machine = Self::default();
        each(kv, tree, layout::VIEW, |_, value| {
            machine.insert_view(codec::decode::<ViewDefinition>("view definition", value)?);
            Ok(())
        })?;
        each(kv, tree, layout::OPEN_RUN, |key, value| {
            let mut key = Numbers(key);
            let history = HistoryId(key.u32().ok_or_else(layout::damaged_key)?);
            machine.histories.entry(history).or_default().open_number = codec::decode("run number", value)?;
            Ok(())
        })?;
        each(kv, tree, layout::SEALED_RUN, |key, value| {
            let mut key = Numbers(key);
            let (history, number) = key.u32().zip(key.u64()).ok_or_else(layout::damaged_key)?;
            let history = machine.histories.entry(HistoryId(history)).or_default();
            history.sealed.insert(number, codec::decode("sealed run", value)?);
            Ok(())
        })?;
        machine.restore_rows(kv, tree)?;
        each(kv, tree, layout::STAGED, |key, value| {
            let mut key = Numbers(key);
            let load = LoadId(key.u64().ok_or_else(layout::damaged_key)?);
            machine.staged.insert(load, codec::decode("staged load", value)?);
            Ok(())
        })?;
        each(kv, tree, layout::SEAL_NOTE, |key, value| {
            let mut key = Numbers(key);
            let run = key.run().ok_or_else(layout::damaged_key)?;
            machine.notes.insert(run, codec::decode("seal note", value)?);
            Ok(())
        })?;
        machine.writers = Writers::restore(kv, tree)?;
        Ok(machine)
    }

    fn restore_rows(&mut self, kv: &dyn OrderedKv, tree: &str) -> Result<()> {
        let mut runs: BTreeMap<RunKey, StreamRun> = BTreeMap::new();
        each(kv, tree, layout::ROWS, |key, value| {
            let mut key = Numbers(key);
            let (run, index) = key.run().zip(key.u64()).ok_or_else(layout::damaged_key)?;
            let StoredRows { commit_time, write } = codec::decode("stored rows", value)?;
            let Some((_, schema)) = self.views.get(&write.view) else {
                return Err(Error::Corrupt {
                    what: format!("batch {index} of history {}", run.history),
                    why: format!("its view {} is not defined in the shard", write.view),
                });
            };
            let rows = rows::decode(&write.rows, schema)?;
            let stream = runs.entry(run).or_insert_with(|| StreamRun::new(write.view, commit_time));
            stream.append(&write, schema, rows, Position { index, commit_time })
        })?;
        for (key, run) in runs {
            let history = self.histories.entry(key.history).or_default();
            match key.run < history.open_number {
                true => {
                    history.frozen.insert(key.run, Arc::new(run));
                }
                false => history.open = Some(run),
            }
        }
        Ok(())
    }
}
