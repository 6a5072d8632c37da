//! What can be asked of the meta group, and what it answers (`docs/formats/command.md`).

use std::collections::BTreeSet;

use lineate_types::{Hash, MatchMode, Name, ShardId, TimestampUs, ViewId, WriterId};
use minicbor::{Decode, Encode};

use crate::{LoadId, Refusal, catalog::Resolved, shard::SealNote};

/// A command with who caused it. The log never holds a name: it could not be erased from it (ADR 0011).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MetaRequest {
    /// Who caused it: the commitment to the principal's name, as records carry it.
    #[n(0)]
    pub agent: Hash,
    /// What to do.
    #[n(1)]
    pub command: MetaCommand,
}

/// A change of the meta group.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum MetaCommand {
    /// Adds definitions that were planned at one catalog version.
    #[n(0)]
    Define(#[n(0)] Define),
    /// Issues a writer, or raises the epoch of one.
    #[n(1)]
    OpenWriter {
        /// The writer that starts again; none issues a new one.
        #[n(0)]
        resume: Option<WriterId>,
    },
    /// Begins a bulk load.
    #[n(2)]
    BeginLoad(#[n(0)] BeginLoad),
    /// Commits a bulk load whose every stage is durable.
    #[n(3)]
    CommitLoad(#[n(0)] CommitLoad),
    /// Aborts a bulk load. One that is committed stays committed.
    #[n(4)]
    AbortLoad {
        /// The load.
        #[n(0)]
        load: LoadId,
    },
    /// Records a sealed run of streamed rows. The same again changes nothing.
    #[n(5)]
    RecordSeal {
        /// The shard.
        #[n(0)]
        shard: ShardId,
        /// What was sealed.
        #[n(1)]
        note: SealNote,
    },
    /// Records a training set and gives it the next version of its name.
    #[n(6)]
    CreateDataset(#[n(0)] CreateDataset),
    /// Records a model, the run that made it and its metrics, and gives it the next version of its name.
    #[n(7)]
    RegisterModel(#[n(0)] RegisterModel),
    /// Points an alias at a model version.
    #[n(8)]
    Promote(#[n(0)] Promote),
    /// Records that texts are erased, which every node then does.
    #[n(9)]
    Erase(#[n(0)] Erase),
}

/// Definitions to add.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Define {
    /// The catalog version they were planned at.
    #[n(0)]
    pub catalog_version: u64,
    /// What to add.
    #[n(1)]
    pub resolved: Resolved,
    /// Facts beside the definitions, sealed.
    #[n(2)]
    pub assertions: Vec<AssertionDraft>,
}

/// A fact beside a definition.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AssertionDraft {
    /// Whether it is about a service (else a view).
    #[n(0)]
    pub service: bool,
    /// The project.
    #[n(1)]
    pub project: Name,
    /// The name of the view or service.
    #[n(2)]
    pub name: Name,
    /// `owner`, `description` or `tag`.
    #[n(3)]
    pub predicate: String,
    /// The commitment to the text; none withdraws what `replaces` says.
    #[n(4)]
    pub value: Option<Hash>,
    /// The assertion that no longer holds because of this one.
    #[n(5)]
    pub replaces: Option<Hash>,
}

/// A file a load reads.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SourceDraft {
    /// The BLAKE3 of its bytes.
    #[n(0)]
    pub physical: Hash,
    /// Its bytes.
    #[n(1)]
    pub bytes: u64,
    /// `parquet`, `csv`, `ndjson` or `arrow`.
    #[n(2)]
    pub format: String,
    /// The commitment to its path; none of a file that is known to be skipped.
    #[n(3)]
    pub path: Option<Hash>,
}

/// A bulk load begins.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BeginLoad {
    /// The view version its rows have.
    #[n(0)]
    pub view: ViewId,
    /// The files, in order.
    #[n(1)]
    pub sources: Vec<SourceDraft>,
    /// Whether to load files that the view's history holds already, and files given twice, instead of skipping them.
    #[n(2)]
    pub again: bool,
}

/// A bulk load ends well.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CommitLoad {
    /// The load.
    #[n(0)]
    pub load: LoadId,
    /// The greatest floor of its stages: it commits above.
    #[n(1)]
    pub floor: TimestampUs,
    /// Rows of each source, in order.
    #[n(2)]
    pub source_rows: Vec<u64>,
    /// Its rows that are tombstones.
    #[n(3)]
    pub tombstones: u64,
    /// The logical hash of the table of its canonical rows, in file order, then row order.
    #[n(4)]
    pub logical: Hash,
    /// Its segments, in shard order.
    #[n(5)]
    pub segments: Vec<LoadedSegment>,
}

/// A segment of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct LoadedSegment {
    /// The shard.
    #[n(0)]
    pub shard: ShardId,
    /// The BLAKE3 of its bytes.
    #[n(1)]
    pub physical: Hash,
    /// Its rows.
    #[n(2)]
    pub rows: u64,
}

