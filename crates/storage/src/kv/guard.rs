//! The guard around calls of an engine that others wrote: a panic is corruption, and a failure ends the store.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{Error, Result};

/// Guards the calls of one opened store.
#[derive(Debug)]
pub(super) struct Guard {
    engine: &'static str,
    directory: PathBuf,
    poison: OnceLock<String>,
}

impl Guard {
    /// The guard of a store that has not failed.
    pub(super) fn new(engine: &'static str, directory: &Path) -> Self {
        Self { engine, directory: directory.to_owned(), poison: OnceLock::new() }
    }

    /// The directory of the store.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Refuses where an earlier call failed.
    pub(super) fn check_alive(&self) -> Result<()> {
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned { store: "the key-value store", reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Makes a call. Whatever goes wrong inside ends the store.
    pub(super) fn run<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        caught(self.engine, &self.directory, call).map_err(|error| self.poisoned(error))
    }

    /// Ends the store for this reason.
    pub(super) fn poisoned(&self, error: Error) -> Error {
        // A store that is poisoned already keeps its first reason.
        let _ = self.poison.set(error.to_string());
        error
    }

    /// The error of a store that does not hold what it should.
    pub(super) fn corrupt(&self, found: String) -> Error {
        Error::corrupt(self.directory.display().to_string(), found)
    }
}

/// Makes a call; a panic inside is corruption.
pub(super) fn caught<T>(
    engine: &'static str,
    directory: &Path,
    call: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result,
        Err(panic) => {
            let reason = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
                .unwrap_or_else(|| "no reason given".to_owned());
            Err(Error::corrupt(directory.display().to_string(), format!("{engine} panicked: {reason}")))
        }
    }
}

/// Ends an instance; a panic of its engine over damaged files ends here.
pub(super) fn close<T>(store: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(store)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_corruption_and_ends_the_store_with_its_first_reason() {
        let guard = Guard::new("an engine", Path::new("kv"));
        assert!(guard.check_alive().is_ok());
        let call = || -> Result<()> { panic!("page {} is gone", 7) };
        let error = guard.run(call).expect_err("panicked");
        assert_eq!(error.to_string(), "kv is corrupt: an engine panicked: page 7 is gone");
        assert!(guard.run(|| Err::<(), _>(Error::invalid("later"))).is_err());
        let refused = guard.check_alive().expect_err("poisoned").to_string();
        assert!(refused.contains("page 7 is gone"), "{refused}");
    }
}
