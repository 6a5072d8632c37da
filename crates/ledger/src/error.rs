//! What can be wrong with records, proofs and questions to the graph.

use lineate_types::{ErrorKind, HasKind, Hash, Name, NodeRef, TimestampUs};

use crate::{
    merkle::NodeIndex,
    record::{Kind, Role},
};

/// The errors of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that are not CBOR of the expected shape.
    #[error("the bytes are not a {what}: {why}")]
    Malformed {
        /// The form that was expected.
        what: &'static str,
        /// Where and how they differ.
        why: String,
    },
    /// Bytes that say the right thing in another than the one canonical way.
    #[error(
        "the bytes of the {what} are not canonical from byte {offset} on; expected deterministic CBOR \
         (RFC 8949, 4.2.1) without unknown fields"
    )]
    NotCanonical {
        /// The form.
        what: &'static str,
        /// The first byte that differs from the canonical form.
        offset: usize,
    },
    /// A form written by a later release.
    #[error("the {what} has format version {version}; this release reads version {supported}, upgrade it")]
    UnknownVersion {
        /// The form.
        what: &'static str,
        /// The version found.
        version: u64,
        /// The version this release reads.
        supported: u8,
    },
    /// More than a bound allows.
    #[error("the {what} has {actual} {unit}; at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// What is counted.
        unit: &'static str,
        /// How many there are.
        actual: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A record whose fields contradict one another or the rules of its kind.
    #[error("the {record} record is not valid: {why}")]
    InvalidRecord {
        /// The kind of record.
        record: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A text that does not open a commitment.
    #[error("the text and salt do not open the commitment {commitment}")]
    SealMismatch {
        /// The commitment.
        commitment: Hash,
    },

    /// A node or leaf outside the tree.
    #[error("{what} {index} is outside a log of {size} entries")]
    OutOfRange {
        /// What was asked for.
        what: &'static str,
        /// The index or size asked for.
        index: u64,
        /// The entries there are.
        size: u64,
    },
    /// A stored node of the tree that is not there.
    #[error("node {index} of the Merkle tree is missing; rebuild the tree from the log's entries")]
    MissingNode {
        /// Its place.
        index: NodeIndex,
    },
    /// A stored node of the tree that is not the hash of its children.
    #[error("node {index} of the Merkle tree is not the hash of its children; rebuild the tree")]
    CorruptNode {
        /// Its place.
        index: NodeIndex,
    },
    /// A proof that does not prove what it claims.
    #[error("the {proof} proof does not hold: {why}")]
    ProofFailed {
        /// Inclusion or consistency.
        proof: &'static str,
        /// Why.
        why: &'static str,
    },

    /// An entry that is not the next of the log.
    #[error("entry {actual} was given where entry {expected} comes next")]
    NotNextEntry {
        /// The sequence number that comes next.
        expected: u64,
        /// The sequence number given.
        actual: u64,
    },
    /// An entry older than the one before it.
    #[error("entry {seq} has commit time {actual}, before its predecessor's {previous}")]
    CommitTimeRegressed {
        /// The entry.
        seq: u64,
        /// The commit time of the entry before.
        previous: TimestampUs,
        /// The commit time given.
        actual: TimestampUs,
    },
    /// A record that is in the log already.
    #[error("record {id} is in the ledger already")]
    DuplicateRecord {
        /// Its id.
        id: Hash,
    },
    /// Another record has the same name and version.
    #[error("{node} is record {existing} already; a new record needs a new version")]
    DuplicateName {
        /// Kind, project, name and version.
        node: String,
        /// The record that has the name.
        existing: Hash,
    },
    /// A record names an input that is not in the log.
    #[error("record {record} names {target} as `{role}`, which is not in the ledger; record the input first")]
    MissingInput {
        /// The record.
        record: Hash,
        /// The input.
        target: Hash,
        /// How the record relates to it.
        role: Role,
    },
    /// A record names an input of a kind that has no such part in it.
    #[error("record {record} names {target}, a {actual}, as `{role}`; expected a {}", kinds(.expected))]
    WrongInput {
        /// The record.
        record: Hash,
        /// The input.
        target: Hash,
        /// How the record relates to it.
        role: Role,
        /// What the input is.
        actual: &'static str,
        /// What it may be.
        expected: &'static [Kind],
    },
    /// The index has as many nodes or edges as it can address.
    #[error("the lineage graph is full")]
    GraphFull,

    /// The question is about entries that this copy of the log has not seen yet.
    #[error("the cursor is of a log of {size} entries, this replica has {actual}; ask again or elsewhere")]
    Behind {
        /// The entries the question is about.
        size: u64,
        /// The entries there are.
        actual: u64,
    },
    /// No node has this name or id.
    #[error("`{node}` is not in the ledger{hint}")]
    UnknownNode {
        /// What was asked for.
        node: NodeRef,
        /// What is there instead; begins with a separator, empty if nothing is near.
        hint: String,
    },
    /// A name without a project where there are several.
    #[error("`{node}` names no project; expected one of {}", list(.projects))]
    AmbiguousProject {
        /// What was asked for.
        node: NodeRef,
        /// The projects there are.
        projects: Vec<Name>,
    },
    /// The beginning of several ids.
    #[error("`{node}` begins {count} ids; give more digits of one, such as {}", .candidates.join(", "))]
    AmbiguousId {
        /// What was asked for.
        node: Box<NodeRef>,
        /// How many begin so.
        count: usize,
        /// The first of them, each with what it names.
        candidates: Vec<String>,
    },
}

fn kinds(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
}

fn list(names: &[Name]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl HasKind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. }
            | Self::NotCanonical { .. }
            | Self::MissingNode { .. }
            | Self::CorruptNode { .. }
            | Self::SealMismatch { .. }
            | Self::ProofFailed { .. } => ErrorKind::Corrupt,
            Self::UnknownVersion { .. }
            | Self::InvalidRecord { .. }
            | Self::WrongInput { .. }
            | Self::OutOfRange { .. }
            | Self::AmbiguousProject { .. }
            | Self::AmbiguousId { .. } => ErrorKind::Invalid,
            Self::TooLarge { .. } | Self::GraphFull => ErrorKind::ResourceExhausted,
            Self::Behind { .. } => ErrorKind::Unavailable,
            Self::NotNextEntry { .. } | Self::CommitTimeRegressed { .. } => ErrorKind::Internal,
            Self::DuplicateRecord { .. } | Self::DuplicateName { .. } => ErrorKind::AlreadyExists,
            Self::MissingInput { .. } | Self::UnknownNode { .. } => ErrorKind::NotFound,
        }
    }
}
