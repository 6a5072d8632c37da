//! The directory of a store: `DIR/{LOCK,FORMAT,log,kv,blobs,sealed,tmp}`, and `quarantine-N` where a `kv` was in doubt.
//!
//! Invariants: one process at a time holds it, by `flock` on `LOCK`; `FORMAT` is written last, so a directory
//! with one is complete; a directory that holds anything else is never taken for an empty store. The bytes are
//! in `docs/formats/data-dir.md`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use lineate_types::limits;
use uuid::Uuid;

use crate::{Error, Result};

/// The only version this code reads and writes.
const VERSION: u32 = 2;
const MAGIC: &str = "lineate store";
const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";
const FORMAT_UNFINISHED: &str = "FORMAT.tmp";
const LOG: &str = "log";
const KV: &str = "kv";
const BLOBS: &str = "blobs";
const SEALED: &str = "sealed";
const TMP: &str = "tmp";
/// What the name of a directory that was moved aside begins with.
const QUARANTINE: &str = "quarantine-";
/// `LOCK` and `FORMAT` are a few lines; more than this is not read.
const TEXT_BYTES: u64 = 4096;

/// What to do where there is no store yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Make one. A store that is there is opened as it is, with its own shards and id.
    Create {
        /// The number of shards, 1 to [`limits::BUCKETS`]; fixed for ever.
        shards: u16,
        /// The id of the new store.
        store_id: Uuid,
    },
    /// Fail.
    Existing,
}

/// The directory of a store, held by this process until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: File,
    format: Format,
    created: bool,
}

/// What `FORMAT` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    shards: u16,
    store_id: Uuid,
}

/// Bytes on the disk of a store: those it takes, as the file system counts them, and those that are left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Left to write.
    pub available_bytes: u64,
    /// Of the Raft log.
    pub log_bytes: u64,
    /// Of the key-value store.
    pub kv_bytes: u64,
    /// Of the blobs.
    pub blob_bytes: u64,
    /// Of the sealed texts.
    pub sealed_text_bytes: u64,
    /// Of temporary files: uploads, and what is being written.
    pub tmp_bytes: u64,
    /// Of key-value stores that were in doubt and were moved aside; nothing reads them.
    pub quarantine_bytes: u64,
}

/// Bytes that can still be written to the file system a path lies in.
///
/// # Errors
/// The operating system refuses.
pub fn available_bytes(path: &Path) -> Result<u64> {
    fs4::available_space(path).map_err(|source| Error::io("look at the space of", path, source))
}

impl DataDir {
    /// Opens the store in a directory and empties its `tmp`.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process holds it, [`Error::NoStore`] where there is no store and `mode`
    /// is [`OpenMode::Existing`], [`Error::Version`] where a newer version made it, [`Error::Corrupt`] where it
    /// holds data and no readable `FORMAT`, [`Error::Invalid`] where it holds files of others or the number of
    /// shards is out of bounds.
    pub fn open(path: &Path, mode: OpenMode) -> Result<Self> {
        match mode {
            OpenMode::Create { shards, .. } => {
                check_shards(shards)?;
                make_directory(path)?;
            }
            OpenMode::Existing if !path.join(FORMAT).exists() && !has_data(path)? => {
                return Err(no_store(path));
            }
            OpenMode::Existing => {}
        }
        let lock = take_lock(path)?;
        let (format, created) = match (read_format(path)?, mode) {
            (Some(format), _) => (format, false),
            (None, OpenMode::Create { shards, store_id }) => {
                (make_store(path, Format { shards, store_id })?, true)
            }
            (None, OpenMode::Existing) => return Err(without_format(path)?),
        };
        let directory = Self { path: path.to_owned(), lock, format, created };
        directory.empty_tmp()?;
        directory.write_lock(None)?;
        Ok(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of shards of the store.
    pub fn shards(&self) -> u16 {
        self.format.shards
    }

    /// The id of the store.
    pub fn store_id(&self) -> Uuid {
        self.format.store_id
    }

    /// Whether this opening made the store.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Bytes that can still be written to the directory's file system.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn available_bytes(&self) -> Result<u64> {
        available_bytes(&self.path)
    }

    /// What the store takes of its disk. Looks at every file; files that vanish meanwhile are not counted.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn usage(&self) -> Result<DiskUsage> {
        let taken = |path: PathBuf| {
            taken_bytes(&path).map_err(|source| Error::io("look at the files of", path, source))
        };
        Ok(DiskUsage {
            available_bytes: self.available_bytes()?,
            log_bytes: taken(self.log_dir())?,
            kv_bytes: taken(self.kv_dir())?,
            blob_bytes: taken(self.blobs_dir())?,
            sealed_text_bytes: taken(self.sealed_dir())?,
            tmp_bytes: taken(self.tmp_dir())?,
            quarantine_bytes: self.quarantines()?.into_iter().map(taken).sum::<Result<u64>>()?,
        })
    }

