//! The state of the groups of a log, and the rules a batch must keep. Shared by every implementation, so
//! that all refuse the same batches; the tests hold both against a model of their own.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use lineate_types::{GroupId, limits};

use super::{Cut, GroupBatch, GroupState, HardState, LogBatch};
use crate::{Error, Result};

/// Bytes a record may need besides its payload, counted against the bound of a batch.
const RECORD_OVERHEAD: u64 = 64;

/// One entry: its term, and where (or what) its payload is.
#[derive(Debug, Clone)]
pub(super) struct Slot<T> {
    pub(super) term: u64,
    pub(super) stored: T,
}

/// One group. `slots[i]` is the entry `state.cut.index + 1 + i`.
#[derive(Debug, Clone)]
pub(super) struct Group<T> {
    pub(super) state: GroupState,
    pub(super) slots: VecDeque<Slot<T>>,
}

/// All groups of a log.
pub(super) type Groups<T> = BTreeMap<GroupId, Group<T>>;

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self { state: GroupState::default(), slots: VecDeque::new() }
    }
}

impl<T> Group<T> {
    /// The term of an entry, or of the cut at the cut.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        let cut = self.state.cut;
        if index == cut.index { Some(cut.term) } else { self.slot(index).map(|slot| slot.term) }
    }

    /// The slot of an entry.
    pub(super) fn slot(&self, index: u64) -> Option<&Slot<T>> {
        self.slots.get(self.position(index)?)
    }

    /// The slot of an entry, to be changed.
    pub(super) fn slot_mut(&mut self, index: u64) -> Option<&mut Slot<T>> {
        let position = self.position(index)?;
        self.slots.get_mut(position)
    }

    fn position(&self, index: u64) -> Option<usize> {
        let position = index.checked_sub(self.state.cut.index)?.checked_sub(1)?;
        usize::try_from(position).ok()
    }

    /// Whether entries after this cut stay, or the whole log goes; see [`GroupBatch::cut`].
    pub(super) fn keeps_tail(&self, cut: Cut) -> bool {
        self.term(cut.index) == Some(cut.term)
    }

    /// Moves the cut forward; see [`GroupBatch::cut`].
    pub(super) fn cut(&mut self, cut: Cut, keep_tail: bool, dropped: &mut dyn FnMut(T)) {
        if cut.index <= self.state.cut.index {
            return;
        }
        if keep_tail {
            let count = usize::try_from(cut.index - self.state.cut.index).unwrap_or(usize::MAX);
            let slots = self.slots.drain(..count.min(self.slots.len()));
            slots.for_each(|slot| dropped(slot.stored));
            self.state.last_index = self.state.last_index.max(cut.index);
        } else {
            self.slots.drain(..).for_each(|slot| dropped(slot.stored));
            self.state.last_index = cut.index;
        }
        self.state.cut = cut;
        self.state.hard_state.commit = self.state.hard_state.commit.max(cut.index);
    }

    /// Forgets the entry `index` and all after it.
    pub(super) fn truncate_from(&mut self, index: u64, dropped: &mut dyn FnMut(T)) {
        if let Some(position) = self.position(index)
            && position < self.slots.len()
        {
            self.slots.drain(position..).for_each(|slot| dropped(slot.stored));
            self.state.last_index = index.saturating_sub(1);
        }
    }

    /// Puts an entry after the last one.
    pub(super) fn push(&mut self, term: u64, stored: T) {
        self.slots.push_back(Slot { term, stored });
        self.state.last_index += 1;
    }

    /// Applies a part that [`check`] let pass. `stored` gives one value per entry, in order; `dropped` gets
    /// what entries that go had.
    pub(super) fn apply(
        &mut self,
        part: &GroupBatch,
        stored: impl IntoIterator<Item = T>,
        dropped: &mut dyn FnMut(T),
    ) {
        if let Some(cut) = part.cut {
            self.cut(cut, self.keeps_tail(cut), dropped);
        }
        if let Some(first) = part.entries.first() {
            self.truncate_from(first.index, dropped);
        }
        for (entry, stored) in part.entries.iter().zip(stored) {
            self.push(entry.term, stored);
        }
        if let Some(hard_state) = part.hard_state {
            self.state.hard_state = hard_state;
        }
        if let Some(conf) = &part.conf {
            self.state.conf = Some(conf.clone());
        }
    }
}

