//! Appending to the files of sealed texts, and writing one anew.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lineate_types::limits;

use super::{
    UNFINISHED, file_name,
    frame::{FILE_HEADER_BYTES, FileHeader},
};
use crate::{
    Error, Result,
    disk::{Disk, DiskFile},
};

/// Appends to the last file. Bytes are durable only once synced.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// The number of the last file there is, 0 if none.
    last: u32,
    /// That file, unless its end is in doubt.
    file: Option<Open>,
    /// Bytes appended since the files were opened.
    appended: u64,
    /// Why nothing may be written any more.
    poisoned: Option<String>,
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn DiskFile>,
    length: u64,
}

impl Writer {
    /// `last` is the last file with its length, if it can be appended to. What can be read is made durable:
    /// whoever wrote it may have ended before.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        last: Option<(u32, Option<u64>)>,
    ) -> Result<Self> {
        disk.sync_directory(directory).map_err(|source| Error::io("sync", directory, source))?;
        let mut open = None;
        if let Some((number, length)) = last {
            let path = directory.join(file_name(number));
            let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
            file.sync().map_err(|source| Error::io("sync", path, source))?;
            open = length.map(|length| Open { file, length });
        }
        let last = last.map_or(0, |(number, _)| number);
        Ok(Self { disk, directory: directory.to_owned(), last, file: open, appended: 0, poisoned: None })
    }

    /// Appends frames; gives the file's number and where they begin.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(u32, u64)> {
        self.check()?;
        let is_full = |open: &Open| {
            open.length > FILE_HEADER_BYTES as u64
                && open.length + bytes.len() as u64 > limits::SEALED_FILE_BYTES as u64
        };
        if let Some(full) = self.file.take_if(|open| is_full(open))
            && let Err(source) = full.file.sync()
        {
            self.poison(format!("a sync failed: {source}"));
            return Err(Error::io("sync the sealed texts in", &self.directory, source));
        }
        let open = match self.file.take() {
            Some(open) => open,
            None => self.create()?,
        };
        let open = self.file.insert(open);
        let start = open.length;
        if let Err(source) = open.file.write_at(start, bytes) {
            // What is left of it must not stand before the next frame.
            if let Err(again) = open.file.set_length(start) {
                self.poison(format!("a refused write could not be taken back: {again}"));
            }
            return Err(Error::io("write to", self.directory.join(file_name(self.last)), source));
        }
        open.length += bytes.len() as u64;
        self.appended += bytes.len() as u64;
        Ok((self.last, start))
    }

    /// Bytes appended since the files were opened.
    pub(super) fn appended(&self) -> u64 {
        self.appended
    }

    /// The file whose sync makes everything appended so far durable; none if it is already, since a file is synced
    /// before the next is begun.
    pub(super) fn to_sync(&self) -> Result<(Option<Arc<dyn DiskFile>>, u64)> {
        self.check()?;
        Ok((self.file.as_ref().map(|open| open.file.clone()), self.appended))
    }

    /// Replaces a file by other bytes, durably and at once; `is_whole` says that nothing in them is damaged, so that
    /// more may be appended. Where it fails and the file may have been replaced, nothing more can be written.
    pub(super) fn replace(&mut self, number: u32, bytes: &[u8], is_whole: bool) -> Result<()> {
        let file = write_aside(self.disk.as_ref(), &self.directory, number, bytes)?;
        match rename(self.disk.as_ref(), &self.directory, number) {
            Ok(()) => {}
            // It still has its old bytes.
            Err(full @ Error::Full { .. }) => return Err(full),
            Err(error) => {
                self.poison(format!("a file could not be replaced: {error}"));
                return Err(error);
            }
        }
        self.sync_directory()?;
        if number == self.last {
            self.file = is_whole.then(|| Open { file, length: bytes.len() as u64 });
        }
        Ok(())
    }

    /// Makes the next file. Where that fails before it has its name it holds no text, and is made again.
    fn create(&mut self) -> Result<Open> {
        let number =
            self.last.checked_add(1).ok_or_else(|| Error::invalid("there are 2^32 files of sealed texts"))?;
        let mut header = Vec::with_capacity(FILE_HEADER_BYTES);
        FileHeader { number }.encode(&mut header);
        let file = write_aside(self.disk.as_ref(), &self.directory, number, &header)?;
        rename(self.disk.as_ref(), &self.directory, number)?;
        self.sync_directory()?;
        self.last = number;
        Ok(Open { file, length: header.len() as u64 })
    }

    /// Makes the names in the directory durable. Where that fails nobody knows which are, and another sync would not
    /// tell: nothing more can be written.
    fn sync_directory(&mut self) -> Result<()> {
        let synced = self.disk.sync_directory(&self.directory);
        synced.map_err(|source| {
            self.poison(format!("a sync of the directory failed: {source}"));
            Error::io("sync", &self.directory, source)
        })
    }

    pub(super) fn poison(&mut self, reason: String) {
        self.poisoned = Some(reason);
    }

    pub(super) fn check(&self) -> Result<()> {
        match &self.poisoned {
            None => Ok(()),
            Some(reason) => {
                Err(Error::Poisoned { store: "the store of sealed texts", reason: reason.clone() })
            }
        }
    }
}

/// Writes a file under another name than its own, durably but for that name. If it fails, nothing is left of it.
fn write_aside(disk: &dyn Disk, directory: &Path, number: u32, bytes: &[u8]) -> Result<Arc<dyn DiskFile>> {
    let path = directory.join(file_name(number) + UNFINISHED);
    let write = || {
        let file = disk.create(&path)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        Ok(file)
    };
    write().map_err(|source| {
        // What cannot be removed now is removed by the next opening.
        let _ = disk.remove(&path);
        Error::io("write", &path, source)
    })
}

/// Gives a file that was written aside its name, which is not durable yet.
fn rename(disk: &dyn Disk, directory: &Path, number: u32) -> Result<()> {
    let path = directory.join(file_name(number));
    let aside = directory.join(file_name(number) + UNFINISHED);
    if let Err(source) = disk.rename(&aside, &path) {
        let _ = disk.remove(&aside);
        return Err(Error::io("rename", aside, source));
    }
    Ok(())
}
