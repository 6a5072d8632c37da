//! The windows of all writers that a shard heard of, bounded: the one opened longest ago gives way, and the one
//! used longest ago forgets what it remembers.
//!
//! Invariants:
//! - there are no more than [`limits::WRITERS`] windows, and each is stored as it is in memory;
//! - they remember no more than [`limits::WRITER_WINDOWS`] batches together, and never forget which was the newest of
//!   an epoch: so nothing is taken twice, and who goes on is never refused;
//! - a batch of a writer that gave way is refused, since whether it was applied is no longer known;
//! - a fence begins every epoch but the first: no batch of it is taken before, and none of an earlier one after.

use std::collections::{BTreeMap, BTreeSet};

use lineate_storage::kv::{KvBatch, OrderedKv};
use lineate_types::{Hash, TimestampUs, WriterId, WriterPosition, limits};

use super::{
    Fence, Remembered, Verdict, WriterWindow,
    layout::{self, Numbers},
    writer_window::{WindowFloor, not_begun},
};
use crate::{Error, Result, codec, opening::Opening, scan::each};

/// The epoch of a writer that was just issued. No fence begins it, since there is none before it.
const FIRST_EPOCH: u32 = 1;

/// The windows of a shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Writers {
    most: Most,
    windows: BTreeMap<WriterId, WriterWindow>,
    /// One for each of the windows.
    openings: BTreeSet<Opening>,
    /// One for each of the windows that remember something: when they were used last.
    uses: BTreeSet<(TimestampUs, WriterId)>,
    /// How many batches all windows remember.
    remembered: usize,
    /// The last opening that was given up; those before it are over too.
    expired: Option<Opening>,
}

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most {
    windows: usize,
    remembered: usize,
}

impl Default for Writers {
    fn default() -> Self {
        Self::with_most(Most { windows: limits::WRITERS, remembered: limits::WRITER_WINDOWS })
    }
}

impl Writers {
    const fn with_most(most: Most) -> Self {
        Self {
            most,
            windows: BTreeMap::new(),
            openings: BTreeSet::new(),
            uses: BTreeSet::new(),
            remembered: 0,
            expired: None,
        }
    }

    /// The greatest sequence seen of a writer in an epoch, 0 if none.
    pub(super) fn newest(&self, writer: WriterId, epoch: u32) -> u64 {
        self.windows.get(&writer).map_or(0, |window| window.newest(epoch))
    }

    /// Looks a batch up, whose writer was opened at `opened`.
    ///
    /// # Errors
    /// Its writer gave way, its epoch was not begun, or what [`WriterWindow::check`] says.
    pub(super) fn check(
        &self,
        position: WriterPosition,
        opened: TimestampUs,
        payload: &Hash,
    ) -> Result<Verdict> {
        let WriterPosition { writer, .. } = position;
        match self.windows.get(&writer) {
            Some(window) => window.check(position, payload),
            None if self.is_expired(Opening { commit_time: opened, writer }) => {
                Err(Error::Conflict(format!(
                    "writer {writer} gave way to {} opened after it, its epoch is over; open a new one",
                    self.most.windows
                )))
            }
            None if position.epoch > FIRST_EPOCH => Err(not_begun(position)),
            None => Ok(Verdict::Fresh),
        }
    }

    /// Remembers an applied batch, and forgets what there is no more room for.
    pub(super) fn remember(
        &mut self,
        position: WriterPosition,
        opened: TimestampUs,
        applied: Remembered,
        batch: &mut KvBatch,
    ) {
        let WriterPosition { writer, epoch, sequence } = position;
        // Put before anything is deleted: a batch that many overtook may be the first that is forgotten.
        batch.put(layout::remembered(writer, epoch, sequence), codec::encode(&applied));
        self.change(writer, batch, |window| window.remember(position, opened, applied));
    }

    /// Ends the epochs of a writer below one; a writer that is not known here gets a window, so that batches of them
    /// that come later are refused. Those of a writer that gave way are refused already.
    pub(super) fn fence(&mut self, fence: Fence, batch: &mut KvBatch) {
        let Fence { writer, epoch, opened } = fence;
        let is_known = self.windows.contains_key(&writer);
        if is_known || !self.is_expired(Opening { commit_time: opened, writer }) {
            self.change(writer, batch, |window| window.begin(epoch, opened));
        }
    }

    fn is_expired(&self, opening: Opening) -> bool {
        self.expired >= Some(opening)
    }

    /// Changes the window of a writer, and makes room where there is too much then.
    fn change(
        &mut self,
        writer: WriterId,
        batch: &mut KvBatch,
        change: impl FnOnce(&mut WriterWindow) -> Vec<u64>,
    ) {
        self.change_one(writer, batch, change);
        while self.windows.len() > self.most.windows
            && let Some(oldest) = self.openings.first().copied()
        {
            self.expire(oldest, batch);
        }
        while self.remembered > self.most.remembered
            && let Some((_, unused)) = self.uses.first().copied()
        {
            self.change_one(unused, batch, WriterWindow::forget);
        }
    }

