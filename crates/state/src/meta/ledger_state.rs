//! The ledger as part of the meta group's state: records in log order, their tree and their graph.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{
    Entry, Graph, MerkleLog, Record, Sealed,
    record::{Assertion, Kind},
};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, TimestampUs};
use minicbor::{Decode, Encode, bytes::ByteVec};

use super::layout;
use crate::{Result, codec};

/// Records in log order.
#[derive(Debug, Default)]
pub struct LedgerState {
    graph: Graph,
    tree: MerkleLog,
    entries: Vec<Entry>,
    records: Vec<Record>,
    by_id: BTreeMap<Hash, u64>,
    /// By record: the sequence numbers of the assertions about it.
    about: BTreeMap<Hash, Vec<u64>>,
    /// The commitments to texts that were erased.
    erased: BTreeSet<Sealed>,
}

/// A record with its entry, as it is stored: record bytes are kept verbatim.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct StoredRecord {
    #[n(0)]
    pub(super) entry: ByteVec,
    #[n(1)]
    pub(super) record: ByteVec,
}

impl LedgerState {
    /// Adds a record, unless it is there already, and gives its id.
    pub(super) fn append(&mut self, record: &Record, at: TimestampUs, batch: &mut KvBatch) -> Result<Hash> {
        record.check()?;
        let bytes = record.encode();
        let id = Record::id_of(record.kind(), &bytes);
        if self.by_id.contains_key(&id) {
            return Ok(id);
        }
        let entry = Entry::new(self.size(), record.kind(), id, at);
        let stored = StoredRecord { entry: entry.encode().into(), record: bytes.into() };
        let key = layout::entry(entry.seq);
        // What is refused here is not stored either.
        self.insert(entry, record)?;
        batch.put(key, codec::encode(&stored));
        Ok(id)
    }

    /// Adds an entry that is stored.
    pub(super) fn insert(&mut self, entry: Entry, record: &Record) -> Result<()> {
        self.graph.add(entry.seq, entry.commit_time, record)?;
        self.tree.append(&entry.encode());
        self.by_id.insert(entry.record, entry.seq);
        if let Record::Assertion(assertion) = record {
            self.about.entry(assertion.about).or_default().push(entry.seq);
        }
        if let Record::Erasure(erasure) = record {
            self.erased.extend(&erasure.texts);
        }
        self.entries.push(entry);
        self.records.push(record.clone());
        Ok(())
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The graph over all records.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The Merkle tree over all entries.
    pub fn tree(&self) -> &MerkleLog {
        &self.tree
    }

    /// The entries, in log order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a record.
    pub fn entry(&self, record: &Hash) -> Option<&Entry> {
        let sequence = usize::try_from(*self.by_id.get(record)?).ok()?;
        self.entries.get(sequence)
    }

    /// A record.
    pub fn record(&self, id: &Hash) -> Option<&Record> {
        let sequence = usize::try_from(*self.by_id.get(id)?).ok()?;
        self.records.get(sequence)
    }

    /// The assertions about a record with their entries, in log order.
    pub fn assertions_about(&self, record: &Hash) -> impl Iterator<Item = (&Entry, &Assertion)> {
        self.about.get(record).into_iter().flatten().filter_map(|sequence| {
            let place = usize::try_from(*sequence).ok()?;
            match (self.entries.get(place)?, self.records.get(place)?) {
                (entry, Record::Assertion(assertion)) => Some((entry, assertion)),
                _ => None,
            }
        })
    }

    /// The commitments to texts that were erased.
    pub fn erased(&self) -> &BTreeSet<Sealed> {
        &self.erased
    }

    /// The records, in log order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// The entries of one kind, in log order.
    pub fn entries_of(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }
}

/// The commitment in the form records carry it.
pub(super) fn sealed(commitment: Hash) -> Sealed {
    Sealed(commitment)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lineate_ledger::record::Collection;
    use lineate_types::Name;

    use super::*;

    #[test]
    fn a_record_that_is_refused_is_not_stored() {
        let (mut ledger, mut batch) = (LedgerState::default(), KvBatch::new());
        let members = BTreeSet::from([Hash::of(b"no record")]);
        let record = Record::Collection(Collection { project: Name::new("p").expect("a name"), members });
        ledger.append(&record, TimestampUs(1), &mut batch).expect_err("its member is unknown");
        assert!(batch.is_empty() && ledger.size() == 0);
    }
}
