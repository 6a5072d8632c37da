//! The steps of the demo, one file each. A step speaks to the node through the client, and returns what it saw as
//! a report: every figure in it is from a reply, or was measured on the way.

pub(super) mod build;
pub(super) mod define;
pub(super) mod generate;
pub(super) mod ingest;
mod lineage_tree;
pub(super) mod look_up;
pub(super) mod push;
pub(super) mod summary;
pub(super) mod trace;
pub(super) mod train;
pub(super) mod verify;

use arrow::error::ArrowError;

use crate::error::Error;

/// What the node sent is not what was asked for.
fn odd_answer(cause: ArrowError) -> Error {
    lineate_client::Error::Answer(cause.to_string()).into()
}