    /// Changes the window of a writer, makes one if there is none, and stores what became of it; `change` says what
    /// was forgotten.
    fn change_one(
        &mut self,
        writer: WriterId,
        batch: &mut KvBatch,
        change: impl FnOnce(&mut WriterWindow) -> Vec<u64>,
    ) {
        let mut window = self.take(writer);
        let before = window.floor();
        for forgotten in change(&mut window) {
            batch.delete(layout::remembered(writer, before.epoch, forgotten));
        }
        let floor = window.floor();
        if floor != before {
            batch.put(layout::window_floor(writer), codec::encode(&floor));
        }
        self.insert(writer, window);
    }

    /// The window of a writer, an empty one if there is none, which is not counted any more.
    fn take(&mut self, writer: WriterId) -> WriterWindow {
        let Some(window) = self.windows.remove(&writer) else { return WriterWindow::default() };
        self.openings.remove(&Opening { commit_time: window.floor().opened, writer });
        if let Some(used) = window.last_used() {
            self.uses.remove(&(used, writer));
        }
        self.remembered -= window.sequences().len();
        window
    }

    fn insert(&mut self, writer: WriterId, window: WriterWindow) {
        self.openings.insert(Opening { commit_time: window.floor().opened, writer });
        self.uses.extend(window.last_used().map(|used| (used, writer)));
        self.remembered += window.sequences().len();
        self.windows.insert(writer, window);
    }

    fn expire(&mut self, oldest: Opening, batch: &mut KvBatch) {
        let Opening { writer, .. } = oldest;
        let window = self.take(writer);
        for sequence in window.sequences() {
            batch.delete(layout::remembered(writer, window.floor().epoch, sequence));
        }
        batch.delete(layout::window_floor(writer));
        batch.put(layout::expired(), codec::encode(&oldest));
        self.expired = Some(oldest);
    }

    /// What is stored in a tree.
    pub(super) fn restore(kv: &dyn OrderedKv, tree: &str) -> Result<Self> {
        let mut writers = Self::default();
        let mut floors: BTreeMap<WriterId, WindowFloor> = BTreeMap::new();
        each(kv, tree, layout::WINDOW_FLOOR, |key, value| {
            let writer = WriterId(Numbers(key).u64().ok_or_else(layout::damaged_key)?);
            floors.insert(writer, codec::decode("writer window", value)?);
            Ok(())
        })?;
        let mut remembered: BTreeMap<WriterId, BTreeMap<u64, Remembered>> = BTreeMap::new();
        each(kv, tree, layout::REMEMBERED, |key, value| {
            let mut key = Numbers(key);
            let (writer, _epoch, sequence) = key
                .u64()
                .and_then(|writer| Some((writer, key.u32()?, key.u64()?)))
                .ok_or_else(layout::damaged_key)?;
            let batch = codec::decode("remembered batch", value)?;
            remembered.entry(WriterId(writer)).or_default().insert(sequence, batch);
            Ok(())
        })?;
        for (writer, floor) in floors {
            let batches = remembered.remove(&writer).unwrap_or_default();
            writers.insert(writer, WriterWindow::restored(floor, batches));
        }
        each(kv, tree, layout::EXPIRED, |_, value| {
            writers.expired = Some(codec::decode("expired opening", value)?);
            Ok(())
        })?;
        Ok(writers)
    }
}

#[cfg(test)]
mod tests {
    use lineate_storage::kv::MemKv;
    use proptest::prelude::*;

    use super::*;
    use crate::meta;

    const MOST: Most = Most { windows: 3, remembered: 5 };

    #[derive(Debug, Clone)]
    enum Step {
        /// A new writer is opened.
        Open,
        /// One of the openings so far: its writer is opened again. Nobody is told until the fence was applied.
        Resume(prop::sample::Index),
        /// The fence of one of the openings so far arrives in the shard, however late, maybe again.
        Fence(prop::sample::Index),
        /// A batch under one of the openings so far arrives in the shard, however late.
        Send(prop::sample::Index, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let opening = any::<prop::sample::Index>;
        let step = prop_oneof![
            2 => Just(Step::Open),
            1 => opening().prop_map(Step::Resume),
            2 => opening().prop_map(Step::Fence),
            5 => (opening(), 1..7_u64).prop_map(|(opening, sequence)| Step::Send(opening, sequence)),
        ];
        prop::collection::vec(step, 1..60)
    }

    #[test]
    fn of_too_many_batches_those_of_the_writer_used_longest_ago_are_forgotten_and_refused() {
        let mut shard = Writers::with_most(MOST);
        let payload = Hash::of(b"rows");
        let mut send = |writer, sequence, now| {
            let position = WriterPosition { writer: WriterId(writer), epoch: 1, sequence };
            let verdict = shard.check(position, TimestampUs(0), &payload);
            if let Ok(Verdict::Fresh) = verdict {
                let applied = Remembered { payload, commit_time: TimestampUs(now), rows: 1 };
                shard.remember(position, TimestampUs(0), applied, &mut KvBatch::new());
            }
            verdict.is_ok_and(|verdict| verdict == Verdict::Fresh)
        };
        for (now, (writer, sequence)) in (0..).zip([(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1)]) {
            assert!(send(writer, sequence, now));
        }
        let remembered =
            |shard: &Writers, writer| shard.windows.get(&WriterId(writer)).map(|w| w.sequences().len());
        assert!(!send(2, 1, 10), "it is not known any more");
        assert!(send(2, 3, 11), "what comes after it is new");
        assert!(!send(1, 1, 12), "a replay");
        assert_eq!([1, 2, 3].map(|writer| remembered(&shard, writer)), [Some(3), Some(1), Some(1)]);
    }

