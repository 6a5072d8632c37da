//! Replication of opaque commands: Raft groups, commit times, linearizable reads.
//!
//! A synchronous core without I/O, clock or randomness of its own ([`core`]) wraps raft-rs; a driver
//! ([`Driver`]) gives it threads, one log for all groups and the wall clock. Callers hold a [`Handle`]; the
//! state of a group is a [`StateMachine`]. Invariants:
//! - a command is answered only when it is durable on a quorum and applied;
//! - commit times of a group strictly increase in the order of its log, through crashes, leaders and clocks
//!   that step back;
//! - no command gets a commit time at or below a closed time, nor at or below a time a read was answered at;
//! - a log is cut only behind a checkpoint, and names it in the write that cuts;
//! - a state goes on only if the entries of this log made it: its chain says so ([`standing`]);
//! - what reaches Raft's own structures from a network or a disk went through our bounded codecs;
//! - after a failure of the log, of a state machine or of raft-rs, all work is refused.
//!
//! Deliberately absent: what a command means; changes of membership and snapshots.

mod chain;
mod codec;
pub mod core;
mod driver;
mod error;
mod options;
mod ports;

pub use core::{GroupStatus, ReadPoint, Standing, Survey, checkpoint, standing};
pub use driver::{Driver, Failure, Handle, Reply, Served};
pub use error::{Error, Result};
pub use options::Options;
pub use ports::{Applied, Body, BoxError, Checkpointing, Clock, Committed, Outbox, StateMachine};