    /// The directories that were moved aside.
    fn quarantines(&self) -> Result<Vec<PathBuf>> {
        let moved_aside = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(QUARANTINE)) && path.is_dir()
        };
        Ok(children(&self.path)?.into_iter().filter(moved_aside).collect())
    }

    /// Where the Raft log is.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where the key-value store is.
    pub fn kv_dir(&self) -> PathBuf {
        self.path.join(KV)
    }

    /// Where the blobs are.
    pub fn blobs_dir(&self) -> PathBuf {
        self.path.join(BLOBS)
    }

    /// Where texts are that can be erased; left out of backups.
    pub fn sealed_dir(&self) -> PathBuf {
        self.path.join(SEALED)
    }

    /// Where temporary files go; emptied by each opening.
    pub fn tmp_dir(&self) -> PathBuf {
        self.path.join(TMP)
    }

    /// Writes into `LOCK` where this process can be reached, for the error of a second one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address is not one line; fails where the operating system refuses.
    pub fn set_address(&self, address: &str) -> Result<()> {
        if address.is_empty() || address.contains(char::is_control) || address.len() > 256 {
            return Err(Error::invalid(format!("`{address:?}` is not an address; expected `host:port`")));
        }
        self.write_lock(Some(address))
    }

    fn write_lock(&self, address: Option<&str>) -> Result<()> {
        let mut text = format!("pid {}\n", std::process::id());
        if let Some(address) = address {
            text.push_str(&format!("address {address}\n"));
        }
        let written = self.lock.write_all_at(text.as_bytes(), 0);
        let written = written.and_then(|()| self.lock.set_len(text.len() as u64));
        written.map_err(|source| Error::io("write", self.path.join(LOCK), source))
    }

    fn empty_tmp(&self) -> Result<()> {
        let tmp = self.tmp_dir();
        make_directory(&tmp)?;
        for path in children(&tmp)? {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|source| Error::io("remove", path, source))?;
        }
        Ok(())
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child process that has not run its own program yet.
        let _ = self.lock.unlock();
    }
}

impl Format {
    fn encode(&self) -> String {
        format!("{MAGIC}\nformat {VERSION}\nshards {}\nid {}\n", self.shards, self.store_id)
    }

