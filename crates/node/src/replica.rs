//! One group's state machine with its stored form: what consensus applies, what everybody else reads.
//!
//! Invariants:
//! - the effects of a drain and the position they reach are part of one kv batch, so that a crash leaves a prefix of
//!   the log ([`storing`](crate::storing));
//! - readers see whole drains only.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, TryLockError};

use bytes::Bytes;
use lineate_consensus::{Applied, Body, BoxError, Checkpointing, Committed, StateMachine};
use lineate_state::{Position, codec};
use lineate_storage::{
    blob::BlobStore,
    kv::{KvBatch, OrderedKv},
};
use lineate_types::GroupId;
use minicbor::{Decode, Encode};
use tokio::sync::Notify;

use crate::{
    Result,
    checkpoint::{StoredTree, tree_of},
    storing::{StoredLater, Storing},
};

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
    tree: Arc<StoredLater>,
    blobs: Arc<dyn BlobStore>,
    /// The last entry that was given. Entries without commands change no state, so they are not stored at once: they
    /// are met again after a restart.
    seen: Applied,
    changed: Arc<Notify>,
    follower: Option<Follower<M>>,
}

/// Told of every drain with commands before anybody reads its outcome; must return soon.
pub(crate) type Follower<M> = Box<dyn Fn(&M) + Send + Sync>;

impl<M: Machine> Replica<M> {
    /// Reads a group's state back; what changes it is stored by `storing`. `changed` is notified after every drain with
    /// commands.
    ///
    /// # Errors
    /// What is stored is damaged or was written by a newer release.
    pub(crate) fn restore(
        kv: Arc<dyn OrderedKv>,
        storing: &Storing,
        blobs: Arc<dyn BlobStore>,
        group: GroupId,
        changed: Arc<Notify>,
    ) -> Result<(Self, Shared<M>)> {
        let machine = Shared(Arc::new(RwLock::new(M::restore(kv.as_ref(), &tree_of(group))?)));
        let tree = storing.tree(StoredTree::open(kv, group)?);
        let shared = machine.clone();
        let seen = tree.position();
        Ok((Self { machine, tree, blobs, seen, changed, follower: None }, shared))
    }

    /// Lets somebody follow what is applied from now on.
    pub(crate) fn followed_by(self, follower: impl Fn(&M) + Send + Sync + 'static) -> Self {
        Self { follower: Some(Box::new(follower)), ..self }
    }
}

impl<M: Machine> StateMachine for Replica<M> {
    fn apply(
        &mut self,
        entries: &[Committed],
        reached: Applied,
    ) -> std::result::Result<Vec<Bytes>, BoxError> {
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
        self.seen = reached;
        let is_command = |entry: &Committed| matches!(entry.body, Body::Command(_));
        if !entries.iter().any(is_command) {
            return Ok(replies);
        }
        if let Some(follower) = &self.follower {
            follower(&machine);
        }
        drop(machine);
        self.tree.change(batch, self.seen)?;
        self.changed.notify_one();
        Ok(replies)
    }

    fn applied(&self) -> Applied {
        self.tree.position()
    }

    fn checkpoint(&mut self) -> std::result::Result<Checkpointing, BoxError> {
        Ok(self.tree.checkpoint(self.seen, &self.blobs)?)
    }
}
