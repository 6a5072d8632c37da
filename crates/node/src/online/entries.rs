//! The entries of one shard, bounded by bytes: a slab with a clock hand (second chance).
//!
//! An entry that was not asked for since the hand passed it last is evicted. New entries begin as not asked for,
//! so that keys asked for once do not push out those asked for often.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use lineate_types::{EntityKey, HistoryId, ViewId};

use super::entry::{Entry, SharedEntry};

/// A view version, found by its history.
pub(super) type ViewOfHistory = (HistoryId, ViewId);

/// Entries by view version and key.
#[derive(Debug)]
pub(super) struct Entries {
    places: BTreeMap<ViewOfHistory, HashMap<Arc<EntityKey>, usize>>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
    capacity: usize,
    evictions: u64,
}

#[derive(Debug)]
struct Slot {
    view: ViewOfHistory,
    key: Arc<EntityKey>,
    entry: SharedEntry,
    used: bool,
}

/// What a key costs beside the entry and its bytes: its slot and its place, both with the room that growing
/// tables keep free, and the counters of its `Arc`.
const KEY_BYTES: usize = 2 * size_of::<Option<Slot>>()
    + 2 * size_of::<(Arc<EntityKey>, usize)>()
    + 2 * size_of::<usize>()
    + size_of::<EntityKey>();

impl Entries {
    /// No entries; at most `capacity` bytes of them later.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            capacity,
            evictions: 0,
        }
    }

    /// The entry of a key, without a trace in the clock.
    pub(super) fn peek(&self, view: ViewOfHistory, key: &EntityKey) -> Option<&SharedEntry> {
        let place = *self.places.get(&view)?.get(key)?;
        self.slots.get(place)?.as_ref().map(|slot| &slot.entry)
    }

    /// The entry of a key if it is good for the purpose, which gives it a second chance.
    pub(super) fn get(
        &mut self,
        view: ViewOfHistory,
        key: &EntityKey,
        good: impl FnOnce(&Entry) -> bool,
    ) -> Option<&SharedEntry> {
        let place = *self.places.get(&view)?.get(key)?;
        let slot = self.slots.get_mut(place)?.as_mut().filter(|slot| good(&slot.entry))?;
        slot.used = true;
        Some(&slot.entry)
    }

    /// Keeps an entry, in place of the one the key has. An entry that is large beside the whole cache is not
    /// kept.
    pub(super) fn insert(&mut self, view: ViewOfHistory, key: &EntityKey, entry: SharedEntry) {
        let bytes = bytes_of(key, &entry);
        if bytes > self.capacity / 4 {
            return self.remove(view, key);
        }
        match self.places.get(&view).and_then(|keys| keys.get(key)).copied() {
            Some(place) => {
                if let Some(slot) = self.slots.get_mut(place).and_then(Option::as_mut) {
                    self.bytes = self.bytes + bytes - bytes_of(&slot.key, &slot.entry);
                    slot.entry = entry;
                }
            }
            None => {
                let key = Arc::new(key.clone());
                let slot = Some(Slot { view, key: key.clone(), entry, used: false });
                let place = self.free.pop().unwrap_or(self.slots.len());
                match self.slots.get_mut(place) {
                    Some(free) => *free = slot,
                    None => self.slots.push(slot),
                }
                self.places.entry(view).or_default().insert(key, place);
                self.bytes += bytes;
            }
        }
        while self.bytes > self.capacity {
            self.turn();
        }
    }

    /// Keeps an entry only if nothing must go for it. Where there is no room, the key has no entry then.
    pub(super) fn insert_if_room(
        &mut self,
        view: ViewOfHistory,
        key: &EntityKey,
        entry: &SharedEntry,
    ) -> bool {
        let before = self.peek(view, key).map_or(0, |present| bytes_of(key, present));
        let bytes = bytes_of(key, entry);
        if bytes > self.capacity / 4 || self.bytes - before + bytes > self.capacity {
            self.remove(view, key);
            return false;
        }
        self.insert(view, key, entry.clone());
        true
    }

    /// Whether there is room for one more of the usual size.
    pub(super) fn has_room(&self) -> bool {
        let usual = self.bytes.checked_div(self.len()).unwrap_or(KEY_BYTES);
        self.bytes + usual <= self.capacity
    }

    /// How many slots there are, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// What is in some slots.
    pub(super) fn in_slots(
        &self,
        slots: Range<usize>,
    ) -> impl Iterator<Item = (ViewOfHistory, &Arc<EntityKey>, &Entry)> {
        let end = slots.end.min(self.slots.len());
        let slots = self.slots.get(slots.start.min(end)..end).unwrap_or_default();
        slots.iter().flatten().map(|slot| (slot.view, &slot.key, slot.entry.as_ref()))
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, view: ViewOfHistory, key: &EntityKey) {
        if let Some(place) = self.places.get(&view).and_then(|keys| keys.get(key)).copied() {
            self.vacate(place);
        }
    }

    /// The view versions of a history that have entries.
    pub(super) fn views(&self, history: HistoryId) -> impl Iterator<Item = ViewId> {
        let views = self.places.range((history, ViewId(0))..=(history, ViewId(u32::MAX)));
        views.filter(|(_, keys)| !keys.is_empty()).map(|((_, view), _)| *view)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Bytes they take, with their keys and places.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes they may take.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many were pushed out by others.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Moves the hand by one slot.
    fn turn(&mut self) {
        let place = self.hand;
        self.hand = if place + 1 < self.slots.len() { place + 1 } else { 0 };
        match self.slots.get_mut(place).and_then(Option::as_mut) {
            Some(slot) if slot.used => slot.used = false,
            Some(_) => {
                self.vacate(place);
                self.evictions += 1;
            }
            None => {}
        }
    }

    fn vacate(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place).and_then(Option::take) else { return };
        self.bytes -= bytes_of(&slot.key, &slot.entry);
        self.free.push(place);
        if let Some(keys) = self.places.get_mut(&slot.view) {
            keys.remove(&slot.key);
            if keys.is_empty() {
                self.places.remove(&slot.view);
            }
        }
    }
}

