//! What a shard remembers of each idempotent writer: enough to answer a replay, to refuse a conflict, and to
//! refuse what is too old to know about.

use std::collections::BTreeMap;

use lineate_types::{Hash, TimestampUs, WriterPosition, limits};
use minicbor::{Decode, Encode};

use super::command::Written;
use crate::Error;

/// One writer's window in one shard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriterWindow {
    floor: WindowFloor,
    remembered: BTreeMap<u64, Remembered>,
}

/// Where a window begins. Stored apart from what it remembers, so that a batch stores one small value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct WindowFloor {
    /// The epoch; lower ones are over.
    #[n(0)]
    pub epoch: u32,
    /// Sequences at or below this one are no longer remembered.
    #[n(1)]
    pub forgotten: u64,
    /// When the writer was opened in this epoch.
    #[cbor(n(2), default)]
    pub opened: TimestampUs,
}

/// An applied batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Remembered {
    /// The hash of what it carried: the history and the rows.
    #[n(0)]
    pub payload: Hash,
    /// The commit time of its rows.
    #[n(1)]
    pub commit_time: TimestampUs,
    /// Its rows.
    #[n(2)]
    pub rows: u64,
}

/// What the window says of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was not seen here: apply it, then remember it.
    Fresh,
    /// It was applied before, with the same payload.
    Replayed(Written),
}

impl WriterWindow {
    /// A window read back from a store.
    pub fn restored(floor: WindowFloor, remembered: BTreeMap<u64, Remembered>) -> Self {
        Self { floor, remembered }
    }

    /// Where it begins.
    pub fn floor(&self) -> WindowFloor {
        self.floor
    }

    /// The greatest sequence seen in an epoch, 0 if none.
    pub fn newest(&self, epoch: u32) -> u64 {
        match self.floor.epoch == epoch {
            true => self.remembered.keys().next_back().copied().unwrap_or(0).max(self.floor.forgotten),
            false => 0,
        }
    }

    /// Looks a batch up.
    ///
    /// # Errors
    /// Its epoch is over or not begun, its sequence carries another payload here, or it is older than the window.
    pub fn check(&self, position: WriterPosition, payload: &Hash) -> Result<Verdict, Error> {
        let WriterPosition { writer, epoch, sequence } = position;
        if epoch < self.floor.epoch {
            return Err(Error::Conflict(format!(
                "writer {writer} is in epoch {}, this batch is of epoch {epoch}; open the writer again",
                self.floor.epoch
            )));
        }
        if epoch > self.floor.epoch {
            return Err(not_begun(position));
        }
        match self.remembered.get(&sequence) {
            Some(seen) if seen.payload == *payload => Ok(Verdict::Replayed(Written {
                commit_time: seen.commit_time,
                rows: seen.rows,
                replayed: true,
            })),
            Some(_) => Err(Error::Conflict(format!(
                "writer {writer} sent sequence {sequence} before with another payload; a sequence names one batch for ever"
            ))),
            None if sequence <= self.floor.forgotten => Err(Error::Conflict(format!(
                "sequence {sequence} of writer {writer} is not remembered, only those after {} are; whether it was applied is no longer known",
                self.floor.forgotten
            ))),
            None => Ok(Verdict::Fresh),
        }
    }

    /// The sequences remembered, ascending.
    pub fn sequences(&self) -> impl ExactSizeIterator<Item = u64> {
        self.remembered.keys().copied()
    }

    /// The commit time of the greatest sequence remembered; none if none is.
    pub fn last_used(&self) -> Option<TimestampUs> {
        self.remembered.last_key_value().map(|(_, newest)| newest.commit_time)
    }

    /// Forgets every batch, but not which sequence was the newest: later ones are taken, no earlier one is. Says
    /// which were forgotten.
    pub fn forget(&mut self) -> Vec<u64> {
        self.floor.forgotten = self.newest(self.floor.epoch);
        std::mem::take(&mut self.remembered).into_keys().collect()
    }

