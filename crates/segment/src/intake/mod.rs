//! Foreign data, turned into canonical batches exactly or refused.
//!
//! Rows of a view come through [`Intake`], spines through [`SpineIntake`]; both take Arrow batches and files
//! (Parquet, Arrow IPC, NDJSON, CSV, told apart by content). Bytes that claim to be Arrow IPC come through
//! [`decode_ipc_stream`] and [`IpcDecoder`].
//!
//! Invariants:
//! - a value is taken exactly or the whole batch is refused; nothing is rounded, cut, guessed or filled in;
//! - an error names the column, what was expected and what was found; for a value also the row or line,
//!   counted from 1, and for a file its name;
//! - hostile bytes give an error, never a panic or an allocation larger than the bytes themselves warrant.
//!
//! Deliberately absent: which shard owns a row, and commit times (see `lineate-state`).

mod convert;
mod empty;
mod file;
mod ipc;
mod keys;
mod refusal;
mod rows;
mod spine;
mod text;
mod unwinding;
mod value;

pub use file::{FileFormat, ForeignFile, IntakeBatches};
pub use ipc::{IpcDecoder, IpcLimits, decode_ipc_stream, encode_ipc};
pub use keys::convert_keys;
pub use rows::Intake;
pub use spine::SpineIntake;
