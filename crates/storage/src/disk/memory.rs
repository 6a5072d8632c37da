//! A disk in memory that tears writes, loses what was not synced, fills up and fails on demand.
//!
//! A sector of [`SECTOR`] bytes is the unit that is written, and survives a crash, wholly or not at all: each one
//! written since the last sync of its file is kept or lost on its own, and a write that fails ends between two. Names not made durable by a sync of their directory
//! are kept or lost on their own too. Directories themselves are durable at once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Disk, DiskDirectory, DiskFile};
use crate::Seed;

/// Bytes that a crash keeps or loses together.
const SECTOR: u64 = 512;
/// What an operating system says that has no file descriptor left for the process.
const EMFILE: i32 = 24;

/// What happens to one operation that writes, allocates, syncs, renames or removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// Nothing: the operation succeeds. Useful to place a later fault.
    None,
    /// No space is left, and a write leaves nothing behind.
    FullAtOnce,
    /// No space is left. A write leaves about the first half of its sectors behind.
    Full,
    /// The device fails. A write leaves about the first half of its sectors behind; after a failed sync what was
    /// written can still be read, and no later sync makes it durable unless it is written again.
    Fails,
}

/// A disk in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<u64, Node>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    unsynced_names: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
    next_node: u64,
    /// Bumped by a crash: files opened before it are dead.
    epoch: u64,
    capacity_bytes: Option<u64>,
    out_of_descriptors: bool,
    faults: VecDeque<DiskFault>,
    operations: u64,
}

#[derive(Debug, Default, Clone)]
struct Node {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    dirty_sectors: BTreeSet<u64>,
    /// Written before a sync that failed, and not since: later syncs leave them out, as a kernel does that has
    /// reported the failure once.
    forgotten_sectors: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Link { path: PathBuf, node: u64 },
    Rename { from: PathBuf, to: PathBuf, node: u64 },
    Unlink { path: PathBuf },
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    node: u64,
    epoch: u64,
}

#[derive(Debug)]
struct MemDirectory {
    disk: MemDisk,
    path: PathBuf,
    epoch: u64,
}

impl MemDisk {
    /// An empty, healthy disk without a bound.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues faults; each following operation that writes, allocates, syncs, renames or removes takes one.
    pub fn inject(&self, faults: impl IntoIterator<Item = DiskFault>) {
        self.lock().faults.extend(faults);
    }

    /// Bounds the sum of the lengths of all files; none lifts the bound.
    pub fn set_capacity(&self, capacity_bytes: Option<u64>) {
        self.lock().capacity_bytes = capacity_bytes;
    }

    /// Takes the last file descriptor, so that nothing can be opened or created, or gives some back.
    pub fn set_out_of_descriptors(&self, out: bool) {
        self.lock().out_of_descriptors = out;
    }

    /// Operations that take a fault, so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Cuts the power and brings the disk back: of what was not synced the seed decides, sector by sector and
    /// name by name, what is found. Files opened before refuse every later call.
    pub fn crash(&self, seed: &mut Seed) {
        let mut state = self.lock();
        state.epoch += 1;
        state.faults.clear();
        for node in state.nodes.values_mut() {
            node.crash(seed);
        }
        for change in std::mem::take(&mut state.unsynced_names) {
            if seed.chance(500) {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        let linked: BTreeSet<u64> = state.names.values().copied().collect();
        state.nodes.retain(|node, _| linked.contains(node));
    }

    /// The bytes of a file as they are now, to look at them or to damage them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        state.node(path).map(|node| node.bytes.clone())
    }

    /// Replaces the bytes of a file, durably: damage done by the disk itself.
    pub fn replace(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.lock();
        let Some(node) = state.names.get(path).copied() else { return };
        state.nodes.insert(node, Node { durable: bytes.clone(), bytes, ..Node::default() });
    }

    /// Loses a file, durably: damage done by the disk itself.
    pub fn lose(&self, path: &Path) {
        let mut state = self.lock();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, node: u64, epoch: u64) -> Arc<dyn DiskFile> {
        Arc::new(MemFile { disk: self.clone(), node, epoch })
    }
}

impl State {
    fn node(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(self.names.get(path)?)
    }

    fn take_fault(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.faults.pop_front() {
            None | Some(DiskFault::None) => Ok(()),
            Some(DiskFault::Full | DiskFault::FullAtOnce) => Err(io::ErrorKind::StorageFull.into()),
            Some(DiskFault::Fails) => Err(io::Error::other("the device failed")),
        }
    }

    fn take_descriptor(&self) -> io::Result<()> {
        if self.out_of_descriptors { Err(io::Error::from_raw_os_error(EMFILE)) } else { Ok(()) }
    }

