//! Records: the nodes of the lineage graph, each with the ids of its inputs inside.
//!
//! A record is a canonical CBOR map `{0: version, 1: kind, 2: fields}`; its id is the BLAKE3 of these bytes in
//! the domain of its kind (`docs/formats/record.md`). Because inputs are named by id, a record's id commits to
//! everything it came from. What becomes known later (owner, tag, approval, evaluation) is a record beside it.
//!
//! Deliberately absent: personal data and free text, which appear only as [`Sealed`] commitments.

mod assertion;
mod check;
mod collection;
mod dataset;
mod definition;
mod edge;
mod erasure;
mod kind;
mod metric;
mod model;
mod rows;

pub use assertion::Assertion;
pub use collection::Collection;
pub use dataset::{Column, Dataset, File, Spine, SpineColumn};
pub use definition::{Service, View};
pub(crate) use edge::allowed;
pub use edge::{Edge, Role};
pub use erasure::Erasure;
pub use kind::Kind;
pub use metric::{MetricValue, ParseMetricError};
pub use model::{Artifact, Evaluation, Model, Promotion, Run};
pub use rows::{Format, Load, LoadSegment, Seal, Source};

use lineate_types::{Hash, Name, NodeKind, limits};
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::{
    Result, Sealed,
    canonical::{self, Form},
};

/// A record of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Record {
    Source(Source),
    View(View),
    Service(Service),
    Load(Load),
    Seal(Seal),
    Dataset(Dataset),
    Run(Run),
    Model(Model),
    Evaluation(Evaluation),
    Promotion(Promotion),
    Assertion(Assertion),
    Collection(Collection),
    Erasure(Erasure),
}

/// Runs an expression with the fields of whatever kind of record it is.
macro_rules! with_fields {
    ($record:expr, $fields:ident => $body:expr) => {
        match $record {
            $crate::record::Record::Source($fields) => $body,
            $crate::record::Record::View($fields) => $body,
            $crate::record::Record::Service($fields) => $body,
            $crate::record::Record::Load($fields) => $body,
            $crate::record::Record::Seal($fields) => $body,
            $crate::record::Record::Dataset($fields) => $body,
            $crate::record::Record::Run($fields) => $body,
            $crate::record::Record::Model($fields) => $body,
            $crate::record::Record::Evaluation($fields) => $body,
            $crate::record::Record::Promotion($fields) => $body,
            $crate::record::Record::Assertion($fields) => $body,
            $crate::record::Record::Collection($fields) => $body,
            $crate::record::Record::Erasure($fields) => $body,
        }
    };
}

