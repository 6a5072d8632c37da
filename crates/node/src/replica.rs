//! One group's state machine with its stored form: what consensus applies, what everybody else reads.
//!
//! Invariants:
//! - the effects of a drain and its applied index are one kv batch, so that a crash leaves a prefix of the log;
//! - readers see whole drains only.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, TryLockError};

use bytes::Bytes;
use lineate_consensus::{Applied, Body, BoxError, Committed, StateMachine};
use lineate_state::{Position, codec};
use lineate_storage::kv::{KvBatch, OrderedKv};
use lineate_types::GroupId;
use minicbor::{Decode, Encode};
use tokio::sync::Notify;

use crate::Result;

/// A machine of `lineate-state`.
pub(crate) trait Machine: Send + Sync + Sized + 'static {
    /// What it answers.
    type Reply: Encode<()> + for<'b> Decode<'b, ()>;

    /// Reads it back.
    fn restore(kv: &dyn OrderedKv, tree: &str) -> lineate_state::Result<Self>;

    /// Applies one command.
    fn apply(
        &mut self,
        at: Position,
        command: &[u8],
        batch: &mut KvBatch,
    ) -> lineate_state::Result<Self::Reply>;
}

impl Machine for lineate_state::meta::MetaMachine {
    type Reply = lineate_state::meta::MetaReply;

    fn restore(kv: &dyn OrderedKv, tree: &str) -> lineate_state::Result<Self> {
        Self::restore(kv, tree)
    }

    fn apply(
        &mut self,
        at: Position,
        command: &[u8],
        batch: &mut KvBatch,
    ) -> lineate_state::Result<Self::Reply> {
        self.apply(at, command, batch)
    }
}

impl Machine for lineate_state::shard::ShardMachine {
    type Reply = lineate_state::shard::ShardReply;

    fn restore(kv: &dyn OrderedKv, tree: &str) -> lineate_state::Result<Self> {
        Self::restore(kv, tree)
    }

    fn apply(
        &mut self,
        at: Position,
        command: &[u8],
        batch: &mut KvBatch,
    ) -> lineate_state::Result<Self::Reply> {
        self.apply(at, command, batch)
    }
}

/// A machine that is read while it is applied to.
pub struct Shared<M>(Arc<RwLock<M>>);

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Shared<M> {
    /// Reads. The guard holds applying up: keep it short, never across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, M> {
        // A writer that panicked ended the process's usefulness already: consensus refuses all work then, and
        // readers see the last whole state.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads if nothing is being applied.
    pub(crate) fn try_read(&self) -> Option<RwLockReadGuard<'_, M>> {
        match self.0.try_read() {
            Ok(machine) => Some(machine),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// The applying side of a machine.
pub(crate) struct Replica<M> {
    machine: Shared<M>,
    kv: Arc<dyn OrderedKv>,
    tree: String,
    /// Where the stored state stands. Entries without commands change no state, so they need not be stored: they
    /// are met again after a restart.
    stored: StoredPosition,
    changed: Arc<Notify>,
    follower: Option<Follower<M>>,
}

/// Told of every drain with commands before anybody reads its outcome; must return soon.
pub(crate) type Follower<M> = Box<dyn Fn(&M) + Send + Sync>;

/// `a` → where the stored state stands in the log.
const APPLIED: &[u8] = b"a";

#[derive(Debug, Clone, Copy, Default, Encode, Decode)]
struct StoredPosition {
    #[n(0)]
    index: u64,
    #[n(1)]
    term: u64,
}

impl<M: Machine> Replica<M> {
    /// Reads a group's state back. `changed` is notified after every drain with commands.
    ///
    /// # Errors
    /// What is stored is damaged or was written by a newer release.
    pub(crate) fn restore(
        kv: Arc<dyn OrderedKv>,
        group: GroupId,
        changed: Arc<Notify>,
    ) -> Result<(Self, Shared<M>)> {
        let tree = tree_of(group);
        let applied = match kv.get(&tree, APPLIED)? {
            Some(bytes) => codec::decode("applied position", &bytes)?,
            None => StoredPosition::default(),
        };
        let machine = Shared(Arc::new(RwLock::new(M::restore(kv.as_ref(), &tree)?)));
        let shared = machine.clone();
        Ok((Self { machine, kv, tree, stored: applied, changed, follower: None }, shared))
    }

    /// Lets somebody follow what is applied from now on.
    pub(crate) fn followed_by(self, follower: impl Fn(&M) + Send + Sync + 'static) -> Self {
        Self { follower: Some(Box::new(follower)), ..self }
    }
}

/// The kv tree of a group.
pub(crate) fn tree_of(group: GroupId) -> String {
    format!("group-{group}")
}

impl<M: Machine> StateMachine for Replica<M> {
    fn apply(&mut self, entries: &[Committed]) -> std::result::Result<Vec<Bytes>, BoxError> {
        let mut batch = KvBatch::new();
        let mut replies = Vec::with_capacity(entries.len());
        let mut machine = self.machine.0.write().map_err(|_| "the state is poisoned by an earlier panic")?;
        for entry in entries {
            let reply = match &entry.body {
                Body::Command(command) => {
                    let at = Position { index: entry.index, commit_time: entry.commit_time };
                    Bytes::from(codec::encode(&machine.apply(at, command, &mut batch)?))
                }
                Body::Closed | Body::Empty => Bytes::new(),
            };
            replies.push(reply);
        }
        let is_command = |entry: &&Committed| matches!(entry.body, Body::Command(_));
        let Some(last) = entries.iter().rfind(is_command) else { return Ok(replies) };
        let position = StoredPosition { index: last.index, term: last.term };
        batch.put(APPLIED, codec::encode(&position));
        if let Some(follower) = &self.follower {
            follower(&machine);
        }
        // The log is the authority, and has these entries: nobody needs to wait for the stored form to read them.
        drop(machine);
        self.kv.apply(&self.tree, batch)?;
        self.stored = position;
        self.changed.notify_one();
        Ok(replies)
    }

    fn applied(&self) -> Applied {
        Applied { index: self.stored.index, term: self.stored.term }
    }

    fn durable(&self) -> std::result::Result<u64, BoxError> {
        self.kv.sync()?;
        Ok(self.stored.index)
    }
}
