//! What a training set was made from: the loads and sealed runs that its snapshot reads, each by its record, or many of
//! them by the record of a collection.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{Record, record::Collection};
use lineate_types::{Hash, HistoryId, Name, TimestampUs, limits};

use super::{LoadOutcome, MetaMachine};

/// The inputs of a training set as its record names them.
pub(super) struct Inputs {
    /// To be recorded before the training set, unless they are.
    pub(super) collections: Vec<Record>,
    /// The ids of inputs and collections.
    pub(super) named: BTreeSet<Hash>,
}

impl MetaMachine {
    /// The loads and sealed runs of some histories that a snapshot reads. Up to [`limits::COLLECTION_MEMBERS`] are
    /// named one by one. More are named in collections of as many, each of one history, in the order of the log: what
    /// is full stays as it is while a history grows, so that later training sets name the same records.
    pub(super) fn inputs_at(&self, project: &Name, histories: &[HistoryId], snapshot: TimestampUs) -> Inputs {
        let of_histories = self.records_at(histories, snapshot);
        let count: usize = of_histories.values().map(BTreeMap::len).sum();
        if count <= limits::COLLECTION_MEMBERS {
            let named = of_histories.into_values().flat_map(BTreeMap::into_values).collect();
            return Inputs { collections: Vec::new(), named };
        }
        let mut inputs = Inputs { collections: Vec::new(), named: BTreeSet::new() };
        for records in of_histories.into_values() {
            let records: Vec<Hash> = records.into_values().collect();
            for members in records.chunks(limits::COLLECTION_MEMBERS) {
                let members = members.iter().copied().collect();
                let collection = Record::Collection(Collection { project: project.clone(), members });
                inputs.named.insert(collection.id());
                inputs.collections.push(collection);
            }
        }
        inputs
    }

    /// By history and place in the log.
    fn records_at(
        &self,
        histories: &[HistoryId],
        snapshot: TimestampUs,
    ) -> BTreeMap<HistoryId, BTreeMap<u64, Hash>> {
        let loads = self.loads.values().filter_map(|load| match &load.outcome {
            LoadOutcome::Committed { commit_time, record, .. } => Some((load.history, *commit_time, *record)),
            _ => None,
        });
        let seals = self.seals.iter().map(|((_, history, _), (record, first))| (*history, *first, *record));
        let mut records: BTreeMap<HistoryId, BTreeMap<u64, Hash>> = BTreeMap::new();
        for (history, first_commit, record) in loads.chain(seals) {
            if first_commit <= snapshot
                && histories.contains(&history)
                && let Some(entry) = self.ledger.entry(&record)
            {
                records.entry(history).or_default().insert(entry.seq, record);
            }
        }
        records
    }
}
