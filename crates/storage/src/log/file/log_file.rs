//! One file of the log: how it is named, created, opened and read.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Location,
    format::{FileHeader, Place, RECORD_HEADER, RecordHeader, RecordKind, SECTOR},
};
use crate::{
    Error, Result,
    disk::{Disk, DiskDirectory, DiskFile},
    log::LogEntry,
};

/// A file begun under this name is not part of the log yet.
const UNFINISHED: &str = "next.tmp";

/// An open file of the log.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    pub(super) sequence: u64,
    pub(super) file_bytes: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

/// The name of a file: its number in hex, so that names sort as numbers do.
pub(super) fn file_name(sequence: u64) -> String {
    format!("{sequence:016x}.log")
}

/// The number a name stands for, if it is the name of a log file.
pub(super) fn parse_file_name(name: &str) -> Option<u64> {
    let sequence = u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()?;
    (file_name(sequence) == name).then_some(sequence)
}

/// The error of a failed sync: nobody knows what is durable now.
pub(super) fn sync_failed(path: &Path, source: &io::Error) -> Error {
    Error::Poisoned { store: "the raft log", reason: format!("could not sync {}: {source}", path.display()) }
}

impl LogFile {
    /// Creates a file with its header and its first unit: wholly and durably, or not at all. `opened` is the
    /// directory: between giving the file its name and syncing that, nothing may be missing.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        opened: &dyn DiskDirectory,
        header: &FileHeader,
        head: &[u8],
    ) -> Result<Self> {
        let unfinished = directory.join(UNFINISHED);
        let path = directory.join(file_name(header.sequence));
        remove_unfinished(disk, directory)?;
        let file = fill(disk, &unfinished, header, head).inspect_err(|_| {
            // What is left is removed before the next attempt, and by the next start.
            let _ = disk.remove(&unfinished);
        })?;
        file.sync().map_err(|source| sync_failed(&unfinished, &source))?;
        disk.rename(&unfinished, &path).map_err(|source| Error::io("rename", &unfinished, source))?;
        opened.sync().map_err(|source| sync_failed(directory, &source))?;
        Ok(Self { sequence: header.sequence, file_bytes: header.file_bytes, path, file })
    }

    /// Opens a file and reads all of it. Its length must be the one its header names.
    pub(super) fn open(
        disk: &dyn Disk,
        directory: &Path,
        sequence: u64,
    ) -> Result<(Self, FileHeader, Vec<u8>)> {
        let name = file_name(sequence);
        let path = directory.join(&name);
        let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
        let length = file.length().map_err(|source| Error::io("measure", &path, source))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes).map_err(|source| Error::io("read", &path, source))?;
        let header = FileHeader::decode(&name, sequence, &bytes)?;
        if header.file_bytes != length {
            let found = format!("it is {length} bytes long and should be {}", header.file_bytes);
            return Err(Error::corrupt(format!("raft log file `{name}`"), found));
        }
        Ok((Self { sequence, file_bytes: length, path, file }, header, bytes))
    }

    /// The place of an offset in this file.
    pub(super) fn place(&self, offset: u64) -> Place {
        Place { sequence: self.sequence, offset }
    }

    /// Reads one entry back and verifies it against what it must be.
    pub(super) fn read_entry(
        &self,
        group: lineate_types::GroupId,
        index: u64,
        term: u64,
        location: &Location,
    ) -> Result<LogEntry> {
        let mut bytes = vec![0; RECORD_HEADER + location.payload_bytes as usize];
        let corrupt = |found: String| {
            let name = file_name(self.sequence);
            Error::corrupt(format!("entry {index} of group {group} in raft log file `{name}`"), found)
        };
        match self.file.read_at(location.offset, &mut bytes) {
            Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("the file ends before it".to_owned()));
            }
            other => other.map_err(|source| Error::io("read", &self.path, source))?,
        }
        let verified =
            RecordHeader::decode(self.place(location.offset), &bytes).is_some_and(|(header, _)| {
                let is_entry = matches!(header.kind, RecordKind::Entry | RecordKind::Moved);
                is_entry && (header.group, header.index, header.term) == (group, index, term)
            });
        if !verified {
            return Err(corrupt(format!("the record at {} does not verify", location.offset)));
        }
        let payload = bytes::Bytes::from(bytes).slice(RECORD_HEADER..);
        Ok(LogEntry { index, term, payload })
    }
}

/// Removes what an interrupted creation left.
pub(super) fn remove_unfinished(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let path = directory.join(UNFINISHED);
    match disk.remove(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, source)),
        _ => Ok(()),
    }
}

fn fill(disk: &dyn Disk, path: &Path, header: &FileHeader, head: &[u8]) -> Result<Arc<dyn DiskFile>> {
    let file = disk.create(path).map_err(|source| Error::io("create", path, source))?;
    file.allocate(header.file_bytes).map_err(|source| Error::io("reserve space for", path, source))?;
    file.write_at(0, &header.encode()).map_err(|source| Error::io("write", path, source))?;
    file.write_at(SECTOR, head).map_err(|source| Error::io("write", path, source))?;
    Ok(file)
}
