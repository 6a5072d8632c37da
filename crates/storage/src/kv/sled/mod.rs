//! Ordered keys and values in sled 0.34.7, behind the guards that make it sound.
//!
//! sled's own flush is not durable on Linux, it may fail to open after a crash, it may panic over damaged files,
//! and it loses what lies in files beside its log. Hence, invariants:
//! - a sync is sled's flush, then an fsync of its `db` file and its directory; opening syncs every file, since
//!   sled never syncs its configuration;
//! - no page is ever large enough to leave the log (see `SEGMENT_BYTES`): values above 48 KiB are in chunks;
//! - each tree counts its batches, and what a sync made durable is noted beside sled: a tree that comes back
//!   with less is corrupt;
//! - each tree sums up its pairs, and verifying it compares: sled opens damaged files with holes in them;
//! - every value is verified together with its key when it is read;
//! - every call is guarded: an error or a panic inside poisons the store;
//! - on corruption the directory is moved aside, never repaired: its content is rebuilt from elsewhere.
//!
//! The bytes are in `docs/formats/kv.md`. Deliberately absent: sled's transactions, merge operators and
//! subscriptions, and its default tree.

mod open;
mod value;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    ops::Bound,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use self::{
    open::{convert, open, sync_opened},
    value::{
        CHUNK_BYTES, CHUNK_PREFIX, Chunks, HEAD_PREFIX, Head, STATE_KEY, TreeState, chunk_key, decode_chunk,
        decode_head, encode, head_key, key_of_chunk,
    },
};
use super::{
    KvBatch, KvOp, KvReport, OrderedKv, Pair, Visit, add_pair, check_tree,
    envelope::corrupt,
    guard::{Guard, caught, close},
    quarantine::{open_or_move_aside, sync_directory},
    watermark::{self, Counts},
};
use crate::{Error, Result, disk::OsDisk};

pub use self::open::SledOptions;

/// The tree sled makes by itself.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// Ordered keys and values in sled.
pub struct SledKv {
    db: ::sled::Db,
    guard: Guard,
    /// sled's log. Open from the start: an error of writing it back is reported to files that were open then.
    db_file: File,
    trees: Mutex<BTreeMap<String, Tree>>,
    /// What the last sync noted. Held during a whole sync or drop, taken before `trees`.
    noted: Mutex<Counts>,
    /// Taken to write by each batch, and to read while chunks are put together, so that they belong together.
    gate: RwLock<()>,
}

impl Drop for SledKv {
    /// sled syncs its file when it goes, and panics where that fails. Then it stays, until the process ends: there is
    /// nothing left to be done with it, and the disk is not to be trusted.
    fn drop(&mut self) {
        if self.db_file.sync_all().is_err() {
            std::mem::forget(self.db.clone());
        }
    }
}

/// How the engine is called in messages.
const ENGINE: &str = "sled";

#[derive(Debug, Clone)]
struct Tree {
    tree: ::sled::Tree,
    /// Keys whose values are in chunks, and how many.
    chunked: BTreeMap<Vec<u8>, u32>,
    /// Stored with each batch.
    state: TreeState,
}

impl SledKv {
    /// Opens the store in a directory, or makes one where there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where sled cannot open it; see [`SledKv::open_or_quarantine`].
    pub fn open(directory: &Path, options: &SledOptions) -> Result<Self> {
        let db = open(directory, options)?;
        let db_path = directory.join("db");
        let db_file = File::open(&db_path).map_err(|source| Error::io("open", db_path, source))?;
        sync_opened(directory)?;
        let store = Self {
            db,
            guard: Guard::new(ENGINE, directory),
            db_file,
            trees: Mutex::default(),
            noted: Mutex::default(),
            gate: RwLock::default(),
        };
        store.load_trees()?;
        Ok(store)
    }

    /// Opens the store in a directory and verifies every value. A doubtful directory is moved aside, to
    /// `quarantine-N` beside it, and an empty store is made.
    ///
    /// # Errors
    /// Fails where neither works, and where a newer version wrote the store.
    pub fn open_or_quarantine(directory: &Path, options: &SledOptions) -> Result<(Self, KvReport)> {
        let open = || {
            let store = Self::open(directory, options)?;
            match store.verify() {
                Ok(()) => Ok(store),
                Err(error) => {
                    close(store);
                    Err(error)
                }
            }
        };
        open_or_move_aside(directory, open, || Self::open(directory, options))
    }

