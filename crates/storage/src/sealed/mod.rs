//! Texts that may have to be erased, by a key that names each: many small ones, in few files.
//!
//! Invariants:
//! - what [`SealedFiles::put`] returned for is durable; calls that run at once share their syncs;
//! - a text that is damaged is an error of its own and hides no other;
//! - an erased text is gone from the files, and said to be erased ever after; of a forgotten one nothing is said;
//! - what is no frame goes with the next rewriting of its file: it may be a text that nobody can ask for.
//!
//! The bytes are in `docs/formats/sealed-texts.md`. Deliberately absent: what a text or its key means, and any way to
//! change a text.

mod frame;
mod pieces;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use lineate_types::{Hash, limits};

use self::{
    frame::{FileHeader, Frame, FrameKind},
    pieces::{Piece, pieces},
    writer::Writer,
};
use crate::{
    Error, Result,
    disk::{Disk, OsDisk},
};

/// Temporary names end so.
const UNFINISHED: &str = ".tmp";
const PREFIX: &str = "texts-";

/// A text to keep.
#[derive(Debug, Clone, Copy)]
pub struct NewText<'a> {
    /// Names it.
    pub key: Hash,
    /// Whether [`SealedFiles::listed`] gives it.
    pub listed: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What there is under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The bytes.
    Text(Vec<u8>),
    /// It was erased.
    Erased,
    /// It was never kept here.
    Unknown,
}

/// How many texts there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SealedReport {
    /// Texts that were whole when the files were opened, or were added since.
    pub texts: u64,
    /// Texts that were erased.
    pub erased: u64,
    /// Texts that are damaged.
    pub damaged: u64,
}

/// What an erasure found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// How many texts were there, and are gone now.
    pub erased: usize,
    /// The keys of no text: it was never kept here, or was lost with the header of its frame.
    pub unknown: Vec<Hash>,
}

/// What is left in a file of a text that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// That it was erased.
    Erased,
    /// Nothing.
    None,
}

/// Where a text is.
#[derive(Debug, Clone, Copy)]
enum Place {
    At { file: u32, offset: u32 },
    Damaged { file: u32 },
    Erased,
}

/// Texts in a directory.
#[derive(Debug)]
pub struct SealedFiles {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Taken before `index`, never after.
    writer: Mutex<Writer>,
    /// How much of what was appended is durable. Taken before `writer`, never after.
    synced: Mutex<u64>,
    index: RwLock<BTreeMap<Hash, Place>>,
    listed: Mutex<Vec<(Hash, Vec<u8>)>>,
    /// The files with bytes that are no frame. Taken last.
    unclean: Mutex<BTreeSet<u32>>,
}

impl SealedFiles {
    /// Opens the texts in a directory, which is made if it is not there. Reads all of it.
    ///
    /// # Errors
    /// [`Error::Version`] where a newer release wrote a file; fails where the operating system refuses. Damage is no
    /// error here.
    pub fn open(directory: &Path) -> Result<Self> {
        Self::open_on(Arc::new(OsDisk), directory)
    }

    /// As [`SealedFiles::open`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`SealedFiles::open`].
    pub fn open_on(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self> {
        disk.create_directory(directory).map_err(|source| Error::io("make", directory, source))?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk.sync_directory(parent).map_err(|source| Error::io("sync", parent, source))?;
        }
        let mut index = BTreeMap::new();
        let mut listed = Vec::new();
        let mut unclean = BTreeSet::new();
        let mut last = None;
        let names = disk.list(directory).map_err(|source| Error::io("list", directory, source))?;
        for name in names {
            let path = directory.join(&name);
            if name.ends_with(UNFINISHED) {
                disk.remove(&path).map_err(|source| Error::io("remove", path, source))?;
                continue;
            }
            let Some(number) = name.strip_prefix(PREFIX).and_then(|digits| digits.parse::<u32>().ok()) else {
                continue;
            };
            let (bytes, length) = read_file(disk.as_ref(), &path)?;
            FileHeader::check_version(&path, &bytes)?;
            let mut whole = length == bytes.len() as u64;
            let mut clean = whole;
            for piece in pieces(&bytes) {
                whole &= matches!(piece, Piece::Frame { .. });
                clean &= !matches!(piece, Piece::Garbage(_));
                if let Piece::Frame { frame: Frame { kind: FrameKind::Listed, key, payload }, .. } = &piece {
                    listed.push((*key, payload.to_vec()));
                }
                if let Some((key, place)) = piece.place(number) {
                    index.insert(key, place);
                }
            }
            if !clean {
                unclean.insert(number);
            }
            // Nothing is appended to a file that is in doubt.
            last = Some((number, whole.then_some(bytes.len() as u64)));
        }
        listed.retain(|(key, _)| matches!(index.get(key), Some(Place::At { .. })));
        let writer = Writer::open(disk.clone(), directory, last)?;
        Ok(Self {
            disk,
            directory: directory.to_owned(),
            writer: Mutex::new(writer),
            synced: Mutex::new(0),
            index: RwLock::new(index),
            listed: Mutex::new(listed),
            unclean: Mutex::new(unclean),
        })
    }

