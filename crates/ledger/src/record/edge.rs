//! The edges inside records: which inputs a record names, and as what, in the words of W3C PROV.

use std::{collections::BTreeSet, fmt};

use lineate_types::Hash;

use super::{
    Assertion, Collection, Dataset, Erasure, Evaluation, Kind, Load, Model, Promotion, Record, Run, Seal,
    Service, View,
};

/// How a record relates to one it names. The direction is always from the later record to the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An activity read it.
    Used,
    /// An activity made this.
    WasGeneratedBy,
    /// This holds data of it.
    WasDerivedFrom,
    /// This is the next version of it.
    WasRevisionOf,
    /// It is part of this.
    HadMember,
    /// This was made as this definition says.
    HadPlan,
    /// This is some of the rows of it.
    SpecializationOf,
    /// This says something about it.
    About,
    /// This ended its use.
    Invalidated,
    /// An agent answers for this entity.
    WasAttributedTo,
    /// An agent carried out this activity.
    WasAssociatedWith,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 11] = [
        Self::Used,
        Self::WasGeneratedBy,
        Self::WasDerivedFrom,
        Self::WasRevisionOf,
        Self::HadMember,
        Self::HadPlan,
        Self::SpecializationOf,
        Self::About,
        Self::Invalidated,
        Self::WasAttributedTo,
        Self::WasAssociatedWith,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::WasGeneratedBy => "was_generated_by",
            Self::WasDerivedFrom => "was_derived_from",
            Self::WasRevisionOf => "was_revision_of",
            Self::HadMember => "had_member",
            Self::HadPlan => "had_plan",
            Self::SpecializationOf => "specialization_of",
            Self::About => "about",
            Self::Invalidated => "invalidated",
            Self::WasAttributedTo => "was_attributed_to",
            Self::WasAssociatedWith => "was_associated_with",
        }
    }

    /// Whether the far end is an agent, named by the commitment to who it is.
    pub const fn is_agency(self) -> bool {
        matches!(self, Self::WasAttributedTo | Self::WasAssociatedWith)
    }

    /// Whether the far end is part of what the record came from or is about. A promotion that another one ended
    /// is not: the model it was of had no part in the model that replaced it.
    pub const fn is_ancestry(self) -> bool {
        !self.is_agency() && !matches!(self, Self::Invalidated)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An edge from a record to one before it, or to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// How the record relates to the target.
    pub role: Role,
    /// The id of a record; for the roles of agents, the commitment to who it is.
    pub target: Hash,
}

/// The kinds of records that a kind may name in a role; none means any. Agents are not records.
pub(crate) const fn allowed(kind: Kind, role: Role) -> Option<&'static [Kind]> {
    match (kind, role) {
        (Kind::View, Role::WasRevisionOf) => Some(&[Kind::View]),
        (Kind::Service, Role::HadMember) => Some(&[Kind::View]),
        (Kind::Load | Kind::Seal, Role::SpecializationOf) => Some(&[Kind::View]),
        (Kind::Load, Role::WasDerivedFrom) => Some(&[Kind::Source]),
        (Kind::Dataset, Role::HadPlan) => Some(&[Kind::Service, Kind::View]),
        (Kind::Dataset, Role::WasDerivedFrom) => Some(&[Kind::Load, Kind::Seal, Kind::Collection]),
        (Kind::Model, Role::WasGeneratedBy) => Some(&[Kind::Run]),
        (Kind::Evaluation, Role::Used) => Some(&[Kind::Model, Kind::Dataset]),
        (Kind::Promotion, Role::Used) => Some(&[Kind::Model]),
        (Kind::Promotion, Role::Invalidated) => Some(&[Kind::Promotion]),
        (Kind::Assertion, Role::WasRevisionOf) => Some(&[Kind::Assertion]),
        (Kind::Collection, Role::HadMember) => Some(&[Kind::Load, Kind::Seal]),
        _ => None,
    }
}

/// The edges of a record, in the order of its fields, each once.
pub(super) fn of(record: &Record) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |role, target: Hash| {
        let edge = Edge { role, target };
        if seen.insert(edge) {
            edges.push(edge);
        }
    };
    match record {
        Record::Source(_) => {}
        Record::View(View { previous, .. }) => {
            previous.iter().for_each(|previous| add(Role::WasRevisionOf, *previous));
        }
        Record::Service(Service { views, .. }) => {
            views.iter().for_each(|view| add(Role::HadMember, *view));
        }
        Record::Load(Load { view, sources, .. }) => {
            add(Role::SpecializationOf, *view);
            sources.iter().for_each(|source| add(Role::WasDerivedFrom, *source));
        }
        Record::Seal(Seal { view, earlier_views, .. }) => {
            add(Role::SpecializationOf, *view);
            earlier_views.iter().flatten().for_each(|view| add(Role::SpecializationOf, *view));
        }
        Record::Dataset(Dataset { service, views, inputs, .. }) => {
            add(Role::HadPlan, *service);
            views.iter().for_each(|view| add(Role::HadPlan, *view));
            inputs.iter().for_each(|input| add(Role::WasDerivedFrom, *input));
        }
        Record::Run(Run { inputs, .. }) => inputs.iter().for_each(|input| add(Role::Used, *input)),
        Record::Model(Model { run, .. }) => add(Role::WasGeneratedBy, *run),
        Record::Evaluation(Evaluation { model, dataset, .. }) => {
            add(Role::Used, *model);
            dataset.iter().for_each(|dataset| add(Role::Used, *dataset));
        }
        Record::Promotion(Promotion { model, previous, .. }) => {
            add(Role::Used, *model);
            previous.iter().for_each(|previous| add(Role::Invalidated, *previous));
        }
        Record::Assertion(Assertion { about, replaces, .. }) => {
            add(Role::About, *about);
            replaces.iter().for_each(|replaced| add(Role::WasRevisionOf, *replaced));
        }
        Record::Erasure(Erasure { about, .. }) => add(Role::About, *about),
        Record::Collection(Collection { members, .. }) => {
            members.iter().for_each(|member| add(Role::HadMember, *member));
        }
    }
    if let Some(principal) = record.principal() {
        let activity = record.kind().is_activity();
        add(if activity { Role::WasAssociatedWith } else { Role::WasAttributedTo }, principal.0);
    }
    edges
}
