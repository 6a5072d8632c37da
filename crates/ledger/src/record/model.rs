//! Records of what is made from training sets: runs, models, evaluations, promotions.

use std::collections::{BTreeMap, BTreeSet};

use lineate_types::{Hash, Name, TimestampUs};
use minicbor::{Decode, Encode};

use super::MetricValue;
use crate::Sealed;

/// One finished run of a job, such as a training.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Run {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The job's name.
    #[n(1)]
    pub job: Name,
    /// The run's UUID, which keeps two runs with equal fields apart.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub run: [u8; 16],
    /// The records it read: training sets, models it started from.
    #[n(3)]
    pub inputs: BTreeSet<Hash>,
    /// The revision of the code.
    #[n(4)]
    pub code: Option<Sealed>,
    /// The parameters by name.
    #[cbor(n(5), with = "crate::canonical::pairs")]
    pub parameters: BTreeMap<String, Sealed>,
    /// When it started, as its client says.
    #[n(6)]
    pub started: Option<TimestampUs>,
    /// When it ended, as its client says.
    #[n(7)]
    pub ended: Option<TimestampUs>,
    /// Who ran it.
    #[n(8)]
    pub principal: Sealed,
}

/// The stored weights of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Artifact {
    /// The plain BLAKE3 of the file.
    #[n(0)]
    pub physical_hash: Hash,
    /// Its length.
    #[n(1)]
    pub bytes: u64,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Model {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name, unique in the project.
    #[n(1)]
    pub name: Name,
    /// The version, from 1.
    #[n(2)]
    pub version: u32,
    /// The record of the run that made it.
    #[n(3)]
    pub run: Hash,
    /// Its weights, if they were handed over.
    #[n(4)]
    pub artifact: Option<Artifact>,
    /// Who registered it.
    #[n(5)]
    pub principal: Sealed,
}

/// Metrics of a model, on a training set or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Evaluation {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The record of the model.
    #[n(1)]
    pub model: Hash,
    /// The metrics by name, at least one.
    #[cbor(n(2), with = "crate::canonical::pairs")]
    pub metrics: BTreeMap<String, MetricValue>,
    /// The record of the training set it was evaluated on.
    #[n(3)]
    pub dataset: Option<Hash>,
    /// Who reported it.
    #[n(4)]
    pub principal: Sealed,
}

/// An alias moved to a model. Each names the one before it, so an alias that comes back to a model is a new record, and
/// the promotions of an alias are a chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Promotion {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The alias, such as `production`.
    #[n(1)]
    pub alias: Name,
    /// The record of the model it names from now on.
    #[n(2)]
    pub model: Hash,
    /// The record of the promotion that this one ends; none for the first.
    #[n(3)]
    pub previous: Option<Hash>,
    /// Who promoted it.
    #[n(4)]
    pub principal: Sealed,
}
