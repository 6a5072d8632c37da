//! Everything of Lineate that touches a disk, as ports: the Raft log, ordered keys and values, blobs.
//!
//! Each port is a trait with a real engine ([`log::FileLog`], [`kv::SledKv`], [`blob::DirBlobs`]) and an
//! in-memory twin whose disk fails on demand ([`log::MemLog`], [`kv::MemKv`], [`blob::MemBlobs`]). Keys and
//! values have a second engine, [`kv::RedbKv`], that no store uses yet (ADR 0006). One conformance suite per port
//! runs against every implementation. Invariants:
//! - what is reported durable is durable: file and directory are synced before a call returns;
//! - bytes are verified when they are read; what does not verify is [`Error::Corrupt`], never a guess;
//! - a full disk refuses a write and leaves the store usable; a failed sync ends it until it is reopened;
//! - every byte on disk is described in `docs/formats/`, and an unknown version is refused.
//!
//! Deliberately absent: the meaning of any payload, clocks, and background threads that write.

pub mod blob;
mod data_dir;
mod descriptors;
pub mod disk;
mod error;
pub mod kv;
pub mod log;
pub mod sealed;
mod seed;

pub use data_dir::{DataDir, DiskUsage, OpenMode, available_bytes};
pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use error::{Error, Result};
pub use seed::Seed;
