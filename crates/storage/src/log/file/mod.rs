//! The Raft log in files: one log for all groups of a node, one sync for each append.
//!
//! Files of a fixed size are reserved in advance, written from front to end and never rewritten, apart from a
//! torn end. Invariants:
//! - an append is one frame in one file; it verifies wholly or it is not there;
//! - a file begins with the state of all groups, so a file is removed as soon as its entries are dead, and the
//!   few that are not are moved to the newest file first;
//! - recovery reads every byte; it clears a torn append at the very end of the last file and refuses all else;
//! - a failed sync poisons the log for ever; a full disk, or no file descriptor for the next file, refuses one append
//!   and leaves the log usable;
//! - files are as long as their header says, always, so a file cut short shows.
//!
//! The bytes are in `docs/formats/raft-log.md`. Deliberately absent: repair, and any second chance after a
//! failed sync, since the kernel may have dropped the pages.

mod cache;
mod format;
mod frame;
mod log_file;
mod recovery;
mod replay;
mod shared;
mod tail;
mod writer;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use lineate_types::GroupId;

use self::{frame::Record, log_file::LogFile, recovery::recover, shared::Shared, writer::Writer};
use super::{
    GroupState, LogBatch, LogEntry, RaftLog,
    group::{check, check_range},
};
use crate::{
    Error, Result,
    disk::{Disk, DiskDirectory, OsDisk},
};

pub use recovery::{RecoveryReport, TornTail};

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The store the log belongs to; the files of another store are refused.
    pub store_id: [u8; 16],
    /// The size of a file. A larger append gets a larger file.
    pub file_bytes: u64,
    /// Newest payloads kept in memory.
    pub cache_bytes: usize,
}

/// A Raft log in a directory.
#[derive(Debug)]
pub struct FileLog {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// The directory, kept open: syncing it must not fail for want of a descriptor.
    opened: Arc<dyn DiskDirectory>,
    options: LogOptions,
    /// Held during a whole append; readers never take it.
    writer: Mutex<Writer>,
    /// What is durable. Never held across a write or a sync.
    shared: RwLock<Shared>,
    poison: OnceLock<String>,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Location {
    sequence: u64,
    /// Of the record.
    offset: u64,
    payload_bytes: u32,
}

impl LogOptions {
    /// Files of 64 MiB, 32 MiB of payloads in memory.
    pub fn new(store_id: [u8; 16]) -> Self {
        Self { store_id, file_bytes: 64 * 1024 * 1024, cache_bytes: 32 * 1024 * 1024 }
    }
}

impl FileLog {
    /// Opens the log in a directory, or makes one where there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where anything but a torn append at the very end does not verify,
    /// [`Error::Version`] where a newer version wrote it, [`Error::Full`] where there is no space for a first
    /// file.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Self, RecoveryReport)> {
        Self::open_on(Arc::new(OsDisk), directory, options)
    }

    /// As [`FileLog::open`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`FileLog::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
    ) -> Result<(Self, RecoveryReport)> {
        disk.create_directory(directory).map_err(|source| Error::io("make", directory, source))?;
        let opened = disk.open_directory(directory).map_err(|source| Error::io("open", directory, source))?;
        let found = recover(disk.as_ref(), directory, opened.as_ref(), &options)?;
        let shared = Shared::new(found.groups, found.files, options.cache_bytes);
        let log = Self {
            disk,
            directory: directory.to_owned(),
            opened,
            options,
            writer: Mutex::new(found.writer),
            shared: RwLock::new(shared),
            poison: OnceLock::new(),
        };
        Ok((log, found.report))
    }

    /// Bytes its files take on the disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.read_shared().bytes_on_disk()
    }

    fn check_alive(&self) -> Result<()> {
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned { store: "the raft log", reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Ends the log unless there was merely no space or no descriptor.
    fn poison_unless_it_passes(&self, error: Error) -> Error {
        if !error.passes() {
            // A log that is poisoned already keeps its first reason.
            let _ = self.poison.set(error.to_string());
        }
        error
    }

    fn file(&self, sequence: u64) -> Result<LogFile> {
        self.read_shared().file(sequence)
    }

    fn read_shared(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_shared(&self) -> RwLockWriteGuard<'_, Shared> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLog for FileLog {
    fn append(&self, batch: &LogBatch) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_alive()?;
        let cuts = check(&self.read_shared().groups, batch)?;
        self.write_batch(&mut writer, batch, &cuts).map_err(|error| self.poison_unless_it_passes(error))
    }

    fn groups(&self) -> Vec<GroupId> {
        self.read_shared().groups.keys().copied().collect()
    }

    fn state(&self, group: GroupId) -> Option<GroupState> {
        self.read_shared().groups.get(&group).map(|known| known.state.clone())
    }

    fn entries(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<LogEntry>> {
        self.check_alive()?;
        self.find(group, range, max_bytes)?.into_iter().map(|found| found.read(group)).collect()
    }

    fn term(&self, group: GroupId, index: u64) -> Option<u64> {
        self.read_shared().groups.get(&group)?.term(index)
    }
}

/// An entry that was found, not yet read.
struct Found {
    index: u64,
    term: u64,
    location: Location,
    payload: Payload,
}

/// Where the payload comes from. An open file stays readable also after it is removed.
enum Payload {
    Cached(Bytes),
    In(LogFile),
}

impl FileLog {
    fn find(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<Found>> {
        let shared = self.read_shared();
        check_range(&shared.groups, group, &range)?;
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        for index in range {
            let Some(slot) = shared.groups.get(&group).and_then(|known| known.slot(index)) else { break };
            bytes = bytes.saturating_add(slot.stored.payload_bytes as usize);
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            let payload = match shared.cache.get(group, index) {
                Some(payload) => Payload::Cached(payload),
                None => Payload::In(shared.file(slot.stored.sequence)?),
            };
            found.push(Found { index, term: slot.term, location: slot.stored, payload });
        }
        Ok(found)
    }
}

impl Found {
    fn read(self, group: GroupId) -> Result<LogEntry> {
        match self.payload {
            Payload::Cached(payload) => Ok(LogEntry { index: self.index, term: self.term, payload }),
            Payload::In(file) => file.read_entry(group, self.index, self.term, &self.location),
        }
    }
}

impl Location {
    fn of(sequence: u64, record: &Record<'_>) -> Self {
        Self { sequence, offset: record.offset, payload_bytes: record.header.payload_bytes }
    }

    /// Bytes the entry takes in a file.
    fn bytes(&self) -> u64 {
        format::RECORD_HEADER as u64 + u64::from(self.payload_bytes)
    }
}
