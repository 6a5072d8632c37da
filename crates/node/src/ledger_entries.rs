//! The entries of the ledger one by one, for work that reads many of them.
//!
//! Invariant: the meta group is held up for one entry at a time. The ledger only grows, so what was read of it before
//! stays true, and a range below its size is the same whenever it is read.

use std::ops::Range;

use lineate_ledger::{Entry, Record, record::Kind};
use lineate_state::meta::MetaMachine;

use crate::Node;

/// An entry of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct LedgerEntry {
    pub(crate) entry: Entry,
    pub(crate) record: Record,
    /// Whether the state has what the record is of; asked of training sets.
    pub(crate) is_kept: bool,
}

impl Node {
    /// The entries of a range, as far as there are any.
    pub(crate) fn ledger_entries(&self, range: Range<u64>) -> impl Iterator<Item = LedgerEntry> {
        range.map_while(|seq| {
            let seq = usize::try_from(seq).ok()?;
            let meta = self.meta().read();
            let (entry, record) = (meta.ledger().entries().get(seq)?, meta.ledger().records().nth(seq)?);
            let is_kept = is_kept(&meta, entry, record);
            Some(LedgerEntry { entry: *entry, record: record.clone(), is_kept })
        })
    }
}

fn is_kept(meta: &MetaMachine, entry: &Entry, record: &Record) -> bool {
    let Record::Dataset(dataset) = record else { return entry.kind != Kind::Dataset };
    let versions = meta.dataset_versions(&dataset.project, &dataset.name);
    let place = versions.binary_search_by_key(&dataset.version, |state| state.version);
    place.ok().and_then(|place| versions.get(place)).is_some_and(|state| state.record == entry.record)
}
