//! Arrow IPC from a network, a log or a file: decoded within bounds, behind an unwind boundary.
//!
//! Arrow's decoder trusts the lengths a message declares and panics on some schemas, so every message is
//! checked by [`check`] before it is decoded: nesting and number of fields, rows, elements of every child,
//! place of every buffer, size of every buffer once decompressed.
//!
//! Deliberately absent: streams of the format before Arrow 0.15 (without continuation markers), big-endian
//! data, tensors.

mod check;
mod decoder;
mod stream;

pub use decoder::IpcDecoder;
pub use stream::{decode_ipc_stream, encode_ipc};

pub(super) use stream::{MessageFrame, PREFIX, cut_short};

/// Dictionary messages of what has an end.
const DICTIONARIES: usize = 65_536;
/// Delta dictionaries of what has an end.
const DELTAS: usize = 64;

/// Bounds of what one decoder takes.
#[derive(Debug, Clone, Copy)]
pub struct IpcLimits {
    /// Rows of one record batch.
    pub rows: usize,
    /// Bytes of one message's body as it stands, and once decompressed; also of all dictionaries together.
    pub bytes: usize,
    /// Fields of the schema, those inside others counted too.
    pub fields: usize,
    /// Record batches of one stream.
    pub batches: usize,
    /// Dictionary messages of one stream.
    pub dictionaries: usize,
    /// Delta dictionaries of one stream: each copies what came before it.
    pub deltas: usize,
}

impl IpcLimits {
    /// For what is pushed, and for commands.
    pub const PUSH: Self = Self {
        rows: lineate_types::limits::BATCH_ROWS,
        bytes: 4 * lineate_types::limits::MESSAGE_BYTES,
        fields: 4 * lineate_types::limits::FEATURES_PER_VIEW,
        batches: lineate_types::limits::BATCH_ROWS,
        dictionaries: DICTIONARIES,
        deltas: DELTAS,
    };
    /// For messages of files, which are not held in a log.
    pub const FILE: Self = Self {
        rows: u32::MAX as usize,
        bytes: lineate_types::limits::INTAKE_MESSAGE_BYTES,
        fields: 4 * lineate_types::limits::FEATURES_PER_VIEW,
        batches: u32::MAX as usize,
        dictionaries: DICTIONARIES,
        deltas: DELTAS,
    };

    /// The same for a stream that may go on for ever, such as one of Flight: every message has its bounds, and so has
    /// what is held between them, but not their number.
    #[must_use]
    pub const fn open_ended(self) -> Self {
        Self { batches: usize::MAX, dictionaries: usize::MAX, deltas: usize::MAX, ..self }
    }
}