    fn decode(path: &Path, text: &str) -> Result<Self> {
        let what = path.join(FORMAT).display().to_string();
        let mut lines = text.lines();
        if lines.next() != Some(MAGIC) {
            return Err(Error::corrupt(what, format!("it does not begin with `{MAGIC}`")));
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let version = field("format").and_then(|value| value.parse::<u32>().ok());
        match version {
            Some(VERSION) => {}
            Some(found) => return Err(Error::Version { what, found, known: VERSION }),
            None => return Err(Error::corrupt(what, "its second line is not `format` and a number")),
        }
        let shards = field("shards").and_then(|value| value.parse::<u16>().ok());
        let store_id = field("id").and_then(|value| Uuid::parse_str(&value).ok());
        match (shards, store_id) {
            (Some(shards), Some(store_id)) if check_shards(shards).is_ok() && lines.next().is_none() => {
                Ok(Self { shards, store_id })
            }
            _ => Err(Error::corrupt(what, "its lines are not `shards` and a number, then `id` and a uuid")),
        }
    }
}

fn check_shards(shards: u16) -> Result<()> {
    if (1..=limits::BUCKETS).contains(&shards) {
        return Ok(());
    }
    Err(Error::invalid(format!("a store has 1 to {} shards, not {shards}", limits::BUCKETS)))
}

/// Takes the lock, or says who holds it.
fn take_lock(path: &Path) -> Result<File> {
    let lock_path = path.join(LOCK);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|source| Error::io("open", &lock_path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let text = read_text(&mut lock).unwrap_or_default();
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            let (pid, address) = (field("pid ").unwrap_or("unknown"), field("address "));
            let owner = match address {
                Some(address) => format!("process {pid} at {address}"),
                None => format!("process {pid}"),
            };
            let advice = match address {
                Some(address) => format!("use `--addr {address}` instead of `--data-dir`, or stop it"),
                None => "wait until it ends; a server can be reached with `--addr`".to_owned(),
            };
            Err(Error::Locked { path: path.to_owned(), owner, advice })
        }
        Err(TryLockError::Error(source)) => Err(Error::io("lock", lock_path, source)),
    }
}

fn read_text(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(TEXT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn read_format(path: &Path) -> Result<Option<Format>> {
    let format_path = path.join(FORMAT);
    let mut file = match File::open(&format_path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| Error::io("open", &format_path, source))?,
    };
    let text = read_text(&mut file).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => Error::corrupt(format_path.display().to_string(), "it is not text"),
        _ => Error::io("read", &format_path, source),
    })?;
    Format::decode(path, &text).map(Some)
}

/// Makes the directories, then `FORMAT`: from then on the store is there.
fn make_store(path: &Path, format: Format) -> Result<Format> {
    let known = [LOCK, FORMAT_UNFINISHED, LOG, KV, BLOBS, SEALED, TMP];
    if let Some(other) = children(path)?.iter().find(|child| known.iter().all(|name| !child.ends_with(name)))
    {
        return Err(Error::invalid(format!(
            "{} holds {} and no store; name an empty or a new directory",
            path.display(),
            other.display()
        )));
    }
    if has_data(path)? {
        return Err(without_format(path)?);
    }
    for name in [LOG, KV, BLOBS, SEALED, TMP] {
        make_directory(&path.join(name))?;
    }
    let unfinished = path.join(FORMAT_UNFINISHED);
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(format.encode().as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path.join(FORMAT))
    };
    write().map_err(|source| Error::io("write", &unfinished, source))?;
    sync_directory(path)?;
    Ok(format)
}

/// Whether any part of a store holds something.
fn has_data(path: &Path) -> Result<bool> {
    for name in [LOG, KV, BLOBS, SEALED] {
        let part = path.join(name);
        if part.is_dir() && !children(&part)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The error of a directory without `FORMAT`.
fn without_format(path: &Path) -> Result<Error> {
    if has_data(path)? {
        let what = path.display().to_string();
        return Ok(Error::corrupt(
            what,
            "it holds data, and its file `FORMAT` is missing; restore that file",
        ));
    }
    Ok(no_store(path))
}

fn no_store(path: &Path) -> Error {
    Error::NoStore { path: path.to_owned() }
}

fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let read = || fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let children: io::Result<Vec<PathBuf>> = read();
    children.map_err(|source| Error::io("list", path, source))
}

/// Makes a directory, durably, unless it is there.
fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|source| Error::io("make", path, source))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

fn sync_directory(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|source| Error::io("sync", path, source))
}

/// Bytes of blocks that the files below a directory take; the store makes no links.
fn taken_bytes(directory: &Path) -> io::Result<u64> {
    /// What `st_blocks` counts, whatever the block size of the file system.
    const BLOCK_BYTES: u64 = 512;
    let vanished = |cause: &io::Error| cause.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(directory) {
        Err(cause) if vanished(&cause) => return Ok(0),
        other => other?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += taken_bytes(&entry.path())?,
            Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
            Err(cause) if vanished(&cause) => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(bytes)
}
