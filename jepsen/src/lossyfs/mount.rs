//! The disk as a mounted file system, over FUSE.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

use super::{Disk, Fault, Found, Survival};

/// How long the kernel may keep what it was told: nobody else changes the disk.
const KEEP: Duration = Duration::from_secs(60);
/// How long a sync takes, so that there is time in which something is not durable.
const SYNC_TIME: Duration = Duration::from_micros(1500);
/// Threads that answer the kernel: a sync holds one.
const THREADS: usize = 4;

/// A disk that can be mounted, lose its power, and be mounted again.
#[derive(Debug, Clone, Default)]
pub struct LossyFs {
    disk: Arc<Mutex<Disk>>,
}

/// A mounted disk; unmounted when it is dropped.
#[derive(Debug)]
pub struct Mounted {
    session: Option<BackgroundSession>,
}

impl LossyFs {
    /// Whether this machine can mount it: says why not.
    pub fn refusal() -> Option<String> {
        match std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") {
            Err(cause) => Some(format!("/dev/fuse cannot be opened: {cause}")),
            Ok(_) => {
                let place = tempfile::tempdir().ok()?;
                Self::default().mount(place.path()).err().map(|cause| format!("FUSE cannot mount: {cause}"))
            }
        }
    }

    /// Mounts it.
    ///
    /// # Errors
    /// The machine has no FUSE, or the caller may not mount.
    pub fn mount(&self, at: &Path) -> io::Result<Mounted> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("lossyfs".into()), MountOption::NoAtime];
        config.n_threads = Some(THREADS);
        config.clone_fd = true;
        let session = fuser::spawn_mount(self.clone(), at, &config)?;
        Ok(Mounted { session: Some(session) })
    }

    /// The disk.
    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power of an unmounted disk, and gives it back.
    pub fn lose_power(&self, survival: &mut Survival) {
        self.disk().lose_power(survival);
    }
}

impl Mounted {
    /// Unmounts it.
    ///
    /// # Errors
    /// Somebody still uses it.
    pub fn unmount(mut self) -> io::Result<()> {
        self.session.take().map_or(Ok(()), BackgroundSession::umount_and_join)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // Nobody is left to be told.
            let _ = session.umount_and_join();
        }
    }
}

fn errno(fault: Fault) -> Errno {
    match fault {
        Fault::NotFound => Errno::ENOENT,
        Fault::Exists => Errno::EEXIST,
        Fault::NotEmpty => Errno::ENOTEMPTY,
        Fault::IsDirectory => Errno::EISDIR,
        Fault::NotDirectory => Errno::ENOTDIR,
        Fault::Failed => Errno::EIO,
    }
}

fn attributes(found: Found) -> FileAttr {
    let epoch = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(found.number),
        size: found.length,
        blocks: found.length.div_ceil(512),
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        crtime: epoch,
        kind: if found.is_directory { FileType::Directory } else { FileType::RegularFile },
        perm: if found.is_directory { 0o755 } else { 0o644 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn empty(done: Result<(), Fault>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(fault) => reply.error(errno(fault)),
    }
}

fn entry(found: Result<Found, Fault>, reply: ReplyEntry) {
    match found {
        Ok(found) => reply.entry(&KEEP, &attributes(found), Generation(0)),
        Err(fault) => reply.error(errno(fault)),
    }
}

impl LossyFs {
    fn sync(&self, number: u64, reply: ReplyEmpty) {
        std::thread::sleep(SYNC_TIME);
        let done = self.disk().sync(number);
        empty(done, reply);
    }
}

impl Filesystem for LossyFs {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.disk().lookup(parent.0, name);
        entry(found, reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk().stat(ino.0) {
            Ok(found) => reply.attr(&KEEP, &attributes(found)),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let resized = match size {
            Some(length) => disk.content(ino.0).map(|content| content.set_length(length)),
            None => Ok(()),
        };
        match resized.and_then(|()| disk.stat(ino.0)) {
            Ok(found) => reply.attr(&KEEP, &attributes(found)),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        let made = self.disk().create(parent.0, name, true);
        entry(made, reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.disk().create(parent.0, name, false) {
            Ok(found) => {
                let attributes = attributes(found);
                reply.created(&KEEP, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.disk().remove(parent.0, name, false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.disk().remove(parent.0, name, true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.intersects(RenameFlags::RENAME_EXCHANGE) {
            return reply.error(Errno::EINVAL);
        }
        let mut disk = self.disk();
        if flags.intersects(RenameFlags::RENAME_NOREPLACE) && disk.lookup(newparent.0, newname).is_ok() {
            return reply.error(Errno::EEXIST);
        }
        empty(disk.rename((parent.0, name), (newparent.0, newname)), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.disk().stat(ino.0) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = self.disk().content(ino.0).map(|content| content.read(offset, size as usize));
        match bytes {
            Ok(bytes) => reply.data(&bytes),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.disk().content(ino.0).map(|content| content.write(offset, data));
        match written {
            Ok(()) => reply.written(data.len() as u32),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let extended = self.disk().content(ino.0).map(|content| {
            let length = content.length().max(offset.saturating_add(length));
            content.set_length(length);
        });
        empty(extended, reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino.0, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino.0, reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = self.disk();
        let names = match disk.names(ino.0) {
            Ok(names) => names,
            Err(fault) => return reply.error(errno(fault)),
        };
        let own = [".", ".."].map(|name| (OsStr::new(name), ino.0, FileType::Directory));
        let entries = names.iter().map(|(name, number)| {
            let is_directory = disk.stat(*number).is_ok_and(|found| found.is_directory);
            (
                name.as_os_str(),
                *number,
                if is_directory { FileType::Directory } else { FileType::RegularFile },
            )
        });
        for (position, (name, number, kind)) in
            (1..).zip(own.into_iter().chain(entries)).skip(offset as usize)
        {
            if reply.add(INodeNo(number), position, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCKS: u64 = 16 * 1024 * 1024;
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, 4096, 255, 4096);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }
}