    /// Keeps texts. They are durable when this returns.
    ///
    /// # Errors
    /// [`Error::Full`] leaves everything as it was. After a failed sync [`Error::Poisoned`] refuses all further
    /// texts until the files are opened again; those that are there can still be read.
    pub fn put(&self, texts: &[NewText<'_>]) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        let mut parts = vec![Part::default()];
        for text in texts {
            if text.bytes.len() > limits::SEALED_BYTES {
                return Err(Error::TooLarge {
                    what: "a sealed text",
                    actual: text.bytes.len() as u64,
                    limit: limits::SEALED_BYTES as u64,
                });
            }
            match parts.last_mut() {
                Some(part) if part.has_room(text) => part.add(text),
                _ => {
                    let mut part = Part::default();
                    part.add(text);
                    parts.push(part);
                }
            }
        }
        let appended = {
            let mut writer = self.writer();
            for part in parts {
                let (file, start) = writer.append(&part.bytes)?;
                let mut index = self.index_mut();
                for (key, offset) in part.offsets {
                    // A file ends long before 4 GiB.
                    let offset = u32::try_from(start + offset).unwrap_or(u32::MAX);
                    index.insert(key, Place::At { file, offset });
                }
            }
            writer.appended()
        };
        self.sync_to(appended)
    }

    /// Makes durable what was appended, unless another call did so already.
    fn sync_to(&self, appended: u64) -> Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= appended {
            return Ok(());
        }
        // Not under the writer's lock: others append meanwhile, and share the next sync.
        let (file, appended) = self.writer().to_sync()?;
        match file.map_or(Ok(()), |file| file.sync()) {
            Ok(()) => {
                *synced = appended;
                Ok(())
            }
            Err(source) => {
                self.writer().poison(format!("a sync failed: {source}"));
                Err(Error::io("sync the sealed texts in", &self.directory, source))
            }
        }
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where this text is damaged; fails where the operating system refuses.
    pub fn get(&self, key: &Hash) -> Result<Found> {
        let index = self.index();
        let (file, offset) = match index.get(key) {
            None => return Ok(Found::Unknown),
            Some(Place::Erased) => return Ok(Found::Erased),
            Some(Place::Damaged { .. }) => return Err(damaged(key)),
            Some(Place::At { file, offset }) => (*file, u64::from(*offset)),
        };
        let path = self.path(file);
        let refused = |source| Error::io("read", &path, source);
        let file = self.disk.open_to_read(&path).map_err(refused)?;
        let mut header = [0; frame::HEADER_BYTES];
        if file.read_at(offset, &mut header).is_err() {
            return Err(damaged(key));
        }
        let Some(length) = Frame::total_length(&header) else { return Err(damaged(key)) };
        let mut bytes = vec![0; length];
        if file.read_at(offset, &mut bytes).is_err() {
            return Err(damaged(key));
        }
        match Frame::decode(&bytes) {
            Some((_, Ok(frame))) if frame.key == *key => Ok(Found::Text(frame.payload.to_vec())),
            _ => Err(damaged(key)),
        }
    }

    /// The texts that were marked to be listed and were whole when the files were opened. They are handed out once.
    pub fn listed(&self) -> Vec<(Hash, Vec<u8>)> {
        std::mem::take(&mut *self.listed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys of all texts, damaged ones too.
    pub fn keys(&self) -> BTreeSet<Hash> {
        let index = self.index();
        index.iter().filter(|(_, place)| !matches!(place, Place::Erased)).map(|(key, _)| *key).collect()
    }

    /// Erases texts, damaged ones too: their files are written anew without them.
    ///
    /// # Errors
    /// Fails where the operating system refuses; what was not erased is still there then. The call can be repeated,
    /// after the files were opened again if the error says so.
    pub fn erase(&self, keys: &BTreeSet<Hash>) -> Result<Erasure> {
        self.remove(keys, Mark::Erased)
    }

    /// Erases texts that nobody asks for, now or later: nothing is kept of them. Says how many there were.
    ///
    /// # Errors
    /// As [`SealedFiles::erase`].
    pub fn forget(&self, keys: &BTreeSet<Hash>) -> Result<usize> {
        Ok(self.remove(keys, Mark::None)?.erased)
    }

    fn remove(&self, keys: &BTreeSet<Hash>, mark: Mark) -> Result<Erasure> {
        let mut by_file: BTreeMap<u32, BTreeSet<Hash>> = BTreeMap::new();
        let mut erasure = Erasure::default();
        {
            let index = self.index();
            for key in keys {
                match index.get(key) {
                    Some(Place::At { file, .. } | Place::Damaged { file }) => {
                        by_file.entry(*file).or_default().insert(*key);
                    }
                    Some(Place::Erased) => {}
                    None => erasure.unknown.push(*key),
                }
            }
        }
        if mark == Mark::Erased && !erasure.unknown.is_empty() {
            // They may be in bytes that are no frame.
            for file in self.unclean().iter() {
                by_file.entry(*file).or_default();
            }
        }
        for (file, keys) in by_file {
            // Others may write between two files.
            self.remove_in(file, &keys, mark)?;
            erasure.erased += keys.len();
        }
        Ok(erasure)
    }

    fn remove_in(&self, number: u32, keys: &BTreeSet<Hash>, mark: Mark) -> Result<()> {
        let mut writer = self.writer();
        writer.check()?;
        let path = self.path(number);
        let (bytes, _) = read_file(self.disk.as_ref(), &path)?;
        let (rewritten, is_whole) = without(&bytes, number, keys, mark);
        // Readers wait: places of the one file mean nothing in the other.
        let mut index = self.index_mut();
        let replaced = writer.replace(number, &rewritten, is_whole);
        let (there, _) = read_file(self.disk.as_ref(), &path)?;
        for key in keys {
            index.remove(key);
        }
        for (key, place) in pieces(&there).filter_map(|piece| piece.place(number)) {
            index.insert(key, place);
        }
        if replaced.is_ok() {
            self.unclean().remove(&number);
        }
        replaced
    }

    /// How many texts there are.
    pub fn report(&self) -> SealedReport {
        let mut report = SealedReport::default();
        for place in self.index().values() {
            match place {
                Place::At { .. } => report.texts += 1,
                Place::Erased => report.erased += 1,
                Place::Damaged { .. } => report.damaged += 1,
            }
        }
        report
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(file_name(number))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unclean(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.unclean.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> RwLockReadGuard<'_, BTreeMap<Hash, Place>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Hash, Place>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `texts-000001`.
fn file_name(number: u32) -> String {
    format!("{PREFIX}{number:06}")
}

/// Frames to be appended to one file together.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    offsets: Vec<(Hash, u64)>,
}

impl Part {
    fn has_room(&self, text: &NewText<'_>) -> bool {
        let more = frame::FILE_HEADER_BYTES + Frame::encoded_length(text.bytes);
        self.bytes.len() + more <= limits::SEALED_FILE_BYTES
    }

    fn add(&mut self, text: &NewText<'_>) {
        self.offsets.push((text.key, self.bytes.len() as u64));
        let kind = if text.listed { FrameKind::Listed } else { FrameKind::Text };
        Frame { kind, key: text.key, payload: text.bytes }.encode(&mut self.bytes);
    }
}

/// A file anew, without some texts and without what is no frame; and whether nothing in it is damaged.
fn without(bytes: &[u8], number: u32, keys: &BTreeSet<Hash>, mark: Mark) -> (Vec<u8>, bool) {
    let mut rewritten = Vec::with_capacity(bytes.len());
    let mut is_whole = true;
    FileHeader { number }.encode(&mut rewritten);
    for piece in pieces(bytes) {
        match (piece.key().filter(|key| keys.contains(key)), piece) {
            (_, Piece::Garbage(_)) => {}
            (Some(key), _) if mark == Mark::Erased => {
                Frame { kind: FrameKind::Erased, key, payload: &[] }.encode(&mut rewritten);
            }
            (Some(_), _) => {}
            (None, Piece::Frame { bytes, .. }) => rewritten.extend_from_slice(bytes),
            (None, Piece::Damaged { key, is_cut_off, bytes }) => {
                is_whole = false;
                match is_cut_off {
                    // Behind it, other frames than before might be taken for its bytes.
                    true => Frame::encode_damaged(key, &mut rewritten),
                    false => rewritten.extend_from_slice(bytes),
                }
            }
        }
    }
    (rewritten, is_whole)
}

/// The bytes of a file and its length: of a file that is longer than any may be, only the beginning is read.
fn read_file(disk: &dyn Disk, path: &Path) -> Result<(Vec<u8>, u64)> {
    let refused = |source| Error::io("read", path, source);
    let file = disk.open_to_read(path).map_err(refused)?;
    let length = file.length().map_err(refused)?;
    let read = usize::try_from(length).unwrap_or(usize::MAX).min(limits::SEALED_FILE_BYTES);
    let mut bytes = vec![0; read];
    file.read_at(0, &mut bytes).map_err(refused)?;
    Ok((bytes, length))
}

fn damaged(key: &Hash) -> Error {
    Error::corrupt(format!("sealed text {key}"), "its bytes are not those that were written")
}
