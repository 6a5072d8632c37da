//! A real full disk: a small tmpfs. Needs the right to mount one, and says so where it is missing.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use lineate_storage::{
    Error,
    blob::{BlobStore, DirBlobs},
    log::{FileLog, LogBatch, LogOptions, RaftLog},
};

use crate::{
    blob_conformance::list,
    log_conformance::{GROUP, entry, part},
};

/// A mounted tmpfs, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(directory.path())
            .output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(Self(directory)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(cause) => format!("there is no `mount`: {cause}"),
        };
        // Not `eprintln`: the test harness swallows it.
        writeln!(io::stderr(), "skip[no-tmpfs]: no tmpfs can be mounted: {why}").expect("writes");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) -> PathBuf {
        let ballast = self.path().join("ballast");
        // The write fails when the disk is full: that is the point.
        let _ = fs::write(&ballast, vec![1; 2 << 20]);
        ballast
    }

    /// Gives the space back. The file is cut, not removed: a process that another test starts at this moment may
    /// hold it open until it runs its own program.
    fn empty(ballast: &Path) {
        fs::write(ballast, "").expect("cuts");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn the_log_survives_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path().join("log");
    let options = LogOptions { file_bytes: 128 * 1024, ..LogOptions::new([1; 16]) };
    let (log, _) = FileLog::open(&path, options.clone()).expect("opens");
    let batch = |index| LogBatch::of(part(GROUP, vec![entry(index, 1, &"q".repeat(20_000))]));
    log.append(&batch(1)).expect("appends");
    let ballast = disk.fill();
    let refused = (2..100).find(|index| match log.append(&batch(*index)) {
        Ok(()) => false,
        Err(error) => {
            assert!(matches!(error, Error::Full { .. }), "{error}");
            true
        }
    });
    let refused = refused.expect("the file that is reserved fills up");
    assert!(refused > 3, "what was reserved could be used: {refused}");
    SmallDisk::empty(&ballast);
    log.append(&batch(refused)).expect("there is space again");
    drop(log);
    let (log, report) = FileLog::open(&path, options).expect("opens");
    assert_eq!((report.entries, report.torn), (refused, None));
    assert_eq!(log.entries(GROUP, refused..refused + 1, 0).expect("reads").len(), 1);
}

#[test]
fn blobs_survive_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let blobs = DirBlobs::open(&disk.path().join("blobs"), &disk.path().join("tmp")).expect("opens");
    blobs.put(b"first").expect("stores");
    let ballast = disk.fill();
    assert!(matches!(blobs.put(&vec![2; 600_000]), Err(Error::Full { .. })));
    assert_eq!(list(&blobs).len(), 1);
    SmallDisk::empty(&ballast);
    blobs.put(&vec![2; 600_000]).expect("there is space again");
}
