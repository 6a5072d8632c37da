//! A file system that can lose its power: what was not synced is gone, or torn.
//!
//! The model is the promise of POSIX, not the kindness of one file system:
//! - bytes and length of a file are durable after `fsync` of the file;
//! - a name (create, rename, unlink, mkdir) is durable after `fsync` of its directory. Changes to one directory
//!   become durable in their order; a rename between two directories is one change of both, so that syncing one
//!   of them never leaves a file with two names or none;
//! - `sync_file_range` syncs nothing, as it promises nothing.
//!
//! Of what was not synced, either nothing survives, or any sectors, lengths and any first part of the changes of
//! names, by a seed. Deliberately absent: hard and symbolic links, permissions, attributes, times.

mod content;
mod disk;
mod mount;
mod survival;

pub use content::{Content, PAGE_BYTES, SECTOR_BYTES};
pub use disk::{Disk, Fault, Found, ROOT};
pub use mount::{LossyFs, Mounted};
pub use survival::Survival;
