//! The typed client of Lineate, over a network or inside one process.
//!
//! Invariants:
//! - every command of the binary and every test from outside speaks to a node through this crate alone;
//! - requests that read are repeated, bounded, while a server is unavailable; requests that write are repeated only
//!   where the protocol makes the repetition harmless (a push under a writer position);
//! - messages have a bound both ways.
//!
//! Deliberately absent: formatting for people, files of tables (both are the binary's), and any knowledge of
//! where rows live.

mod admin;
mod catalog;
mod connect;
mod datasets;
mod error;
pub mod ipc;
mod lineage;
mod models;
mod online;
mod push;
mod retry;
mod upload;
mod work;

pub use connect::{Client, DEFAULT_ADDRESS, Endpoint};
pub use datasets::DatasetRows;
pub use error::Error;
pub use lineate_proto::v1;
pub use online::Answer;
pub use push::{PushSummary, Rows, RowsPayload};
pub use upload::{UploadSource, Uploaded};

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