    /// Reads and verifies everything: every value, and that none is missing, stale or too many.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where something does not verify.
    pub fn verify(&self) -> Result<()> {
        for name in self.trees()? {
            self.verify_pairs(&name)?;
            self.scan(&name, &[], &mut |_, _| Ok(()))?;
        }
        Ok(())
    }

    /// Compares the pairs of a tree with what it says about itself. No batch is applied meanwhile.
    fn verify_pairs(&self, name: &str) -> Result<()> {
        let trees = self.lock_trees();
        let Some(known) = trees.get(name) else { return Ok(()) };
        let mut found = TreeState { batches: known.state.batches, ..TreeState::default() };
        let mut pairs = known.tree.iter();
        while let Some((stored_key, stored)) = self.guarded(|| pairs.next().transpose())? {
            if *stored_key != [STATE_KEY] {
                found.add(&stored_key, &stored);
            }
        }
        if found != known.state {
            let (found, expected) = (found.pairs, known.state.pairs);
            return Err(self.guard.corrupt(format!(
                "tree `{name}` does not hold what was put into it; {found} stored pairs were found of {expected}"
            )));
        }
        Ok(())
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// Fails where the operating system refuses.
    pub fn size_on_disk(&self) -> Result<u64> {
        self.guard.check_alive()?;
        let size = || self.db.size_on_disk().map_err(|error| convert(self.guard.directory(), error));
        caught(ENGINE, self.guard.directory(), size)
    }

    fn load_trees(&self) -> Result<()> {
        let names = self.guarded(|| Ok(self.db.tree_names()))?;
        let mut noted = self.lock_noted();
        let mut trees = self.lock_trees();
        for name in names.iter().filter(|name| **name != DEFAULT_TREE) {
            let text = std::str::from_utf8(name)
                .map_err(|_| self.guard.corrupt("a tree has a name that is not text".to_owned()))?;
            trees.insert(text.to_owned(), self.load_tree(text)?);
        }
        *noted = watermark::read(&OsDisk, self.guard.directory())?;
        for (name, synced) in noted.iter() {
            let found = trees.get(name).map_or(0, |tree| tree.state.batches);
            if found < *synced {
                let found = format!("tree `{name}` holds {found} batches of the {synced} that were synced");
                return Err(self.guard.corrupt(found));
            }
        }
        Ok(())
    }

    fn load_tree(&self, name: &str) -> Result<Tree> {
        let tree = self.guarded(|| self.db.open_tree(name))?;
        let stored = self.guarded(|| tree.get([STATE_KEY]))?;
        let state = match &stored {
            Some(stored) => TreeState::decode(name, stored)?,
            None => TreeState::default(),
        };
        let mut chunked: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let mut chunks = tree.scan_prefix([CHUNK_PREFIX]).keys();
        while let Some(stored_key) = self.guarded(|| chunks.next().transpose())? {
            let key =
                key_of_chunk(&stored_key).ok_or_else(|| corrupt(name, "the key of a chunk is not one"))?;
            *chunked.entry(key.to_vec()).or_default() += 1;
        }
        Ok(Tree { tree, chunked, state })
    }

    /// Runs a call of sled. Whatever goes wrong inside ends the store.
    fn guarded<T>(&self, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T> {
        self.guard.run(|| call().map_err(|error| convert(self.guard.directory(), error)))
    }

    fn lock_trees(&self) -> MutexGuard<'_, BTreeMap<String, Tree>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_noted(&self) -> MutexGuard<'_, Counts> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree(&self, name: &str) -> Option<::sled::Tree> {
        self.lock_trees().get(name).map(|known| known.tree.clone())
    }

    /// The value of a key, its chunks put together while no batch can change them.
    fn read(&self, name: &str, tree: &::sled::Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let stored_key = head_key(key);
        let Some(stored) = self.guarded(|| tree.get(&stored_key))? else { return Ok(None) };
        match decode_head(name, &stored_key, &stored)? {
            Head::Whole(value) => Ok(Some(value.to_vec())),
            Head::Chunked(chunks) => self.read_chunks(name, tree, key, chunks).map(Some),
        }
    }

    fn read_chunks(&self, name: &str, tree: &::sled::Tree, key: &[u8], chunks: Chunks) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        for number in 0..chunks.count {
            let stored_key = chunk_key(key, number);
            let stored = self.guarded(|| tree.get(&stored_key))?;
            let stored = stored.ok_or_else(|| corrupt(name, "one of its chunks is missing"))?;
            value.extend_from_slice(decode_chunk(name, &stored_key, &stored)?);
        }
        if value.len() as u64 != chunks.bytes || crc32c::crc32c(&value) != chunks.checksum {
            return Err(corrupt(name, "its chunks do not belong together"));
        }
        Ok(value)
    }

    fn sync_files(&self) -> Result<()> {
        self.sync_strays()?;
        let path = self.guard.directory().join("db");
        self.db_file.sync_all().map_err(|source| Error::io("sync", path, source))?;
        sync_directory(&OsDisk, self.guard.directory())
    }

    /// Syncs what sled may have put into files beside its log. There should be none.
    fn sync_strays(&self) -> Result<()> {
        let strays = self.guard.directory().join("blobs");
        let Ok(entries) = fs::read_dir(&strays) else { return Ok(()) };
        let mut found = 0_u64;
        for entry in entries {
            let path = entry.map_err(|source| Error::io("list", &strays, source))?.path();
            match File::open(&path).and_then(|file| file.sync_all()) {
                // sled removes such files by itself.
                Err(source) if source.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(|source| Error::io("sync", path, source))?,
            }
            found += 1;
        }
        if found > 0 {
            tracing::warn!(found, "sled keeps pages outside its log");
            sync_directory(&OsDisk, &strays)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for SledKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledKv").field("directory", &self.guard.directory()).finish_non_exhaustive()
    }
}

impl OrderedKv for SledKv {
    fn apply(&self, tree: &str, batch: KvBatch) -> Result<()> {
        self.guard.check_alive()?;
        batch.check(tree)?;
        let mut trees = self.lock_trees();
        if !trees.contains_key(tree) {
            let opened = self.guarded(|| self.db.open_tree(tree))?;
            trees.insert(
                tree.to_owned(),
                Tree { tree: opened, chunked: BTreeMap::new(), state: TreeState::default() },
            );
        }
        let known =
            trees.get_mut(tree).ok_or_else(|| self.guard.corrupt(format!("tree `{tree}` was not made")))?;
        // sled keeps a batch as a map, so the last change of a key must be found here.
        let mut last = BTreeMap::new();
        for op in batch.into_ops() {
            match op {
                KvOp::Put { key, value } => last.insert(key, Some(value)),
                KvOp::Delete { key } => last.insert(key, None),
            };
        }
        let mut changes = Changes { state: known.state, batch: ::sled::Batch::default() };
        changes.state.batches += 1;
        self.guarded(|| last.iter().try_for_each(|(key, value)| changes.add(known, key, value.as_deref())))?;
        let Changes { state, mut batch } = changes;
        batch.insert(&[STATE_KEY], state.encode());
        {
            let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            self.guarded(|| known.tree.apply_batch(batch))?;
        }
        known.state = state;
        for (key, value) in last {
            match value.map(|value| chunk_count(&value)) {
                Some(count) if count > 0 => known.chunked.insert(key, count),
                _ => known.chunked.remove(&key),
            };
        }
        Ok(())
    }

    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let Some(found) = self.tree(tree) else { return Ok(None) };
        self.read(tree, &found, key)
    }

    fn scan(&self, tree: &str, prefix: &[u8], visit: Visit<'_>) -> Result<()> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let Some(found) = self.tree(tree) else { return Ok(()) };
        let mut pairs = found.scan_prefix(head_key(prefix));
        while let Some((stored_key, stored)) = self.guarded(|| pairs.next().transpose())? {
            let Some((&HEAD_PREFIX, key)) = stored_key.split_first() else { continue };
            match decode_head(tree, &stored_key, &stored)? {
                Head::Whole(value) => visit(key, value)?,
                // The head may be older than the chunks by now: read both at once.
                Head::Chunked(_) => {
                    if let Some(value) = self.read(tree, &found, key)? {
                        visit(key, &value)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn pairs_after(&self, tree: &str, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<Pair>> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let Some(found) = self.tree(tree) else { return Ok(Vec::new()) };
        let (mut piece, mut room) = (Vec::new(), max_bytes);
        let from = after.map_or(Bound::Included(vec![HEAD_PREFIX]), |key| Bound::Excluded(head_key(key)));
        let mut pairs = found.range((from, Bound::Excluded(vec![HEAD_PREFIX + 1])));
        while let Some((stored_key, stored)) = self.guarded(|| pairs.next().transpose())? {
            let Some((&HEAD_PREFIX, key)) = stored_key.split_first() else { continue };
            let value = match decode_head(tree, &stored_key, &stored)? {
                Head::Whole(value) => Some(value.to_vec()),
                Head::Chunked(_) => self.read(tree, &found, key)?,
            };
            let Some(value) = value else { continue };
            if !add_pair(&mut piece, &mut room, key, value) {
                break;
            }
        }
        Ok(piece)
    }

    fn sync(&self) -> Result<()> {
        self.guard.check_alive()?;
        let mut noted = self.lock_noted();
        let counts: Counts =
            self.lock_trees().iter().map(|(name, tree)| (name.clone(), tree.state.batches)).collect();
        self.guarded(|| self.db.flush())?;
        self.sync_files().map_err(|error| self.guard.poisoned(error))?;
        if *noted != counts {
            watermark::write(&OsDisk, self.guard.directory(), &counts)
                .map_err(|error| self.guard.poisoned(error))?;
            *noted = counts;
        }
        Ok(())
    }

    fn trees(&self) -> Result<Vec<String>> {
        self.guard.check_alive()?;
        Ok(self.lock_trees().keys().cloned().collect())
    }

    fn drop_tree(&self, tree: &str) -> Result<()> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let mut noted = self.lock_noted();
        let mut trees = self.lock_trees();
        if trees.remove(tree).is_none() {
            return Ok(());
        }
        if noted.remove(tree).is_some() {
            // The note goes first, so that what is dropped is never missed.
            watermark::write(&OsDisk, self.guard.directory(), &noted)
                .map_err(|error| self.guard.poisoned(error))?;
        }
        self.guarded(|| self.db.drop_tree(tree)).map(|_| ())
    }
}

/// The stored pairs one batch changes, and what the tree says about itself after it.
struct Changes {
    state: TreeState,
    batch: ::sled::Batch,
}

impl Changes {
    /// Adds what one change of a key means for its head and its chunks, old and new.
    fn add(&mut self, tree: &Tree, key: &[u8], value: Option<&[u8]>) -> ::sled::Result<()> {
        let old_chunks = tree.chunked.get(key).copied().unwrap_or(0);
        for chunk in value.map_or(0, chunk_count)..old_chunks {
            self.remove(tree, chunk_key(key, chunk))?;
        }
        let Some(value) = value else { return self.remove(tree, head_key(key)) };
        for (stored_key, stored) in encode(key, value) {
            self.forget(tree, &stored_key)?;
            self.state.add(&stored_key, &stored);
            self.batch.insert(stored_key, stored);
        }
        Ok(())
    }

    fn remove(&mut self, tree: &Tree, stored_key: Vec<u8>) -> ::sled::Result<()> {
        self.forget(tree, &stored_key)?;
        self.batch.remove(stored_key);
        Ok(())
    }

    /// No longer counts what is stored under a key now.
    fn forget(&mut self, tree: &Tree, stored_key: &[u8]) -> ::sled::Result<()> {
        if let Some(old) = tree.tree.get(stored_key)? {
            self.state.remove(stored_key, &old);
        }
        Ok(())
    }
}

/// How many chunks a value needs; none where it is stored whole.
fn chunk_count(value: &[u8]) -> u32 {
    if value.len() <= CHUNK_BYTES {
        return 0;
    }
    u32::try_from(value.len().div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX)
}
