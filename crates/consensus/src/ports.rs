//! What consensus asks of its surroundings: a state machine per group, a wall clock, a way to other peers.

use bytes::Bytes;
use lineate_storage::blob::BlobInfo;
use lineate_types::{Hash, TimestampUs};

/// Any error of a port.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The deterministic state of one group. Owned by one apply thread; commands are opaque bytes.
///
/// # Invariants
/// - Entries come in the order of the log, each index once in a run of the process; after a restart they come
///   again from the one after [`StateMachine::applied`].
/// - Commands come with strictly increasing commit times, each above the closed time of the moment.
pub trait StateMachine: Send {
    /// Applies committed entries in order and gives one reply per entry. The effects and the position they
    /// reach, that of the last entry, must become durable in one atomic step, then or later.
    ///
    /// # Errors
    /// An error is fatal: the node refuses all further work. A command that cannot be carried out is not an
    /// error; say so in its reply.
    fn apply(&mut self, entries: &[Committed], reached: Applied) -> Result<Vec<Bytes>, BoxError>;

    /// The position the durable state stands at. Read once, before the first apply.
    fn applied(&self) -> Applied;

    /// Begins a checkpoint, and gives the rest of it, to be done while entries are applied: it makes a blob
    /// durable that holds the whole state as it was at one moment since this call, with its position, and sees to
    /// it that the state itself survives a power loss up to the position of this call. Then the log is cut
    /// behind that position, and names the blob; the one it named before is not needed any more.
    ///
    /// # Errors
    /// An error is fatal, as in [`StateMachine::apply`]. An error of the rest is not: nothing is cut then.
    fn checkpoint(&mut self) -> Result<Checkpointing, BoxError>;
}

/// The long part of [`StateMachine::checkpoint`], done on a thread of its own.
pub type Checkpointing = Box<dyn FnOnce() -> lineate_storage::Result<BlobInfo> + Send>;

/// A position in the log of a group: where a state stands, and by which entries it got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Index of the last applied entry.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The chain over the entries up to this one, `docs/formats/raft-group.md`.
    pub chain: Hash,
}

impl Applied {
    /// The position of the empty state, which no entry made.
    pub const NOTHING: Self = Self { index: 0, term: 0, chain: Hash::from_bytes([0; 32]) };
}

/// One committed entry, as the state machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Position in the log of the group.
    pub index: u64,
    /// The term of the leader that proposed it.
    pub term: u64,
    /// Of a command: its commit time. Of any other entry: the closed time.
    pub commit_time: TimestampUs,
    /// Nothing at or below this time will be committed by this or any later entry.
    pub closed: TimestampUs,
    /// What to apply.
    pub body: Body,
    /// All bytes of the entry, as the log holds them.
    pub data: Bytes,
}

impl Committed {
    /// Bytes it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let payload = match &self.body {
            Body::Command(payload) => payload.len(),
            Body::Closed | Body::Empty => 0,
        };
        size_of::<Self>() + payload
    }
}

/// What a committed entry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A command, as it was proposed.
    Command(Bytes),
    /// The closed time moved; see [`Committed::closed`].
    Closed,
    /// Nothing, besides the applied position moving on.
    Empty,
}

/// The wall clock. It may step in either direction; commit times do not.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> TimestampUs;
}

/// The way to the other peers of this node's groups.
///
/// Frames of one pair of peers must arrive in the order they were sent, or not at all: one ordered stream per
/// pair, and whatever is queued is dropped when it breaks.
pub trait Outbox: Send {
    /// Sends a frame (`docs/formats/raft-message.md`), or drops it; never waits.
    fn send(&mut self, peer: u64, frame: Bytes);
}

/// The outbox of a node whose groups have no other peer.
pub(crate) struct NoPeers;

impl Outbox for NoPeers {
    fn send(&mut self, _peer: u64, _frame: Bytes) {}
}
