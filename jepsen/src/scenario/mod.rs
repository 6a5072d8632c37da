//! The faults: what is done to a server at work, and what is expected afterwards.

pub mod crash;
pub mod full_disk;
mod place;

use std::io::Write;

pub use place::Place;

/// Says how a run goes, on standard error.
pub fn say(what: &str) {
    // A closed pipe cannot be told anything.
    let _ = writeln!(std::io::stderr(), "{what}");
}
