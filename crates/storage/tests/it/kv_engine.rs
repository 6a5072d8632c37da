//! The engines that keep keys and values in files, as the tests of such files need them.

use std::path::Path;

use lineate_storage::{
    Result,
    kv::{KvReport, OrderedKv, RedbKv, SledKv},
};

use crate::kv_conformance::{small_options, small_redb};

/// An engine with files.
pub(crate) trait FileEngine: OrderedKv + std::fmt::Debug + Sized {
    /// The file that holds what was put.
    const FILE: &'static str;

    fn open_at(directory: &Path) -> Result<Self>;

    fn open_or_move_aside(directory: &Path) -> Result<(Self, KvReport)>;
}

impl FileEngine for SledKv {
    const FILE: &'static str = "db";

    fn open_at(directory: &Path) -> Result<Self> {
        Self::open(directory, &small_options())
    }

    fn open_or_move_aside(directory: &Path) -> Result<(Self, KvReport)> {
        Self::open_or_quarantine(directory, &small_options())
    }
}

impl FileEngine for RedbKv {
    const FILE: &'static str = "kv.redb";

    fn open_at(directory: &Path) -> Result<Self> {
        Self::open(directory, &small_redb())
    }

    fn open_or_move_aside(directory: &Path) -> Result<(Self, KvReport)> {
        Self::open_or_quarantine(directory, &small_redb())
    }
}