    #[test]
    fn a_fence_refuses_what_is_below_it_also_of_a_writer_that_was_never_heard_of() {
        let (mut shard, kv) = (Writers::default(), MemKv::new());
        let at = |epoch| WriterPosition { writer: WriterId(7), epoch, sequence: 1 };
        let payload = Hash::of(b"rows");
        let fence = |shard: &mut Writers, epoch: u32| {
            let mut batch = KvBatch::new();
            let opened = TimestampUs(i64::from(epoch) * 10);
            shard.fence(Fence { writer: WriterId(7), epoch, opened }, &mut batch);
            kv.apply("shard", batch.clone()).expect("stores");
            batch.is_empty()
        };
        assert!(!fence(&mut shard, 3));
        assert!(fence(&mut shard, 3), "the same again changes nothing");
        assert!(fence(&mut shard, 2), "one that was overtaken changes nothing");
        assert!(matches!(shard.check(at(2), TimestampUs(20), &payload), Err(Error::Conflict(_))));
        assert_eq!(shard.check(at(3), TimestampUs(30), &payload).expect("in its epoch"), Verdict::Fresh);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice_and_who_may_write_is_never_refused(steps in steps()) {
            let mut issued = meta::Writers::with_most(MOST.windows);
            let mut shard = Writers::with_most(MOST);
            let kv = MemKv::new();
            let payload = Hash::of(b"rows");
            let mut openings: Vec<(WriterId, u32, TimestampUs)> = Vec::new();
            let mut applied: BTreeSet<WriterPosition> = BTreeSet::new();
            let mut fenced: BTreeMap<WriterId, u32> = BTreeMap::new();
            for (now, step) in (1..).zip(steps) {
                let now = TimestampUs(now);
                let mut batch = KvBatch::new();
                match step {
                    Step::Open | Step::Resume(_) => {
                        let resume = match step {
                            Step::Resume(index) if !openings.is_empty() => Some(index.get(&openings).0),
                            _ => None,
                        };
                        let opened = issued.open(Hash::of(b"p"), resume, now, &mut batch);
                        openings.extend(opened.ok().map(|(writer, epoch)| (writer, epoch, now)));
                    }
                    Step::Fence(_) | Step::Send(_, _) if openings.is_empty() => {}
                    Step::Fence(index) => {
                        let (writer, epoch, opened) = *index.get(&openings);
                        shard.fence(Fence { writer, epoch, opened }, &mut batch);
                        let begun = fenced.entry(writer).or_default();
                        *begun = epoch.max(*begun);
                        kv.apply("shard", batch).expect("stores");
                    }
                    Step::Send(index, sequence) => {
                        let (writer, epoch, opened) = *index.get(&openings);
                        let position = WriterPosition { writer, epoch, sequence };
                        let verdict = shard.check(position, opened, &payload);
                        let begun = fenced.get(&writer).copied().unwrap_or(FIRST_EPOCH);
                        let is_newest = issued.get(writer).is_some_and(|state| state.epoch == epoch);
                        let floor = shard.windows.get(&writer).map(WriterWindow::floor).unwrap_or_default();
                        let may_write = is_newest && begun == epoch && sequence > floor.forgotten;
                        prop_assert!(verdict.is_ok() || !may_write, "{position:?}: {verdict:?}");
                        if is_newest && begun == epoch {
                            let of_epoch = applied.iter().filter(|at| (at.writer, at.epoch) == (writer, epoch));
                            let newest = of_epoch.map(|at| at.sequence).max().unwrap_or(0);
                            prop_assert_eq!(shard.newest(writer, epoch), newest, "of {:?}", position);
                        }
                        prop_assert!(verdict.is_err() || begun == epoch, "{position:?}: {verdict:?}");
                        if let Ok(Verdict::Fresh) = verdict {
                            prop_assert!(applied.insert(position), "{position:?} is taken twice");
                            let remembered = Remembered { payload, commit_time: now, rows: 1 };
                            shard.remember(position, opened, remembered, &mut batch);
                            kv.apply("shard", batch).expect("stores");
                        }
                    }
                }
                prop_assert!(shard.windows.len() <= MOST.windows && shard.remembered <= MOST.remembered);
                prop_assert_eq!(shard.windows.len(), shard.openings.len());
                let restored = Writers { most: MOST, ..Writers::restore(&kv, "shard").expect("restores") };
                prop_assert_eq!(&restored, &shard);
            }
        }
    }
}