fn bytes_of(key: &EntityKey, entry: &Entry) -> usize {
    KEY_BYTES + key.as_bytes().len() + entry.bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use lineate_types::{KeyValue, TimestampUs};
    use proptest::prelude::*;

    use super::{super::skyline::Skyline, *};

    const VIEW: ViewOfHistory = (HistoryId(1), ViewId(2));

    fn key(number: i64) -> EntityKey {
        EntityKey::encode(&[KeyValue::Int64(number)]).expect("short")
    }

    fn entry(epoch: u64) -> SharedEntry {
        let none =
            Skyline::<Vec<u8>> { from: TimestampUs(0), until: TimestampUs::MAX, rows: VecDeque::new() };
        Arc::new(Entry::new(epoch, &none))
    }

    fn one() -> usize {
        bytes_of(&key(0), &entry(0))
    }

    #[test]
    fn keys_that_are_asked_for_outlive_those_that_are_not() {
        let mut entries = Entries::new(4 * one());
        for number in 0..4 {
            entries.insert(VIEW, &key(number), entry(0));
        }
        assert!(entries.get(VIEW, &key(0), |_| true).is_some());
        for number in 4..7 {
            entries.insert(VIEW, &key(number), entry(0));
        }
        assert!(entries.peek(VIEW, &key(0)).is_some());
        assert_eq!((entries.len(), entries.evictions()), (4, 3));
    }

    #[test]
    fn a_key_of_another_view_is_another_entry() {
        let mut entries = Entries::new(100 * one());
        entries.insert(VIEW, &key(1), entry(7));
        assert!(entries.peek((VIEW.0, ViewId(3)), &key(1)).is_none());
        assert_eq!(entries.views(VIEW.0).collect::<Vec<_>>(), [VIEW.1]);
        entries.remove(VIEW, &key(1));
        assert_eq!((entries.len(), entries.bytes(), entries.views(VIEW.0).count()), (0, 0, 0));
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_bytes_are_the_sum_of_what_is_kept(
            steps in prop::collection::vec((0..4_u8, 0..12_i64), 0..80), capacity in 0..8_usize,
        ) {
            let mut entries = Entries::new(capacity * one());
            for (kind, number) in steps {
                match kind {
                    0 => drop(entries.get(VIEW, &key(number), |_| true)),
                    1 => entries.insert(VIEW, &key(number), entry(1)),
                    2 => {
                        let (evicted, had) = (entries.evictions(), entries.peek(VIEW, &key(number)).is_some());
                        let has_room = entries.bytes() + one() <= entries.capacity() || had;
                        // One that takes more than a quarter of the cache is never kept.
                        let fits = has_room && 4 * one() <= entries.capacity();
                        prop_assert_eq!(entries.insert_if_room(VIEW, &key(number), &entry(2)), fits);
                        prop_assert_eq!(entries.evictions(), evicted);
                    }
                    _ => entries.remove(VIEW, &key(number)),
                }
                prop_assert!(entries.bytes() <= entries.capacity());
                prop_assert_eq!(entries.bytes(), entries.len() * one());
                let found = (0..12).filter(|number| entries.peek(VIEW, &key(*number)).is_some()).count();
                prop_assert_eq!(found, entries.len());
            }
        }
    }
}
