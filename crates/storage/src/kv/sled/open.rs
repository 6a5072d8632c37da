//! Opening sled, which may find its files broken and may panic over them.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    Error, Result,
    disk::OsDisk,
    kv::quarantine::{make_directory, sync_directory},
};

/// How sled is set up.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Bytes of pages kept in memory. What sled really takes is several times that.
    pub cache_bytes: u64,
}

/// Bytes of a segment of sled's log.
///
/// sled moves a page larger than a quarter of a segment into a file of its own, which it never syncs. A leaf
/// holds at most 20 pairs (it is split above 16, and merged with a sibling of less than 4) and an index node at
/// most 320 keys, so with values up to 48 KiB and keys up to 6 KiB no page reaches 2 MiB.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// How often opening is tried while an earlier instance in this process still lets go of the files.
const ATTEMPTS: u32 = 50;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024 }
    }
}

/// Opens sled on a thread of its own, so that a panic inside is an error here.
pub(super) fn open(directory: &Path, options: &SledOptions) -> Result<::sled::Db> {
    make_directory(&OsDisk, directory)?;
    remove_unfinished_snapshots(directory)?;
    // No flushing in the background: `sync` is the only thing that makes anything durable.
    let config = ::sled::Config::new()
        .path(directory)
        .cache_capacity(options.cache_bytes)
        .segment_size(SEGMENT_BYTES)
        .mode(::sled::Mode::HighThroughput)
        .flush_every_ms(None);
    for _ in 1..ATTEMPTS {
        match open_once(&config) {
            Err(Refusal::Busy) => thread::sleep(PAUSE),
            other => return other.map_err(|refusal| refusal.into_error(directory)),
        }
    }
    open_once(&config).map_err(|refusal| refusal.into_error(directory))
}

/// Makes durable what opening wrote: sled never syncs its configuration, and refuses to open with a torn one.
pub(super) fn sync_opened(directory: &Path) -> Result<()> {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in listed.map_err(|source| Error::io("list", directory, source))? {
        let path = entry.path();
        if path.is_file() {
            let synced = fs::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|source| Error::io("sync", path, source))?;
        }
    }
    sync_directory(&OsDisk, directory)
}

/// An error of sled, told apart by what to do about it.
pub(super) fn convert(directory: &Path, error: ::sled::Error) -> Error {
    match error {
        ::sled::Error::Io(source) => match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound => {
                Error::corrupt(directory.display().to_string(), format!("sled says: {source}"))
            }
            _ => Error::io("use", directory, source),
        },
        other => Error::corrupt(directory.display().to_string(), format!("sled says: {other}")),
    }
}

enum Refusal {
    /// Another instance holds the files.
    Busy,
    Other(::sled::Error),
    Panic(Error),
}

impl Refusal {
    fn into_error(self, directory: &Path) -> Error {
        match self {
            Self::Busy => Error::Locked {
                path: directory.to_owned(),
                owner: "another instance of sled".to_owned(),
                advice: "close it first".to_owned(),
            },
            Self::Other(error) => convert(directory, error),
            Self::Panic(error) => error,
        }
    }
}

fn open_once(config: &::sled::Config) -> std::result::Result<::sled::Db, Refusal> {
    let config = config.clone();
    let opening = thread::Builder::new().name("sled-open".to_owned()).spawn(move || {
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        opened.unwrap_or_else(|_| Err(::sled::Error::ReportableBug("sled panicked while opening".to_owned())))
    });
    let opening = opening.map_err(|source| Refusal::Other(::sled::Error::Io(source)))?;
    match opening.join() {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(::sled::Error::Io(source))) if is_busy(&source) => Err(Refusal::Busy),
        Ok(Err(error)) => Err(Refusal::Other(error)),
        Err(_) => Err(Refusal::Panic(Error::corrupt("the key-value store", "sled panicked while opening"))),
    }
}

/// sled turns a refused lock into an error of kind `Other`.
fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("lock")
}

/// Removes snapshots whose writing was interrupted: sled takes them for whole ones and fails for ever.
fn remove_unfinished_snapshots(directory: &Path) -> Result<()> {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut removed = false;
    for entry in listed.map_err(|source| Error::io("list", directory, source))? {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(|source| Error::io("remove", entry.path(), source))?;
            removed = true;
        }
    }
    if removed { sync_directory(&OsDisk, directory) } else { Ok(()) }
}
