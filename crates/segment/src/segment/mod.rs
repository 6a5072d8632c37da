//! Segments: sealed runs, each an immutable Parquet file with a key index beside it
//! (`docs/formats/segment.md`).

mod checked_file;
mod info;
mod layout;
mod reader;
mod writer;

pub use info::{SegmentCommit, SegmentInfo, TimeRange};
pub use layout::SEGMENT_FORMAT_VERSION;
pub use reader::Segment;
pub use writer::{CommitSource, SegmentWriter, write_run};
