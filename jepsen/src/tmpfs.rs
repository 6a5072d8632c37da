//! A small file system in memory, to be filled.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{Error, Result};

/// Bytes written at once while filling.
const CHUNK: usize = 64 * 1024;

/// A mounted file system of a fixed size; unmounted when it is dropped.
#[derive(Debug)]
pub struct Tmpfs {
    at: TempDir,
}

impl Tmpfs {
    /// Mounts one.
    ///
    /// # Errors
    /// [`Error::Unable`] where the caller may not mount.
    pub fn mount(bytes: u64) -> Result<Self> {
        let at = tempfile::tempdir().map_err(|cause| Error::io("make", "a temporary directory", cause))?;
        let size = format!("size={bytes}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self { at }),
            Ok(output) => Err(Error::Unable(format!(
                "no tmpfs can be mounted: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
            Err(cause) => Err(Error::Unable(format!("there is no `mount`: {cause}"))),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.at.path()
    }

    /// Fills it to the last byte; the file that does so gives the space back when it is removed.
    ///
    /// # Errors
    /// The file cannot be written for another reason than a lack of space.
    pub fn fill(&self) -> Result<PathBuf> {
        let path = self.path().join("filler");
        let failed = |cause| Error::io("write", &path, cause);
        let mut file = File::create(&path).map_err(failed)?;
        for size in [CHUNK, 512, 1] {
            loop {
                match file.write(&vec![0x55; size]) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(cause) if cause.kind() == io::ErrorKind::StorageFull => break,
                    Err(cause) => return Err(failed(cause)),
                }
            }
        }
        Ok(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = Command::new("umount").arg("-l").arg(self.at.path()).output();
    }
}
