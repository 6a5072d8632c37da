//! The blob beside a segment: where the rows of each key are, and checksums of the segment's bytes
//! (`docs/formats/segment.md`).
//!
//! Keys lie in small blocks; a directory of the blocks, held in memory while the index is open, leads to the
//! one block a key can be in. Every byte is under a checksum that is compared before the byte is believed, so a
//! lookup reads little and damage is an error, never another answer.

mod format;
mod reader;
mod writer;

pub use reader::{KeyIndex, KeyRows};
pub use writer::{KeyIndexWriter, SegmentChecksums};

pub(crate) use format::CHECKSUM_BLOCK_BYTES;
