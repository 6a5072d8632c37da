//! The wire: messages and services generated from `proto/lineate/v1`, and what they mean in the vocabulary.
//!
//! Invariants:
//! - [`status`] is the only table between error kinds, gRPC codes and HTTP statuses, for server and client;
//! - a value that converts to a message and back is itself; a message that means nothing is an error here, never
//!   a default.
//!
//! Deliberately absent: behaviour. The server implements the services, the client calls them.

pub mod any;
mod convert;
mod error;
pub mod reference;
pub mod status;
pub mod v1;

pub use convert::{cell_status, hash, match_mode};
pub use error::Error;
pub use reference::Reference;
