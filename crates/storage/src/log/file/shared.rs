//! What is durable, for readers: the groups, the open files, and how much of each file is still needed.

use std::collections::BTreeMap;

use lineate_types::GroupId;

use super::{
    Location,
    cache::Cache,
    log_file::{LogFile, file_name},
};
use crate::{
    Error, Result,
    log::{LogBatch, group::Groups},
};

/// The durable state of a log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) groups: Groups<Location>,
    pub(super) cache: Cache,
    /// Per file, what of it is still needed.
    pub(super) live: BTreeMap<u64, Live>,
    files: BTreeMap<u64, LogFile>,
}

/// The entries of a file that can still be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Shared {
    pub(super) fn new(groups: Groups<Location>, files: BTreeMap<u64, LogFile>, cache_bytes: usize) -> Self {
        let mut live: BTreeMap<u64, Live> =
            files.keys().map(|sequence| (*sequence, Live::default())).collect();
        for slot in groups.values().flat_map(|group| &group.slots) {
            add(&mut live, &slot.stored);
        }
        Self { groups, cache: Cache::new(cache_bytes), live, files }
    }

    pub(super) fn file(&self, sequence: u64) -> Result<LogFile> {
        let missing =
            || Error::corrupt("the raft log", format!("file `{}` is not open", file_name(sequence)));
        self.files.get(&sequence).cloned().ok_or_else(missing)
    }

    /// The oldest file, if nothing in it is needed and it is not the one being written.
    pub(super) fn dead_file(&self, writing: u64) -> Option<LogFile> {
        let (sequence, file) = self.files.first_key_value()?;
        let needed = self.live.get(sequence).is_some_and(|live| live.entries > 0);
        (!needed && *sequence != writing).then(|| file.clone())
    }

    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.files.values().map(|file| file.file_bytes).sum()
    }

    pub(super) fn add_file(&mut self, file: LogFile) {
        self.live.insert(file.sequence, Live::default());
        self.files.insert(file.sequence, file);
    }

    pub(super) fn remove_file(&mut self, sequence: u64) {
        self.live.remove(&sequence);
        self.files.remove(&sequence);
    }

    /// Publishes a batch that is durable. `locations` has one list for each part.
    pub(super) fn apply(&mut self, batch: &LogBatch, locations: Vec<Vec<Location>>) {
        for (part, locations) in batch.parts.iter().zip(locations) {
            locations.iter().for_each(|location| add(&mut self.live, location));
            let live = &mut self.live;
            let mut dropped = |location: Location| remove(live, &location);
            self.groups.entry(part.group).or_default().apply(part, locations, &mut dropped);
            for entry in &part.entries {
                self.cache.insert(part.group, entry.index, entry.payload.clone());
            }
        }
    }

    /// Notes that an entry is in another place now.
    pub(super) fn relocate(&mut self, group: GroupId, index: u64, location: Location) {
        let Some(slot) = self.groups.get_mut(&group).and_then(|known| known.slot_mut(index)) else { return };
        remove(&mut self.live, &slot.stored);
        add(&mut self.live, &location);
        slot.stored = location;
    }
}

fn add(live: &mut BTreeMap<u64, Live>, location: &Location) {
    let live = live.entry(location.sequence).or_default();
    live.entries += 1;
    live.bytes += location.bytes();
}

fn remove(live: &mut BTreeMap<u64, Live>, location: &Location) {
    if let Some(live) = live.get_mut(&location.sequence) {
        live.entries = live.entries.saturating_sub(1);
        live.bytes = live.bytes.saturating_sub(location.bytes());
    }
}