/// Checks that a range of entries can be read; the bounds as in [`super::RaftLog::entries`].
pub(super) fn check_range<T>(groups: &Groups<T>, group: GroupId, range: &Range<u64>) -> Result<()> {
    let known =
        groups.get(&group).ok_or_else(|| Error::NotFound { what: format!("the log of group {group}") })?;
    let (first, last) = (known.state.cut.index + 1, known.state.last_index);
    if range.start > range.end {
        return Err(Error::invalid(format!("a range of entries goes from {} to {}", range.start, range.end)));
    }
    if range.start < first {
        return Err(Error::Forgotten { group, index: range.start, first });
    }
    if range.end > last + 1 {
        return Err(Error::Beyond { group, index: range.end - 1, last });
    }
    Ok(())
}

/// What the cut of one part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutEffect {
    /// There is none, or it is behind the present one.
    None,
    /// Entries after it stay.
    KeepTail,
    /// All entries go.
    DropAll,
}

/// Checks a whole batch against the rules of the module before anything of it happens. Returns what the cut of
/// each part will do.
pub(super) fn check<T>(groups: &Groups<T>, batch: &LogBatch) -> Result<Vec<CutEffect>> {
    check_size(batch)?;
    let mut drafts: BTreeMap<GroupId, Draft<'_, T>> = BTreeMap::new();
    let drafted = batch.parts.iter().map(|part| {
        let draft = drafts.entry(part.group).or_insert_with(|| Draft::of(groups.get(&part.group)));
        draft.take(part)
    });
    drafted.collect()
}

fn check_size(batch: &LogBatch) -> Result<()> {
    let mut total = 0_u64;
    for part in &batch.parts {
        let payloads = part.entries.iter().map(|entry| entry.payload.len());
        for bytes in payloads.chain(part.conf.iter().map(|conf| conf.len())) {
            if bytes > limits::LOG_ENTRY_BYTES {
                return Err(too_large("an entry of the log", bytes as u64, limits::LOG_ENTRY_BYTES));
            }
            total += bytes as u64 + RECORD_OVERHEAD;
        }
        total += 3 * RECORD_OVERHEAD;
    }
    if total > limits::LOG_BATCH_BYTES as u64 {
        return Err(too_large("an append to the log", total, limits::LOG_BATCH_BYTES));
    }
    Ok(())
}

fn too_large(what: &'static str, actual: u64, limit: usize) -> Error {
    Error::TooLarge { what, actual, limit: limit as u64 }
}

/// What a group would be after the parts taken so far: the stored group, overlaid by a new tail.
struct Draft<'a, T> {
    stored: Option<&'a Group<T>>,
    hard_state: HardState,
    cut: Cut,
    /// Terms of the entries from `tail_from` on; the stored group holds those before.
    tail: Vec<u64>,
    tail_from: u64,
}

impl<'a, T> Draft<'a, T> {
    fn of(stored: Option<&'a Group<T>>) -> Self {
        let state = stored.map(|group| group.state.clone()).unwrap_or_default();
        Self {
            stored,
            hard_state: state.hard_state,
            cut: state.cut,
            tail: Vec::new(),
            tail_from: state.last_index + 1,
        }
    }

    fn last_index(&self) -> u64 {
        self.tail_from - 1 + self.tail.len() as u64
    }

    fn term(&self, index: u64) -> Option<u64> {
        if index < self.cut.index {
            return None;
        }
        if index == self.cut.index {
            return Some(self.cut.term);
        }
        match index.checked_sub(self.tail_from) {
            Some(position) => self.tail.get(usize::try_from(position).ok()?).copied(),
            None => self.stored?.term(index),
        }
    }

