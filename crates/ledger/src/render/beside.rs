//! What a drawing says that the graph does not hold.

use std::{collections::BTreeMap, fmt};

use lineate_types::{Hash, TimestampUs};

use crate::{graph::grouped, merkle::TreeHash};

/// The text that a caller who may see it has for a node beside its label: the path of a source, the name of an
/// agent. None where nothing is known or it was erased.
pub type Note<'a> = &'a dyn Fn(Hash) -> Option<String>;

/// What the caller of a drawing knows beside the graph.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// Texts.
    pub note: Note<'a>,
    /// By the record of a view version: its rows that no record stands for yet.
    pub unsealed: &'a BTreeMap<Hash, Unsealed>,
    /// The root of the ledger's tree at the size the walk was computed at.
    pub root: Option<TreeHash>,
}

static ALL_SEALED: BTreeMap<Hash, Unsealed> = BTreeMap::new();

impl Beside<'static> {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self { note: &|_| None, unsealed: &ALL_SEALED, root: None }
    }
}

/// Rows that were streamed into a view version and are acknowledged, but have no record yet: they get one when
/// their run is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsealed {
    /// How many.
    pub rows: u64,
    /// Whether there may be fewer: at a time in the past, all rows of a run that was being written then count.
    pub at_most: bool,
    /// The shards they lie in.
    pub shards: u16,
    /// The commit time of the first.
    pub since: TimestampUs,
}

/// `unsealed  12 rows in 2 shards since 2024-05-01T00:00:00.000000Z, not recorded yet`.
impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_most = if self.at_most { "at most " } else { "" };
        let rows = if self.rows == 1 { "row" } else { "rows" };
        let shards = if self.shards == 1 { "shard" } else { "shards" };
        let Self { shards: count, since, .. } = self;
        write!(
            f,
            "unsealed  {at_most}{} {rows} in {count} {shards} since {since}, not recorded yet",
            grouped(self.rows)
        )
    }
}
