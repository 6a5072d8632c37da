//! Idempotent writers: issued once, opened again by whom they belong to, and bounded.
//!
//! Invariants:
//! - a number is issued once, also when the writer that had it is gone;
//! - a writer belongs to an agent, which is who a principal is until their name is erased: who comes back after that is
//!   another agent, and gets writers of its own;
//! - of more than [`limits::WRITERS`] the one opened longest ago gives way, and never writes again.

use std::collections::{BTreeMap, BTreeSet};

use lineate_storage::kv::{KvBatch, OrderedKv};
use lineate_types::{Hash, TimestampUs, WriterId, limits};
use minicbor::{Decode, Encode};

use super::layout;
use crate::{Error, Result, codec, opening::Opening, scan::each};

/// Who a writer belongs to and how often it started.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WriterState {
    /// Who it was issued to: the commitment to the principal's name.
    #[n(0)]
    pub agent: Hash,
    /// The epoch it is in.
    #[n(1)]
    pub epoch: u32,
    /// The commit time of its last opening.
    #[cbor(n(2), default)]
    pub opened: TimestampUs,
}

/// The writers that may write.
#[derive(Debug, PartialEq, Eq)]
pub struct Writers {
    /// How many there may be.
    most: usize,
    states: BTreeMap<WriterId, WriterState>,
    /// One for each of the states.
    openings: BTreeSet<Opening>,
}

impl Default for Writers {
    fn default() -> Self {
        Self::with_most(limits::WRITERS)
    }
}

impl Writers {
    /// No writers yet, and never more than `most`.
    pub(crate) const fn with_most(most: usize) -> Self {
        Self { most, states: BTreeMap::new(), openings: BTreeSet::new() }
    }

    /// A writer that may write.
    pub fn get(&self, writer: WriterId) -> Option<&WriterState> {
        self.states.get(&writer)
    }

    /// Whether a writer was ever issued. One that was, and may not write, gave way to later ones.
    pub fn was_issued(&self, writer: WriterId) -> bool {
        (1..=self.last_issued().0).contains(&writer.0)
    }

    /// The last writer issued; it is there, for only a later one makes it give way. 0 is none: it stands for rows
    /// without a writer.
    fn last_issued(&self) -> WriterId {
        self.states.last_key_value().map_or(WriterId(0), |(writer, _)| *writer)
    }

    /// Issues a writer, or opens one again in its next epoch.
    pub(crate) fn open(
        &mut self,
        agent: Hash,
        resume: Option<WriterId>,
        at: TimestampUs,
        batch: &mut KvBatch,
    ) -> Result<(WriterId, u32)> {
        let (writer, epoch) = match resume {
            None => (WriterId(self.last_issued().0 + 1), 1),
            Some(writer) => (writer, self.next_epoch(writer, agent)?),
        };
        let state = WriterState { agent, epoch, opened: at };
        batch.put(layout::writer(writer), codec::encode(&state));
        self.insert(writer, state);
        while self.states.len() > self.most
            && let Some(oldest) = self.openings.pop_first()
        {
            self.states.remove(&oldest.writer);
            batch.delete(layout::writer(oldest.writer));
        }
        Ok((writer, epoch))
    }

    fn next_epoch(&self, writer: WriterId, agent: Hash) -> Result<u32> {
        let missing = |hint: &str| Error::NotFound {
            what: "writer".into(),
            name: writer.to_string(),
            hint: hint.into(),
        };
        match self.states.get(&writer) {
            Some(state) if state.agent != agent => Err(Error::PermissionDenied(format!(
                "writer {writer} was issued to another principal, or to you before your name was erased; open a new one"
            ))),
            Some(state) => state.epoch.checked_add(1).ok_or_else(|| {
                Error::ResourceExhausted(format!("writer {writer} had every epoch there is; open a new one"))
            }),
            None if self.was_issued(writer) => {
                Err(missing(" any more: it gave way to writers opened after it; open a new one"))
            }
            None => Err(missing("; open a new one")),
        }
    }

    /// Adds a writer, or changes one.
    fn insert(&mut self, writer: WriterId, state: WriterState) {
        let opening = Opening { commit_time: state.opened, writer };
        if let Some(before) = self.states.insert(writer, state) {
            self.openings.remove(&Opening { commit_time: before.opened, writer });
        }
        self.openings.insert(opening);
    }

    /// What is stored in a tree.
    pub(super) fn restore(kv: &dyn OrderedKv, tree: &str) -> Result<Self> {
        let mut writers = Self::default();
        each(kv, tree, layout::WRITER, |key, value| {
            let writer = WriterId(layout::read_number(key)?);
            writers.insert(writer, codec::decode("writer", value)?);
            Ok(())
        })?;
        Ok(writers)
    }
}

#[cfg(test)]
mod tests {
    use lineate_storage::kv::MemKv;
    use lineate_types::{ErrorKind, HasKind};

    use super::*;

    /// Writers beside the store they are kept in.
    struct Host {
        writers: Writers,
        kv: MemKv,
        now: i64,
    }

    impl Host {
        fn open(&mut self, agent: &str, resume: Option<u64>) -> std::result::Result<(u64, u32), ErrorKind> {
            self.now += 1;
            let mut batch = KvBatch::new();
            let agent = Hash::of(agent.as_bytes());
            let opened = self.writers.open(agent, resume.map(WriterId), TimestampUs(self.now), &mut batch);
            self.kv.apply("meta", batch).expect("stores");
            let restored = Writers::restore(&self.kv, "meta").expect("restores");
            assert_eq!(Writers { most: self.writers.most, ..restored }, self.writers);
            opened.map(|(writer, epoch)| (writer.0, epoch)).map_err(|error| error.kind())
        }

        fn may_write(&self) -> Vec<u64> {
            self.writers.states.keys().map(|writer| writer.0).collect()
        }
    }

    fn host(most: usize) -> Host {
        Host { writers: Writers::with_most(most), kv: MemKv::new(), now: 0 }
    }

    #[test]
    fn of_too_many_writers_the_one_opened_longest_ago_gives_way() {
        let mut host = host(2);
        assert_eq!(host.open("p", None), Ok((1, 1)));
        assert_eq!(host.open("p", None), Ok((2, 1)));
        assert_eq!(host.open("p", Some(1)), Ok((1, 2)));
        assert_eq!(host.open("p", None), Ok((3, 1)));
        assert_eq!(host.may_write(), [1, 3]);
        assert_eq!(host.open("p", Some(2)), Err(ErrorKind::NotFound));
        assert!(host.writers.was_issued(WriterId(2)));
        assert!(!host.writers.was_issued(WriterId(0)) && !host.writers.was_issued(WriterId(4)));
    }

    #[test]
    fn a_number_is_issued_once_though_its_writer_gave_way() {
        let mut host = host(2);
        assert_eq!(host.open("p", None), Ok((1, 1)));
        for number in 2..6 {
            assert_eq!(host.open("p", None), Ok((number, 1)));
            assert_eq!(host.open("p", Some(1)), Ok((1, number as u32)));
        }
        assert_eq!(host.may_write(), [1, 5]);
    }

    #[test]
    fn another_agent_cannot_open_a_writer_again() {
        let mut host = host(2);
        assert_eq!(host.open("p", None), Ok((1, 1)));
        assert_eq!(host.open("q", Some(1)), Err(ErrorKind::PermissionDenied));
        assert_eq!(host.open("p", Some(1)), Ok((1, 2)));
    }
}
