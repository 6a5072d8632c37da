//! Where a store lies during a run, and what a crash does to it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    Error, Result,
    lossyfs::{LossyFs, Mounted, Survival},
    random::Random,
};

/// Where a store lies.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    lossy: Option<(LossyFs, Option<Mounted>)>,
}

impl Place {
    /// On the disk of this machine. A killed process loses nothing that it wrote.
    ///
    /// # Errors
    /// There is no temporary directory.
    pub fn ordinary() -> Result<Self> {
        Ok(Self { directory: temporary()?, lossy: None })
    }

    /// On a disk that can lose its power.
    ///
    /// # Errors
    /// This machine cannot mount it.
    pub fn lossy() -> Result<Self> {
        let directory = temporary()?;
        let disk = LossyFs::default();
        let mut place = Self { directory, lossy: Some((disk, None)) };
        std::fs::create_dir(place.mount_point())
            .map_err(|cause| Error::io("make", place.mount_point(), cause))?;
        place.mount()?;
        Ok(place)
    }

    /// The data directory.
    pub fn store(&self) -> PathBuf {
        match self.lossy {
            Some(_) => self.mount_point().join("store"),
            None => self.directory.path().join("store"),
        }
    }

    /// The servers' log, on the disk of this machine.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// Whether a crash loses power.
    pub fn is_lossy(&self) -> bool {
        self.lossy.is_some()
    }

    /// Makes every sync fail from now on.
    pub fn fail_syncs(&self) {
        if let Some((disk, _)) = &self.lossy {
            disk.disk().fail_syncs(true);
        }
    }

    /// After the server is gone: loses the power, if this place can, and comes back. Says what was lost.
    ///
    /// # Errors
    /// It cannot be mounted again.
    pub fn lose_power(&mut self, random: &mut Random) -> Result<&'static str> {
        let Some((disk, mounted)) = &mut self.lossy else { return Ok("nothing but the process") };
        if let Some(mounted) = mounted.take() {
            mounted.unmount().map_err(|cause| Error::io("unmount", self.directory.path(), cause))?;
        }
        let (mut survival, lost) = match random.percent(50) {
            true => (Survival::nothing(), "everything unsynced"),
            false => (Survival::some(random.fork()), "some of the unsynced"),
        };
        disk.lose_power(&mut survival);
        self.mount()?;
        Ok(lost)
    }

    /// Keeps the directory, for a look at what was found.
    pub fn keep(self) -> PathBuf {
        let Self { directory, lossy } = self;
        drop(lossy);
        directory.keep()
    }

    fn mount_point(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn mount(&mut self) -> Result<()> {
        let at = self.mount_point();
        if let Some((disk, mounted)) = &mut self.lossy {
            *mounted = Some(disk.mount(&at).map_err(|cause| Error::io("mount", at, cause))?);
        }
        Ok(())
    }
}

fn temporary() -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("lineate-jepsen-").tempdir();
    made.map_err(|cause| Error::io("make", Path::new("a temporary directory"), cause))
}
