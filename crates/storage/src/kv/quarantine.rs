//! The directory of a store: made durably, and moved aside where its content is in doubt.

use std::path::{Path, PathBuf};

use crate::{Error, Result, disk::Disk};

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KvReport {
    /// Where a doubtful directory was moved to; the store is empty then.
    pub quarantined: Option<PathBuf>,
    /// Why it was doubtful.
    pub reason: Option<String>,
}

/// Directories moved aside beside a store; more need a person.
const QUARANTINES: u32 = 1_000;

/// Opens a verified store. Where `open` finds corruption, the directory is moved aside, to `quarantine-N` beside
/// it, and `create` makes an empty store.
pub(super) fn open_or_move_aside<T>(
    directory: &Path,
    open: impl FnOnce() -> Result<T>,
    create: impl FnOnce() -> Result<T>,
) -> Result<(T, KvReport)> {
    match open() {
        Ok(store) => Ok((store, KvReport::default())),
        Err(error @ Error::Corrupt { .. }) => {
            let aside = move_aside(directory)?;
            let reason = error.to_string();
            tracing::error!(
                aside = %aside.display(), reason, "the key-value store is doubtful and was moved aside"
            );
            let report = KvReport { quarantined: Some(aside), reason: Some(reason) };
            Ok((create()?, report))
        }
        Err(error) => Err(error),
    }
}

/// Makes the directory, durably.
pub(super) fn make_directory(disk: &dyn Disk, directory: &Path) -> Result<()> {
    disk.create_directory(directory).map_err(|source| Error::io("make", directory, source))?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(disk, parent),
        _ => sync_directory(disk, Path::new(".")),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.sync_directory(path).map_err(|source| Error::io("sync", path, source))
}

/// Moves a directory aside, durably, and says where it is now.
fn move_aside(directory: &Path) -> Result<PathBuf> {
    let parent = directory.parent().unwrap_or_else(|| Path::new("."));
    let free = (1..=QUARANTINES)
        .map(|number| parent.join(format!("quarantine-{number}")))
        .find(|path| !path.exists());
    let Some(aside) = free else {
        return Err(Error::invalid(format!(
            "{} holds {QUARANTINES} quarantined directories already; look at them and remove them",
            parent.display()
        )));
    };
    std::fs::rename(directory, &aside).map_err(|source| Error::io("move aside", directory, source))?;
    sync_directory(&crate::disk::OsDisk, parent)?;
    Ok(aside)
}
