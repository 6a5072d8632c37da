//! A state machine that writes down what it is given, and a clock that is set by hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use lineate_consensus::{Applied, Body, BoxError, Checkpointing, Clock, Committed, Served, StateMachine};
use lineate_storage::blob::BlobInfo;
use lineate_types::{GroupId, Hash, TimestampUs};

/// What a machine applied; the laws of the port are checked with every entry.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) applied: Applied,
    pub(crate) entries: Vec<Committed>,
}

impl Default for History {
    fn default() -> Self {
        Self { applied: Applied::NOTHING, entries: Vec::new() }
    }
}

impl History {
    pub(crate) fn apply(&mut self, entries: &[Committed], reached: Applied) -> Vec<Bytes> {
        let replies = entries.iter().map(|entry| self.apply_one(entry)).collect();
        let last = entries.last().expect("entries to apply");
        assert_eq!((reached.index, reached.term), (last.index, last.term));
        self.applied = reached;
        replies
    }

    fn apply_one(&mut self, entry: &Committed) -> Bytes {
        if let Some(last) = self.entries.last() {
            assert_eq!(entry.index, last.index + 1, "entries come one after the other");
            assert!(entry.term >= last.term, "terms never fall");
            assert!(entry.closed >= last.closed, "closed times never fall");
        }
        if matches!(entry.body, Body::Command(_)) {
            assert!(entry.commit_time > entry.closed, "a command comes above the closed time");
            let last = self.commands().last().map(|(time, _)| time);
            assert!(last.is_none_or(|last| entry.commit_time > last), "commit times strictly increase");
        } else {
            assert_eq!(entry.commit_time, entry.closed);
        }
        self.entries.push(entry.clone());
        match &entry.body {
            Body::Command(payload) => [&b"re:"[..], payload].concat().into(),
            Body::Closed | Body::Empty => Bytes::new(),
        }
    }

    /// The name of the blob that would hold this.
    pub(crate) fn blob(&self) -> BlobInfo {
        let bytes = format!("{self:?}");
        BlobInfo { hash: Hash::of(bytes.as_bytes()), bytes: bytes.len() as u64 }
    }

    pub(crate) fn commands(&self) -> impl DoubleEndedIterator<Item = (TimestampUs, &Bytes)> {
        self.entries.iter().filter_map(|entry| match &entry.body {
            Body::Command(payload) => Some((entry.commit_time, payload)),
            Body::Closed | Body::Empty => None,
        })
    }
}

/// What goes wrong in a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Trouble {
    #[default]
    None,
    Fails,
    Panics,
    TooFewReplies,
    CheckpointFails,
}

/// The inside of a machine, shared with the test: it survives the driver as a disk would.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) history: History,
    pub(crate) trouble: Trouble,
    pub(crate) batches: usize,
    /// Checkpoints, as blobs would keep them.
    pub(crate) blobs: BTreeMap<Hash, History>,
}

/// A machine whose inside the test can see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine(pub(crate) Arc<Mutex<Inside>>);

impl Machine {
    pub(crate) fn history(&self) -> History {
        self.0.lock().unwrap().history.clone()
    }

    pub(crate) fn applied(&self) -> u64 {
        self.0.lock().unwrap().history.applied.index
    }

    pub(crate) fn served(&self, group: GroupId) -> Served {
        Served { group, machine: Box::new(self.clone()), survey: None }
    }
}

impl StateMachine for Machine {
    fn apply(&mut self, entries: &[Committed], reached: Applied) -> Result<Vec<Bytes>, BoxError> {
        let mut inside = self.0.lock().unwrap();
        match inside.trouble {
            Trouble::None | Trouble::CheckpointFails => {}
            Trouble::Fails => return Err("its disk is gone".into()),
            Trouble::TooFewReplies => return Ok(Vec::new()),
            Trouble::Panics => {
                drop(inside);
                panic!("a broken invariant")
            }
        }
        inside.batches += 1;
        Ok(inside.history.apply(entries, reached))
    }

    fn applied(&self) -> Applied {
        self.0.lock().unwrap().history.applied
    }

    fn checkpoint(&mut self) -> Result<Checkpointing, BoxError> {
        let inside = Arc::clone(&self.0);
        Ok(Box::new(move || {
            let mut inside = inside.lock().unwrap();
            if inside.trouble == Trouble::CheckpointFails {
                let full = std::io::ErrorKind::StorageFull.into();
                return Err(lineate_storage::Error::io("write", "a blob", full));
            }
            let history = inside.history.clone();
            let blob = history.blob();
            inside.blobs.insert(blob.hash, history);
            Ok(blob)
        }))
    }
}

/// A clock that stands still until it is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn at(us: i64) -> Self {
        Self(Arc::new(AtomicI64::new(us)))
    }

    pub(crate) fn advance(&self, us: i64) {
        self.0.fetch_add(us, Ordering::AcqRel);
    }
}

impl Clock for HandClock {
    fn now(&self) -> TimestampUs {
        TimestampUs(self.0.load(Ordering::Acquire))
    }
}