impl Record {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Reads canonical bytes and checks the record (see [`Record::check`]).
    ///
    /// # Errors
    /// Bytes that are not the canonical form of a valid record of a known version and kind.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let record: Self = canonical::from_bytes(bytes)?;
        record.check()?;
        Ok(record)
    }

    /// The id: the BLAKE3 of the canonical bytes in the domain of the kind.
    pub fn id(&self) -> Hash {
        Self::id_of(self.kind(), &self.encode())
    }

    /// The id of a record whose canonical bytes are at hand.
    pub fn id_of(kind: Kind, bytes: &[u8]) -> Hash {
        Hash::in_domain(kind.domain(), bytes)
    }

    /// The kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Source(_) => Kind::Source,
            Self::View(_) => Kind::View,
            Self::Service(_) => Kind::Service,
            Self::Load(_) => Kind::Load,
            Self::Seal(_) => Kind::Seal,
            Self::Dataset(_) => Kind::Dataset,
            Self::Run(_) => Kind::Run,
            Self::Model(_) => Kind::Model,
            Self::Evaluation(_) => Kind::Evaluation,
            Self::Promotion(_) => Kind::Promotion,
            Self::Assertion(_) => Kind::Assertion,
            Self::Collection(_) => Kind::Collection,
            Self::Erasure(_) => Kind::Erasure,
        }
    }

    /// The kind of node people name it by; none for records found by id only.
    pub const fn node_kind(&self) -> Option<NodeKind> {
        self.kind().node_kind()
    }

    /// The project whose grants and quota it falls under.
    pub const fn project(&self) -> &Name {
        with_fields!(self, fields => &fields.project)
    }

    /// Project, name and version, for the kinds that carry a version: view, service, dataset, model.
    pub const fn name(&self) -> Option<(&Name, &Name, u32)> {
        match self {
            Self::View(View { project, name, version, .. })
            | Self::Service(Service { project, name, version, .. })
            | Self::Dataset(Dataset { project, name, version, .. })
            | Self::Model(Model { project, name, version, .. }) => Some((project, name, *version)),
            _ => None,
        }
    }

    /// Who caused it, where the kind says so.
    pub const fn principal(&self) -> Option<Sealed> {
        match self {
            Self::Load(Load { principal, .. })
            | Self::Dataset(Dataset { principal, .. })
            | Self::Run(Run { principal, .. })
            | Self::Model(Model { principal, .. })
            | Self::Evaluation(Evaluation { principal, .. })
            | Self::Promotion(Promotion { principal, .. })
            | Self::Assertion(Assertion { principal, .. })
            | Self::Erasure(Erasure { principal, .. }) => Some(*principal),
            Self::Source(_) | Self::View(_) | Self::Service(_) | Self::Seal(_) | Self::Collection(_) => None,
        }
    }

    /// The commitments to texts that it holds, its principal's last.
    pub fn sealed(&self) -> Vec<Sealed> {
        let mut sealed: Vec<Sealed> = match self {
            Self::Source(Source { path, .. }) => vec![*path],
            Self::Run(Run { code, parameters, .. }) => {
                code.iter().chain(parameters.values()).copied().collect()
            }
            Self::Assertion(Assertion { value, .. }) => value.iter().copied().collect(),
            Self::View(_)
            | Self::Service(_)
            | Self::Load(_)
            | Self::Seal(_)
            | Self::Dataset(_)
            | Self::Model(_)
            | Self::Evaluation(_)
            | Self::Promotion(_)
            | Self::Collection(_)
            // The texts it names are other records' own.
            | Self::Erasure(_) => Vec::new(),
        };
        sealed.extend(self.principal());
        sealed
    }

    /// The rows it stands for, where it stands for rows.
    pub const fn rows(&self) -> Option<u64> {
        match self {
            Self::Source(Source { rows, .. })
            | Self::Load(Load { rows, .. })
            | Self::Seal(Seal { rows, .. })
            | Self::Dataset(Dataset { rows, .. }) => Some(*rows),
            _ => None,
        }
    }

    /// What it names as inputs, in the order of its fields, the agent last; each relation once.
    pub fn edges(&self) -> Vec<Edge> {
        edge::of(self)
    }

    /// Checks bounds and the rules that the types do not carry.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) or [`Error::InvalidRecord`](crate::Error::InvalidRecord).
    pub fn check(&self) -> Result<()> {
        check::record(self)
    }
}

impl Form for Record {
    const WHAT: &'static str = "record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = limits::RECORD_BYTES;
}

impl<C> Encode<C> for Record {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.map(3)?.u8(0)?.u8(Self::VERSION)?.u8(1)?.encode_with(self.kind(), ctx)?.u8(2)?;
        with_fields!(self, fields => e.encode_with(fields, ctx)?.ok())
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        if d.map()? != Some(3) {
            return Err(decode::Error::message("expected a map of version, kind and fields"));
        }
        canonical::expect_key(d, 0)?;
        d.decode_with::<C, canonical::Version<1>>(ctx)?;
        canonical::expect_key(d, 1)?;
        let kind = d.decode_with(ctx)?;
        canonical::expect_key(d, 2)?;
        Ok(match kind {
            Kind::Source => Self::Source(d.decode_with(ctx)?),
            Kind::View => Self::View(d.decode_with(ctx)?),
            Kind::Service => Self::Service(d.decode_with(ctx)?),
            Kind::Load => Self::Load(d.decode_with(ctx)?),
            Kind::Seal => Self::Seal(d.decode_with(ctx)?),
            Kind::Dataset => Self::Dataset(d.decode_with(ctx)?),
            Kind::Run => Self::Run(d.decode_with(ctx)?),
            Kind::Model => Self::Model(d.decode_with(ctx)?),
            Kind::Evaluation => Self::Evaluation(d.decode_with(ctx)?),
            Kind::Promotion => Self::Promotion(d.decode_with(ctx)?),
            Kind::Assertion => Self::Assertion(d.decode_with(ctx)?),
            Kind::Collection => Self::Collection(d.decode_with(ctx)?),
            Kind::Erasure => Self::Erasure(d.decode_with(ctx)?),
        })
    }
}
