//! Real servers under real faults, few enough of them for the gate; `cargo run -p lineate-jepsen` does many.

mod full_disk;
mod kill;
mod kv_power;
mod lagging_state;
mod power;
mod refusals;

use std::io::Write;

/// Reports a test that this machine cannot run.
fn skip(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
