//! The vocabulary of Lineate: identities, names, types, keys, times, hashes, limits and error kinds.
//!
//! Everything here is plain data with one canonical text or byte form each. Invariants:
//! - no type here touches a disk, a network, a clock or a random number generator;
//! - a value that parses prints back to the same text, a value that encodes decodes to itself;
//! - the byte forms are fixed by `docs/formats/` and never change without a new version.
//!
//! Deliberately absent: Arrow (see `lineate-segment`), the wire (see `lineate-proto`).

mod data_type;
mod definition;
mod error;
mod hash;
mod hash_prefix;
mod id;
mod key;
pub mod limits;
mod name;
mod node_ref;
mod principal;
mod time;

pub use data_type::{DataType, Field, ParseTypeError};
pub use definition::{
    EntityDefinition, Feature, KeyColumn, KeyMapping, MatchMode, ServiceDefinition, ServiceFeature,
    ViewDefinition,
};
pub use error::{ErrorKind, HasKind};
pub use hash::{Hash, Hasher, ParseHashError};
pub use hash_prefix::HashPrefix;
pub use id::{Bucket, GroupId, HistoryId, ShardId, ViewId};
pub use key::{EntityKey, KEY_FORMAT_VERSION, KeyError, KeyType, KeyValue};
pub use name::{Name, NameError, VersionedName};
pub use node_ref::{NodeKind, NodeRef, ParseNodeRefError};
pub use principal::{Principal, WriterId, WriterPosition};
pub use time::{DurationUs, ParseTimeError, TimestampUs};
