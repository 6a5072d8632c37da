//! Peers: other people's programs that do the same work on the same data in the same run.

pub mod python;
pub mod redis;
mod resp;
