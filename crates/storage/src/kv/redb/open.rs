//! Opening redb: the file made whole or not at all, locked, and checked against what was synced.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use ::redb::{Builder, Database, ReadableDatabase};

use super::{ENGINE, STATE_TREE, convert, state, table};
use crate::{
    Error, Result,
    disk::Disk,
    kv::{
        guard::caught,
        quarantine::{make_directory, sync_directory},
        watermark,
    },
};

/// How redb is set up.
#[derive(Debug, Clone)]
pub struct RedbOptions {
    /// Bytes of pages kept in memory, read and written ones together.
    pub cache_bytes: u64,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024 }
    }
}

/// The file of redb.
const NAME: &str = "kv.redb";
const UNFINISHED: &str = "kv.redb.tmp";

/// A file that was opened.
pub(super) struct Opened {
    pub(super) db: Database,
    /// How many syncs it holds.
    pub(super) syncs: u64,
}

/// Takes the lock of a file; none where the disk has no locks, an error where another instance holds it.
pub(super) type Lock<'a> = &'a dyn Fn(&Path) -> Result<Option<File>>;

/// Opens the file in a directory, or makes one where none ever was.
pub(super) fn open(
    disk: &dyn Disk,
    directory: &Path,
    options: &RedbOptions,
    lock: Lock<'_>,
) -> Result<Opened> {
    make_directory(disk, directory)?;
    let noted = watermark::read(disk, directory)?.get(STATE_TREE).copied();
    let path = directory.join(NAME);
    let db = match disk.open(&path) {
        Ok(file) => build(directory, options, super::Backend::new(file, lock(&path)?))?,
        Err(source) if source.kind() == io::ErrorKind::NotFound => match noted {
            None => create(disk, directory, options, lock)?,
            Some(_) => return Err(corrupt(directory, format!("`{NAME}` is missing"))),
        },
        Err(source) => return Err(Error::io("open", path, source)),
    };
    // It may have been renamed by a process that did not live to sync the directory.
    sync_directory(disk, directory)?;
    let syncs = caught(ENGINE, directory, || read_syncs(directory, &db))?;
    let noted = noted.unwrap_or(0);
    if syncs < noted {
        return Err(corrupt(directory, format!("it holds {syncs} syncs of the {noted} that were noted")));
    }
    Ok(Opened { db, syncs })
}

/// The lock of a file of the operating system.
pub(super) fn os_lock(path: &Path) -> Result<Option<File>> {
    match super::backend::lock(path).map_err(|source| Error::io("lock", path, source))? {
        Some(file) => Ok(Some(file)),
        None => Err(Error::Locked {
            path: path.to_owned(),
            owner: "another instance of redb".to_owned(),
            advice: "close it first".to_owned(),
        }),
    }
}

/// Bytes of the file.
pub(super) fn file_bytes(disk: &dyn Disk, directory: &Path) -> Result<u64> {
    let path = directory.join(NAME);
    let length = disk.open_to_read(&path).and_then(|file| file.length());
    length.map_err(|source| Error::io("look at", path, source))
}

/// Makes the file under another name first: redb refuses one whose making was interrupted.
fn create(disk: &dyn Disk, directory: &Path, options: &RedbOptions, lock: Lock<'_>) -> Result<Database> {
    let unfinished: PathBuf = directory.join(UNFINISHED);
    watermark::remove_if_there(disk, &unfinished)
        .map_err(|source| Error::io("remove", &unfinished, source))?;
    let file = disk.create(&unfinished).map_err(|source| Error::io("make", &unfinished, source))?;
    let db = build(directory, options, super::Backend::new(file, lock(&unfinished)?))?;
    disk.rename(&unfinished, &directory.join(NAME))
        .map_err(|source| Error::io("rename", &unfinished, source))?;
    Ok(db)
}

fn build(directory: &Path, options: &RedbOptions, backend: super::Backend) -> Result<Database> {
    let cache_bytes = usize::try_from(options.cache_bytes).unwrap_or(usize::MAX);
    caught(ENGINE, directory, || {
        let built = Builder::new().set_cache_size(cache_bytes).create_with_backend(backend);
        built.map_err(|error| convert(directory, error))
    })
}

fn read_syncs(directory: &Path, db: &Database) -> Result<u64> {
    let transaction = db.begin_read().map_err(|error| convert(directory, error))?;
    let Some(states) = table(directory, &transaction, STATE_TREE)? else { return Ok(0) };
    match states.get(state::KEY).map_err(|error| convert(directory, error))? {
        Some(stored) => state::decode(stored.value()),
        None => Ok(0),
    }
}

fn corrupt(directory: &Path, found: String) -> Error {
    Error::corrupt(directory.display().to_string(), found)
}