/// A training set was built.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CreateDataset {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name; the version is assigned.
    #[n(1)]
    pub name: Name,
    /// The service's name.
    #[n(2)]
    pub service: Name,
    /// The service's version.
    #[n(3)]
    pub service_version: u32,
    /// The mode asked for; none is each view's default.
    #[n(4)]
    pub mode: Option<MatchMode>,
    /// The snapshot.
    #[n(5)]
    pub snapshot: TimestampUs,
    /// The labels.
    #[n(6)]
    pub spine: SpineDraft,
    /// Its rows.
    #[n(7)]
    pub rows: u64,
    /// Every column, the spine's first.
    #[n(8)]
    pub columns: Vec<ColumnDraft>,
    /// The files that hold it.
    #[n(9)]
    pub files: Vec<FileDraft>,
    /// What the join found, for each view of the service under its alias. For people: its record does not name it.
    #[n(10)]
    pub matches: Vec<ViewMatches>,
}

/// What a join found in one view. Rows that are neither have nulls: no row was known, the key had ended or was null.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ViewMatches {
    /// The view's alias in the service.
    #[n(0)]
    pub alias: Name,
    /// Rows of the spine that got the values of a row.
    #[n(1)]
    pub filled: u64,
    /// Rows of the spine whose latest row was older than the time-to-live.
    #[n(2)]
    pub expired: u64,
}

/// The labels of a training set, stored before matching.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SpineDraft {
    /// The blob.
    #[n(0)]
    pub physical: Hash,
    /// Its bytes.
    #[n(1)]
    pub bytes: u64,
    /// Its rows.
    #[n(2)]
    pub rows: u64,
    /// The column of the labels' time.
    #[n(3)]
    pub time_column: String,
    /// Its columns.
    #[n(4)]
    pub columns: Vec<ColumnDraft>,
}

/// A column and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ColumnDraft {
    /// The name.
    #[n(0)]
    pub name: String,
    /// The type's text.
    #[n(1)]
    pub data_type: String,
    /// The logical hash of its values in row order.
    #[n(2)]
    pub logical: Hash,
}

/// A file of a training set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct FileDraft {
    /// The blob.
    #[n(0)]
    pub physical: Hash,
    /// Its bytes.
    #[n(1)]
    pub bytes: u64,
    /// Its rows.
    #[n(2)]
    pub rows: u64,
}

/// A model was trained.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RegisterModel {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The name; the version is assigned.
    #[n(1)]
    pub name: Name,
    /// The training sets it was trained on, as record ids.
    #[n(2)]
    pub datasets: Vec<Hash>,
    /// The run's identity.
    #[n(3)]
    pub run: [u8; 16],
    /// The commitment to the code revision.
    #[n(4)]
    pub code: Option<Hash>,
    /// Parameters and the commitments to their values.
    #[n(5)]
    pub parameters: Vec<(String, Hash)>,
    /// Metrics as decimal text.
    #[n(6)]
    pub metrics: Vec<(String, String)>,
    /// The model's file.
    #[n(7)]
    pub artifact: Option<FileDraft>,
}

/// An alias moves.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Promote {
    /// The project.
    #[n(0)]
    pub project: Name,
    /// The model.
    #[n(1)]
    pub model: Name,
    /// Its version.
    #[n(2)]
    pub version: u32,
    /// The alias.
    #[n(3)]
    pub alias: Name,
}

/// Texts are erased.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Erase {
    /// The record, or agent, whose texts they are.
    #[n(0)]
    pub about: Hash,
    /// The commitments to the texts.
    #[n(1)]
    pub texts: BTreeSet<Hash>,
}

/// What the meta group answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum MetaReply {
    /// Done, or nothing was to be done.
    #[n(0)]
    Done,
    /// Nothing was changed.
    #[n(1)]
    Refused(#[n(0)] Refusal),
    /// The writer may write in this epoch.
    #[n(2)]
    Writer {
        /// The writer.
        #[n(0)]
        writer: WriterId,
        /// Its epoch.
        #[n(1)]
        epoch: u32,
    },
    /// The load may be staged.
    #[n(3)]
    LoadBegun {
        /// The load.
        #[n(0)]
        load: LoadId,
        /// Of each file asked for, in order: the load that brings it, where this one does not read it. That is an
        /// earlier load, or this one, where the same bytes come before.
        #[n(1)]
        skipped: Vec<Option<LoadId>>,
    },
    /// Every file is in the view already.
    #[n(4)]
    AlreadyLoaded {
        /// Of each file asked for, in order: the load that brought it.
        #[n(0)]
        loads: Vec<LoadId>,
    },
    /// The load is committed.
    #[n(5)]
    LoadCommitted {
        /// The commit time of its rows.
        #[n(0)]
        commit_time: TimestampUs,
        /// Its record.
        #[n(1)]
        record: Hash,
    },
    /// A name got a version.
    #[n(6)]
    Versioned {
        /// The version.
        #[n(0)]
        version: u32,
        /// Its record.
        #[n(1)]
        record: Hash,
    },
    /// The load cannot commit: another one brought one of its files since it began.
    #[n(7)]
    LoadOvertaken,
    /// Texts are erased.
    #[n(8)]
    Erased {
        /// The record of it; none where all were erased before.
        #[n(0)]
        record: Option<Hash>,
    },
}
