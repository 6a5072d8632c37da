//! The synchronous core of one group: raft-rs, commit times and reads, without threads, I/O or a clock.
//!
//! The caller owns the world: it passes the time in, and carries out what comes out. The order it must keep
//! per group, each time [`Group::ready`] gives [`Effects`]:
//! 1. send [`Effects::send`];
//! 2. make [`Effects::persist`] durable, batches in the order of their numbers, many groups in one sync;
//! 3. call [`Group::persisted`], then send what it returns;
//! 4. apply [`Effects::apply`] in order and call [`Group::applied`].
//!
//! Between two of these rounds a [`ReadGrant`] may be out, and reads be answered with it alone; whoever holds it gives
//! it back before the next.
//!
//! It need not wait for one step to begin another ready: steps 2 and 4 may lag behind. Reading the log is the
//! only I/O here, through [`RaftLog`](lineate_storage::log::RaftLog), and only for entries that are neither
//! new nor unapplied.
//!
//! Deliberately absent: changes of membership, snapshots, follower reads. A replicated group therefore never
//! cuts its log.

mod effects;
mod founding;
mod grant;
mod group;
mod journal;
mod leader;
mod reads;
mod survey;
mod times;
mod view;

pub use effects::{Effects, GroupStatus, Outgoing, Persist, ReadPoint, Refusal, Ticket};
pub use founding::{checkpoint, founding};
pub use grant::ReadGrant;
pub use group::{CutPlace, Group};
pub use leader::{Draft, ReadsDone};
pub use reads::ReadBatch;
pub use survey::{Standing, Survey, standing};
pub(crate) use times::LogTimes;

pub use crate::codec::message::PeerMessage;
