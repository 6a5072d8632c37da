//! Where the demo works: a directory of its own, with the store and, below it, the files that were made up.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::error::Error;

/// Directories of other demos that are passed over before giving up.
const ATTEMPTS: u32 = 1_000;

/// A directory, removed with all it holds unless it is to be kept.
#[derive(Debug)]
pub(super) struct Place {
    store: PathBuf,
    kept: bool,
}

impl Place {
    /// The directory named, which must be empty or not there; or else a new one among the temporary files.
    ///
    /// # Errors
    /// The directory holds something, or cannot be made.
    pub(super) fn take(data_dir: Option<PathBuf>, keep: bool) -> Result<Self, Error> {
        match data_dir {
            Some(directory) => {
                refuse_what_is_not_empty(&directory)?;
                Ok(Self { store: directory, kept: true })
            }
            None => Ok(Self { store: temporary()?, kept: keep }),
        }
    }

    /// The store's directory.
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// The directory of the files that were made up.
    pub(super) fn files(&self) -> PathBuf {
        self.store.join("demo")
    }

    /// Whether it is there after the demo.
    pub(super) fn kept(&self) -> bool {
        self.kept
    }

    /// Makes the directory of the files.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn make_files(&self) -> Result<PathBuf, Error> {
        let files = self.files();
        fs::create_dir_all(&files).map_err(|source| unwritable(&files, source))?;
        Ok(files)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed from a directory of temporary files is removed by whoever cleans them up.
            let _ = fs::remove_dir_all(&self.store);
        }
    }
}

fn refuse_what_is_not_empty(directory: &Path) -> Result<(), Error> {
    match fs::read_dir(directory) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::File { action: "read", path: directory.to_owned(), source }),
        Ok(mut children) => match children.next() {
            None => Ok(()),
            Some(_) => Err(Error::Usage(format!(
                "{} is not empty; the demo makes a store of its own, in a new or an empty directory",
                directory.display()
            ))),
        },
    }
}

fn temporary() -> Result<PathBuf, Error> {
    let parent = std::env::temp_dir();
    let process = std::process::id();
    for attempt in 0..ATTEMPTS {
        let path = parent.join(match attempt {
            0 => format!("lineate-demo-{process}"),
            _ => format!("lineate-demo-{process}-{attempt}"),
        });
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(unwritable(&path, source)),
        }
    }
    Err(unwritable(&parent, std::io::ErrorKind::AlreadyExists.into()))
}

fn unwritable(path: &Path, source: std::io::Error) -> Error {
    Error::File { action: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_place_is_gone_afterwards_and_a_kept_one_is_not() {
        let place = Place::take(None, false).expect("made");
        let store = place.store().to_owned();
        let files = place.make_files().expect("made");
        assert!(files.starts_with(&store) && files.is_dir() && !place.kept());
        let other = Place::take(None, true).expect("made");
        let kept = other.store().to_owned();
        assert_ne!(store, kept);
        drop(place);
        drop(other);
        assert!(!store.exists() && kept.is_dir());
        fs::remove_dir_all(kept).expect("removed");
    }

    #[test]
    fn a_directory_that_holds_something_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        assert!(Place::take(Some(directory.path().to_owned()), false).is_ok());
        assert!(Place::take(Some(directory.path().join("new")), false).is_ok_and(|place| place.kept()));
        fs::write(directory.path().join("mine"), "precious").expect("written");
        let refused = Place::take(Some(directory.path().to_owned()), false);
        assert!(matches!(refused, Err(Error::Usage(_))), "{refused:?}");
        assert!(directory.path().join("mine").exists());
    }
}
