//! The order in which writers give way.

use lineate_types::{TimestampUs, WriterId};

/// One opening of a writer, for the first time or again. Openings ascend in the log of the meta group.
///
/// The meta group keeps the [`limits::WRITERS`] writers opened last. A shard keeps as many, by the last opening it
/// heard of. One it gives up is thus one that the meta group gave up or opened again since: as many others, at
/// least, were opened after it. So a shard never refuses a writer that may write, and a writer it refuses never
/// writes again under that opening.
///
/// [`limits::WRITERS`]: lineate_types::limits::WRITERS
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub(crate) struct Opening {
    /// The commit time of the opening.
    #[n(0)]
    pub(crate) commit_time: TimestampUs,
    /// The writer.
    #[n(1)]
    pub(crate) writer: WriterId,
}
