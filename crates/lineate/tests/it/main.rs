//! The binary as people and scripts use it: real processes, a real server on a loopback port, real files.

#![allow(clippy::panic, reason = "a helper that fails its test says why")]

mod dataset;
mod descriptors;
mod erase;
mod errors;
mod help;
mod interrupt;
mod job;
mod program;
mod serve;
mod show;
