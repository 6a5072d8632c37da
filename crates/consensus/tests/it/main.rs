//! Consensus from outside: the driver of a lone node, and simulated clusters of the bare core.

// Helpers of tests may fail as tests may.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cluster;
mod driver;
mod faults;
mod machine;
mod peers;
mod safety;
mod times;