    /// Begins an epoch, opened at `opened`, if it is a later one, and says which sequences that makes it forget: all.
    pub fn begin(&mut self, epoch: u32, opened: TimestampUs) -> Vec<u64> {
        if epoch <= self.floor.epoch {
            return Vec::new();
        }
        self.floor = WindowFloor { epoch, forgotten: 0, opened };
        std::mem::take(&mut self.remembered).into_keys().collect()
    }

    /// Remembers an applied batch of a writer opened at `opened`, and says which sequences that makes it forget.
    pub fn remember(&mut self, position: WriterPosition, opened: TimestampUs, batch: Remembered) -> Vec<u64> {
        let mut forgotten = self.begin(position.epoch, opened);
        self.remembered.insert(position.sequence, batch);
        while self.remembered.len() as u64 > limits::WRITER_WINDOW {
            if let Some((sequence, _)) = self.remembered.pop_first() {
                self.floor.forgotten = sequence;
                forgotten.push(sequence);
            }
        }
        forgotten
    }
}

/// Only a fence begins an epoch after the first, and who opened the writer is told of it when every shard has it.
pub(super) fn not_begun(position: WriterPosition) -> Error {
    let WriterPosition { writer, epoch, .. } = position;
    Error::Conflict(format!("epoch {epoch} of writer {writer} was not begun here; open the writer again"))
}

#[cfg(test)]
mod tests {
    use lineate_types::WriterId;

    use super::*;

    const OPENED: TimestampUs = TimestampUs(5);

    fn at(epoch: u32, sequence: u64) -> WriterPosition {
        WriterPosition { writer: WriterId(1), epoch, sequence }
    }

    fn batch(payload: &[u8], time: i64) -> Remembered {
        Remembered { payload: Hash::of(payload), commit_time: TimestampUs(time), rows: 3 }
    }

    #[test]
    fn a_replay_gets_the_first_answer_and_another_payload_is_a_conflict() {
        let mut window = WriterWindow::default();
        window.remember(at(1, 1), OPENED, batch(b"a", 10));
        let replayed = Written { commit_time: TimestampUs(10), rows: 3, replayed: true };
        assert_eq!(window.check(at(1, 1), &Hash::of(b"a")).expect("known"), Verdict::Replayed(replayed));
        assert!(matches!(window.check(at(1, 1), &Hash::of(b"b")), Err(Error::Conflict(_))));
        assert_eq!(window.check(at(1, 2), &Hash::of(b"b")).expect("new"), Verdict::Fresh);
    }

    #[test]
    fn only_the_epoch_that_was_begun_is_taken_and_a_new_one_starts_over() {
        let mut window = WriterWindow::default();
        window.remember(at(2, 7), OPENED, batch(b"a", 10));
        assert!(matches!(window.check(at(1, 8), &Hash::of(b"b")), Err(Error::Conflict(_))));
        assert!(matches!(window.check(at(3, 1), &Hash::of(b"c")), Err(Error::Conflict(_))));
        assert_eq!(window.begin(3, OPENED), [7]);
        assert_eq!(window.check(at(3, 1), &Hash::of(b"c")).expect("new epoch"), Verdict::Fresh);
        assert_eq!(window.remember(at(3, 1), OPENED, batch(b"c", 11)), [0; 0]);
        assert_eq!((window.newest(3), window.newest(2)), (1, 0));
    }

    #[test]
    fn what_is_older_than_the_window_is_refused_not_applied_again() {
        let mut window = WriterWindow::default();
        for sequence in 1..=limits::WRITER_WINDOW + 5 {
            window.remember(at(1, sequence), OPENED, batch(b"a", 10));
        }
        assert!(matches!(window.check(at(1, 5), &Hash::of(b"a")), Err(Error::Conflict(_))));
        assert!(matches!(window.check(at(1, 6), &Hash::of(b"a")), Ok(Verdict::Replayed(_))));
    }
}