    fn take(&mut self, part: &GroupBatch) -> Result<CutEffect> {
        let effect = part.cut.map_or(Ok(CutEffect::None), |cut| self.take_cut(part.group, cut))?;
        self.take_entries(part)?;
        if let Some(hard_state) = part.hard_state {
            self.take_hard_state(part.group, hard_state)?;
        }
        Ok(effect)
    }

    fn take_cut(&mut self, group: GroupId, cut: Cut) -> Result<CutEffect> {
        if cut.index <= self.cut.index {
            return Ok(CutEffect::None);
        }
        if cut.index == u64::MAX {
            return Err(Error::invalid(format!(
                "group {group} cannot be cut at the greatest index there is"
            )));
        }
        let keep_tail = self.term(cut.index) == Some(cut.term);
        if !keep_tail && cut.index <= self.hard_state.commit {
            return Err(Error::invalid(format!(
                "a cut of group {group} at {} with term {} contradicts a committed entry",
                cut.index, cut.term
            )));
        }
        if !keep_tail {
            self.tail.clear();
            self.tail_from = cut.index + 1;
        } else if self.tail_from <= cut.index {
            let dropped = usize::try_from(cut.index + 1 - self.tail_from).unwrap_or(usize::MAX);
            self.tail.drain(..dropped.min(self.tail.len()));
            self.tail_from = cut.index + 1;
        }
        self.cut = cut;
        self.hard_state.commit = self.hard_state.commit.max(cut.index);
        Ok(if keep_tail { CutEffect::KeepTail } else { CutEffect::DropAll })
    }

    fn take_entries(&mut self, part: &GroupBatch) -> Result<()> {
        let Some(first) = part.entries.first() else { return Ok(()) };
        let group = part.group;
        if first.index > self.last_index() + 1 {
            return Err(Error::invalid(format!(
                "entry {} of group {group} leaves a gap; the next index is {}",
                first.index,
                self.last_index() + 1
            )));
        }
        if first.index <= self.hard_state.commit {
            return Err(Error::invalid(format!(
                "entry {} of group {group} would overwrite a committed one; the commit index is {}",
                first.index, self.hard_state.commit
            )));
        }
        let mut index = first.index;
        let mut term = self.term(first.index - 1).unwrap_or_default();
        if let Some(kept) = first.index.checked_sub(self.tail_from) {
            self.tail.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        } else {
            self.tail.clear();
            self.tail_from = first.index;
        }
        for entry in &part.entries {
            if entry.index != index || index == u64::MAX {
                return Err(Error::invalid(format!(
                    "entry {} of group {group} is out of order; {index} would be next",
                    entry.index
                )));
            }
            if entry.term < term {
                return Err(Error::invalid(format!(
                    "entry {index} of group {group} has term {}; the one before it has term {term}",
                    entry.term
                )));
            }
            (index, term) = (index + 1, entry.term);
            self.tail.push(term);
        }
        Ok(())
    }

    fn take_hard_state(&mut self, group: GroupId, new: HardState) -> Result<()> {
        let old = self.hard_state;
        if new.term < old.term || new.commit < old.commit {
            return Err(Error::invalid(format!(
                "the hard state of group {group} would go back from term {} and commit {} to term {} and commit {}",
                old.term, old.commit, new.term, new.commit
            )));
        }
        if new.term == old.term && old.vote != 0 && new.vote != old.vote {
            return Err(Error::invalid(format!(
                "group {group} voted for {} in term {} and cannot vote for {} in it",
                old.vote, old.term, new.vote
            )));
        }
        if new.commit > self.last_index() {
            return Err(Error::invalid(format!(
                "the commit index {} of group {group} is beyond its last entry {}",
                new.commit,
                self.last_index()
            )));
        }
        self.hard_state = new;
        Ok(())
    }
}
