//! Lookups through a real node: real log, real kv, real blobs, in a temporary directory.

mod background;
mod cache;
mod checkpoints;
mod concurrent_lookups;
mod contracts;
mod cut_off;
mod epochs;
mod removal;
mod reserve;
mod sealed_texts;
mod shared_files;
mod store;
mod unsealed;
mod verify;
