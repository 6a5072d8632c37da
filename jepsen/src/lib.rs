//! The real binary under real faults: processes killed, power cut, disks full or lying, clients that vanish.
//!
//! A run sets clients to work on a `lineate serve` process ([`workload`]), breaks something ([`scenario`]), and holds
//! what comes back against what was asked and answered ([`history`], [`check`]). [`watch`] tells what the server does
//! by itself meanwhile. [`lossyfs`] is the disk that can lose its power. Everything random comes from a seed that is
//! printed; the moment of a crash is real time, so a seed repeats the workload and the plan, not every interleaving.
//!
//! Invariants: nothing here knows how the store works inside; it speaks to it through the client, the command
//! line, signals, the server's log and the file system alone.

pub mod binary;
pub mod check;
pub mod error;
pub mod history;
pub mod http;
pub mod lossyfs;
pub mod random;
pub mod scenario;
pub mod server;
pub mod table;
pub mod tmpfs;
pub mod watch;
pub mod workload;

pub use error::{Error, Result};