    /// Checks that `node` may become `length` bytes long.
    fn check_capacity(&self, node: u64, length: u64) -> io::Result<()> {
        let Some(capacity) = self.capacity_bytes else { return Ok(()) };
        let others = self.names.values().filter(|other| **other != node);
        let used: u64 =
            others.filter_map(|other| self.nodes.get(other)).map(|other| other.bytes.len() as u64).sum();
        let now = self.nodes.get(&node).map_or(0, |known| known.bytes.len() as u64);
        if length > now && used + length > capacity { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn check_directory(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        if self.directories.contains(directory) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }
}

impl Node {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(target) = self.bytes.get_mut(start..end) {
            target.copy_from_slice(bytes);
        }
        self.mark_dirty(offset, end as u64);
    }

    fn set_length(&mut self, length: u64) {
        let before = self.bytes.len() as u64;
        self.bytes.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        self.mark_dirty(before.min(length), before.max(length));
    }

    fn mark_dirty(&mut self, from: u64, to: u64) {
        let sectors = from / SECTOR..to.div_ceil(SECTOR);
        self.forgotten_sectors.retain(|sector| !sectors.contains(sector));
        self.dirty_sectors.extend(sectors);
    }

    fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.dirty_sectors) {
            self.make_durable(sector);
        }
    }

    fn fail_sync(&mut self) {
        self.forgotten_sectors.append(&mut self.dirty_sectors);
    }

    fn make_durable(&mut self, sector: u64) {
        let start = usize::try_from(sector * SECTOR).unwrap_or(usize::MAX);
        let end = start.saturating_add(SECTOR as usize).min(self.durable.len()).min(self.bytes.len());
        if let (Some(from), Some(to)) = (self.bytes.get(start..end), self.durable.get_mut(start..end)) {
            to.copy_from_slice(from);
        }
    }

    fn crash(&mut self, seed: &mut Seed) {
        let length = if seed.chance(500) { self.bytes.len() } else { self.durable.len() };
        self.durable.resize(length, 0);
        self.dirty_sectors.append(&mut self.forgotten_sectors);
        for sector in std::mem::take(&mut self.dirty_sectors) {
            if seed.chance(500) {
                self.make_durable(sector);
            }
        }
        self.bytes.clone_from(&self.durable);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link { path, node } => {
                names.insert(path.clone(), *node);
            }
            Self::Rename { from, to, node } => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
        }
    }

    /// Whether syncing the directory makes the change durable.
    fn is_in(&self, directory: &Path) -> bool {
        let (Self::Link { path, .. } | Self::Rename { to: path, .. } | Self::Unlink { path }) = self;
        path.parent() == Some(directory)
    }
}

impl Disk for MemDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.take_descriptor()?;
        state.check_directory(path)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.next_node;
        state.next_node += 1;
        state.nodes.insert(node, Node::default());
        state.change(NameChange::Link { path: path.to_owned(), node });
        Ok(self.file(node, state.epoch))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        state.take_descriptor()?;
        let node = state.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(node, state.epoch))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        if !state.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check_directory(to)?;
        state.take_fault()?;
        let node = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        state.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), node });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.take_fault()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(NameChange::Unlink { path: path.to_owned() });
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.lock().directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn open_directory(&self, path: &Path) -> io::Result<Arc<dyn DiskDirectory>> {
        let state = self.lock();
        state.take_descriptor()?;
        Ok(Arc::new(MemDirectory { disk: self.clone(), path: path.to_owned(), epoch: state.epoch }))
    }
}

impl DiskDirectory for MemDirectory {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        check_epoch(&state, self.epoch)?;
        state.take_fault()?;
        let (settled, unsettled): (Vec<_>, Vec<_>) = std::mem::take(&mut state.unsynced_names)
            .into_iter()
            .partition(|change| change.is_in(&self.path));
        state.unsynced_names = unsettled;
        for change in settled {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }
}

impl MemFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        check_epoch(&state, self.epoch)?;
        act(&mut state, self.node)
    }
}

fn check_epoch(state: &State, epoch: u64) -> io::Result<()> {
    match state.epoch == epoch {
        true => Ok(()),
        false => Err(io::Error::other("the power was cut since this file was opened")),
    }
}

/// What a failing write leaves: about half of its sectors, the first ones.
fn first_half(offset: u64, bytes: &[u8]) -> &[u8] {
    let middle = offset + bytes.len() as u64 / 2;
    let written = (middle - middle % SECTOR).saturating_sub(offset);
    usize::try_from(written).ok().and_then(|written| bytes.get(..written)).unwrap_or_default()
}

fn node_mut(state: &mut State, node: u64) -> io::Result<&mut Node> {
    state.nodes.get_mut(&node).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl DiskFile for MemFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|state, node| Ok(node_mut(state, node)?.bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|state, node| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = &node_mut(state, node)?.bytes;
            let found = bytes.get(start..start.saturating_add(buffer.len()));
            buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, node| {
            let at_once = state.faults.front() == Some(&DiskFault::FullAtOnce);
            let fault = state.take_fault();
            let written = match fault {
                Ok(()) => bytes,
                Err(_) if at_once => &[],
                Err(_) => first_half(offset, bytes),
            };
            state.check_capacity(node, offset + written.len() as u64)?;
            node_mut(state, node)?.write(offset, written);
            fault
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|state, node| {
            state.take_fault()?;
            state.check_capacity(node, length)?;
            node_mut(state, node)?.set_length(length);
            Ok(())
        })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|state, node| {
            node_mut(state, node)?.set_length(length);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, node| {
            let fault = state.take_fault();
            let node = node_mut(state, node)?;
            if fault.is_err() {
                node.fail_sync()
            } else {
                node.sync()
            }
            fault
        })
    }
}
