//! The claims of the ledger, as tests.

mod arbitrary;
mod canonical;
mod graph;
mod merkle;
mod record;
mod render;
mod samples;
mod walk;
