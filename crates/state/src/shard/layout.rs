//! Where a shard's state lies in its ordered key-value tree (`docs/formats/state.md`): one letter for the kind,
//! then numbers, big-endian, so that a scan meets them in order.

use lineate_types::{HistoryId, ViewId, WriterId};

use crate::{Error, LoadId, RunNumber, shard::RunKey};

/// `v` view → its definition.
pub(super) const VIEW: u8 = b'v';
/// `r` history, run, Raft index → a committed batch of an unsealed run.
pub(super) const ROWS: u8 = b'r';
/// `n` history → the number of its open run.
pub(super) const OPEN_RUN: u8 = b'n';
/// `m` history, number → a sealed run.
pub(super) const SEALED_RUN: u8 = b'm';
/// `t` load → a staged load.
pub(super) const STAGED: u8 = b't';
/// `o` history, run → a sealed run still to be recorded.
pub(super) const SEAL_NOTE: u8 = b'o';
/// `w` writer → where its window begins.
pub(super) const WINDOW_FLOOR: u8 = b'w';
/// `x` writer, epoch, sequence → a batch in its window.
pub(super) const REMEMBERED: u8 = b'x';
/// `e` → the last opening of a writer that was given up.
pub(super) const EXPIRED: u8 = b'e';

pub(super) fn view(view: ViewId) -> Vec<u8> {
    key(VIEW, &[&view.0.to_be_bytes()])
}

pub(super) fn rows(run: RunKey, index: u64) -> Vec<u8> {
    key(ROWS, &[&run.history.0.to_be_bytes(), &run.run.0.to_be_bytes(), &index.to_be_bytes()])
}

pub(super) fn open_run(history: HistoryId) -> Vec<u8> {
    key(OPEN_RUN, &[&history.0.to_be_bytes()])
}

pub(super) fn sealed_run(history: HistoryId, number: u64) -> Vec<u8> {
    key(SEALED_RUN, &[&history.0.to_be_bytes(), &number.to_be_bytes()])
}

pub(super) fn staged(load: LoadId) -> Vec<u8> {
    key(STAGED, &[&load.0.to_be_bytes()])
}

pub(super) fn seal_note(run: RunKey) -> Vec<u8> {
    key(SEAL_NOTE, &[&run.history.0.to_be_bytes(), &run.run.0.to_be_bytes()])
}

pub(super) fn window_floor(writer: WriterId) -> Vec<u8> {
    key(WINDOW_FLOOR, &[&writer.0.to_be_bytes()])
}

pub(super) fn remembered(writer: WriterId, epoch: u32, sequence: u64) -> Vec<u8> {
    key(REMEMBERED, &[&writer.0.to_be_bytes(), &epoch.to_be_bytes(), &sequence.to_be_bytes()])
}

pub(super) fn expired() -> Vec<u8> {
    vec![EXPIRED]
}

/// Reads a key back, number by number.
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl Numbers<'_> {
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(super) fn run(&mut self) -> Option<RunKey> {
        Some(RunKey { history: HistoryId(self.u32()?), run: RunNumber(self.u64()?) })
    }
}

/// What is said of a key that [`Numbers`] cannot read.
pub(super) fn damaged_key() -> Error {
    Error::Corrupt { what: "a key of the shard's tree".into(), why: "it is cut short".into() }
}

fn key(kind: u8, numbers: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind];
    numbers.iter().for_each(|number| key.extend_from_slice(number));
    key
}
