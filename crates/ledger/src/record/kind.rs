//! The kinds of records: their words, hash domains and the node names people use for them.

use lineate_types::NodeKind;

use crate::canonical::words;

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file that was loaded.
    Source,
    /// One version of a feature view.
    View,
    /// One version of a feature service.
    Service,
    /// One atomic bulk load of files into a view.
    Load,
    /// Streamed rows of a view in a shard, sealed as a segment.
    Seal,
    /// One version of a training set.
    Dataset,
    /// One run of a job, such as a training.
    Run,
    /// One version of a model.
    Model,
    /// Metrics of a model.
    Evaluation,
    /// An alias moved to a model.
    Promotion,
    /// Something said about another record: an owner, a tag, an approval.
    Assertion,
    /// Loads and seals that training sets name together.
    Collection,
    /// Texts that were erased.
    Erasure,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Source,
        Self::View,
        Self::Service,
        Self::Load,
        Self::Seal,
        Self::Dataset,
        Self::Run,
        Self::Model,
        Self::Evaluation,
        Self::Promotion,
        Self::Assertion,
        Self::Collection,
        Self::Erasure,
    ];

    /// The word in the bytes of records and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::View => "view",
            Self::Service => "service",
            Self::Load => "load",
            Self::Seal => "seal",
            Self::Dataset => "dataset",
            Self::Run => "run",
            Self::Model => "model",
            Self::Evaluation => "evaluation",
            Self::Promotion => "promotion",
            Self::Assertion => "assertion",
            Self::Collection => "collection",
            Self::Erasure => "erasure",
        }
    }

    /// The BLAKE3 `derive_key` context of the kind's ids: `lineate 2026 record <kind> v1`.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Source => "lineate 2026 record source v1",
            Self::View => "lineate 2026 record view v1",
            Self::Service => "lineate 2026 record service v1",
            Self::Load => "lineate 2026 record load v1",
            Self::Seal => "lineate 2026 record seal v1",
            Self::Dataset => "lineate 2026 record dataset v1",
            Self::Run => "lineate 2026 record run v1",
            Self::Model => "lineate 2026 record model v1",
            Self::Evaluation => "lineate 2026 record evaluation v1",
            Self::Promotion => "lineate 2026 record promotion v1",
            Self::Assertion => "lineate 2026 record assertion v1",
            Self::Collection => "lineate 2026 record collection v1",
            Self::Erasure => "lineate 2026 record erasure v1",
        }
    }

    /// The kind of node people name it by; none for those found by id only.
    pub const fn node_kind(self) -> Option<NodeKind> {
        match self {
            Self::Source => Some(NodeKind::Source),
            Self::View => Some(NodeKind::View),
            Self::Service => Some(NodeKind::Service),
            Self::Load => Some(NodeKind::Load),
            Self::Dataset => Some(NodeKind::Dataset),
            Self::Run => Some(NodeKind::Run),
            Self::Model => Some(NodeKind::Model),
            Self::Evaluation => Some(NodeKind::Eval),
            Self::Promotion => Some(NodeKind::Deployment),
            Self::Seal | Self::Assertion | Self::Collection | Self::Erasure => None,
        }
    }

    /// Whether PROV calls it an activity, something that happens, rather than an entity.
    pub const fn is_activity(self) -> bool {
        matches!(self, Self::Run | Self::Evaluation | Self::Promotion | Self::Erasure)
    }

    /// The kind with this word.
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

words!(Kind, "kind of record");
