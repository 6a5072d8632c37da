//! The benchmarks: what Lineate does per second and how long it takes, beside floors and peers of the same run.
//!
//! Where to look: `workload` holds one file for each thing measured, `load` the loops that measure, `floor` and `peer`
//! what stands beside, `report` the page that comes of it.
//!
//! Invariants:
//! - the server is the real program in a process of its own, on an empty data directory and the loopback device;
//! - a figure is taken several times and told with its least and greatest; what cannot run is told with its reason;
//! - answers are checked before they are timed, and peers' answers are held against ours.
//!
//! Deliberately absent: figures that stand alone. Machines are shared; only ratios within one run mean something.

pub mod data;
mod error;
pub mod floor;
pub mod load;
pub mod peer;
pub mod process;
pub mod report;
pub mod scale;
pub mod server;
pub mod workload;

pub use error::{Error, Result};
