//! Ordered keys and values in redb 4, behind the same guards as sled.
//!
//! redb is a copy-on-write B-tree in one file, with checksums over its pages and a root that is replaced
//! atomically. Hence, invariants:
//! - a batch is a commit that is not durable; a sync is one that is, and takes every earlier one with it. A
//!   crash leaves the state of a sync, or of closing;
//! - redb verifies its pages only when it repairs or is asked to, so every value carries a checksum over itself
//!   and its key, and verifying asks redb as well;
//! - redb goes back to its last commit but one where the last does not verify, as after a torn write. Therefore
//!   each sync counts, and the count is noted beside the file: a file that comes back with less is corrupt;
//! - every call is guarded: an error or a panic inside poisons the store;
//! - on corruption the directory is moved aside, never repaired: its content is rebuilt from elsewhere.
//!
//! The bytes are in `docs/formats/kv-redb.md`, the choice in ADR 0006. Deliberately absent: chunks (redb holds
//! values of any length the port allows), savepoints, compaction.

mod backend;
mod open;
mod state;

use std::{
    io,
    ops::Bound,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ::redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, StorageError, TableDefinition,
    TableError, TableHandle, WriteTransaction,
};

use self::{
    backend::Backend,
    open::{Lock, Opened, open, os_lock},
    state::TREE as STATE_TREE,
};
use super::{
    KvBatch, KvOp, KvReport, OrderedKv, Pair, Visit, add_pair, check_tree,
    envelope::{WHOLE, corrupt, seal, unseal},
    guard::{Guard, close},
    quarantine::open_or_move_aside,
    watermark::{self, Counts},
};
use crate::{
    Error, Result,
    disk::{Disk, OsDisk},
};

pub use self::open::RedbOptions;

/// How the engine is called in messages.
const ENGINE: &str = "redb";

/// Ordered keys and values in redb.
pub struct RedbKv {
    db: Database,
    disk: Arc<dyn Disk>,
    guard: Guard,
    /// Syncs that are durable. Held during a whole sync.
    syncs: Mutex<u64>,
    /// Whether anything was applied that no sync may have seen.
    changed: AtomicBool,
}

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl RedbKv {
    /// Opens the store in a directory, or makes one where there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is doubtful; see [`RedbKv::open_or_quarantine`]. [`Error::Locked`] where
    /// another instance has it open.
    pub fn open(directory: &Path, options: &RedbOptions) -> Result<Self> {
        Self::open_locked(Arc::new(OsDisk), directory, options, &os_lock)
    }

    /// [`RedbKv::open`] on another disk than that of the operating system. Two instances are not kept apart.
    ///
    /// # Errors
    /// As [`RedbKv::open`].
    pub fn open_on(disk: Arc<dyn Disk>, directory: &Path, options: &RedbOptions) -> Result<Self> {
        Self::open_locked(disk, directory, options, &|_| Ok(None))
    }

    /// Opens the store in a directory and verifies every page and value. A doubtful directory is moved aside, to
    /// `quarantine-N` beside it, and an empty store is made.
    ///
    /// # Errors
    /// Fails where neither works, and where a newer version wrote the store.
    pub fn open_or_quarantine(directory: &Path, options: &RedbOptions) -> Result<(Self, KvReport)> {
        let open = || {
            let mut store = Self::open(directory, options)?;
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

    /// Reads and verifies everything: every page, every value, and that none is missing or stale.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where something does not verify.
    pub fn verify(&mut self) -> Result<()> {
        self.guard.check_alive()?;
        let (db, guard) = (&mut self.db, &self.guard);
        let whole = guard.run(|| db.check_integrity().map_err(|error| convert(guard.directory(), error)))?;
        if !whole {
            return Err(guard.poisoned(guard.corrupt("redb had to repair a page".to_owned())));
        }
        for name in self.trees()? {
            self.scan(&name, &[], &mut |_, _| Ok(()))?;
        }
        Ok(())
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// Fails where the operating system refuses.
    pub fn size_on_disk(&self) -> Result<u64> {
        self.guard.check_alive()?;
        open::file_bytes(self.disk.as_ref(), self.guard.directory())
    }

    fn open_locked(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: &RedbOptions,
        lock: Lock<'_>,
    ) -> Result<Self> {
        let Opened { db, syncs } = open(disk.as_ref(), directory, options, lock)?;
        Ok(Self {
            db,
            disk,
            guard: Guard::new(ENGINE, directory),
            syncs: Mutex::new(syncs),
            // A process that was killed may have left a file that is whole, and not durable.
            changed: AtomicBool::new(true),
        })
    }

    /// Makes a change in a commit of its own.
    fn change(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> std::result::Result<(), ::redb::Error>,
    ) -> Result<()> {
        let commit = || {
            let mut transaction = self.db.begin_write()?;
            transaction.set_durability(durability)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        self.guard.run(|| commit().map_err(|error: ::redb::Error| convert(self.guard.directory(), error)))
    }

    /// A tree as it is now; none where it is not there.
    fn table(&self, name: &str) -> Result<Option<Table>> {
        let directory = self.guard.directory();
        self.guard.run(|| {
            let transaction = self.db.begin_read().map_err(|error| convert(directory, error))?;
            table(directory, &transaction, name)
        })
    }
}

impl std::fmt::Debug for RedbKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbKv").field("directory", &self.guard.directory()).finish_non_exhaustive()
    }
}

impl OrderedKv for RedbKv {
    fn apply(&self, tree: &str, batch: KvBatch) -> Result<()> {
        self.guard.check_alive()?;
        batch.check(tree)?;
        self.change(Durability::None, |transaction| {
            let mut table = transaction.open_table(definition(tree))?;
            for op in batch.ops() {
                match op {
                    KvOp::Put { key, value } => {
                        table.insert(key.as_slice(), seal(key, WHOLE, value).as_slice())?
                    }
                    KvOp::Delete { key } => table.remove(key.as_slice())?,
                };
            }
            Ok(())
        })?;
        self.changed.store(true, Ordering::Release);
        Ok(())
    }

    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let Some(table) = self.table(tree)? else { return Ok(None) };
        let directory = self.guard.directory();
        let stored = self.guard.run(|| table.get(key).map_err(|error| convert(directory, error)))?;
        stored.map(|stored| read(tree, key, stored.value()).map(<[u8]>::to_vec)).transpose()
    }

    fn scan(&self, tree: &str, prefix: &[u8], visit: Visit<'_>) -> Result<()> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let Some(table) = self.table(tree)? else { return Ok(()) };
        let failed = |error: StorageError| convert(self.guard.directory(), error);
        let mut pairs = self.guard.run(|| table.range(prefix..).map_err(failed))?;
        while let Some((key, stored)) = self.guard.run(|| pairs.next().transpose().map_err(failed))? {
            if !key.value().starts_with(prefix) {
                break;
            }
            visit(key.value(), read(tree, key.value(), stored.value())?)?;
        }
        Ok(())
    }

    fn pairs_after(&self, tree: &str, after: Option<&[u8]>, max_bytes: usize) -> Result<Vec<Pair>> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        let Some(table) = self.table(tree)? else { return Ok(Vec::new()) };
        let failed = |error: StorageError| convert(self.guard.directory(), error);
        let (mut piece, mut room) = (Vec::new(), max_bytes);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = || table.range::<&[u8]>((from, Bound::Unbounded)).map_err(failed);
        let mut pairs = self.guard.run(range)?;
        while let Some((key, stored)) = self.guard.run(|| pairs.next().transpose().map_err(failed))? {
            let value = read(tree, key.value(), stored.value())?.to_vec();
            if !add_pair(&mut piece, &mut room, key.value(), value) {
                break;
            }
        }
        Ok(piece)
    }

    fn sync(&self) -> Result<()> {
        self.guard.check_alive()?;
        let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        // What is applied from here on sets it again, whether or not this sync takes it along.
        if !self.changed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let next = *syncs + 1;
        self.change(Durability::Immediate, |transaction| {
            let mut states = transaction.open_table(definition(STATE_TREE))?;
            states.insert(state::KEY, state::encode(next).as_slice())?;
            Ok(())
        })?;
        let counts = Counts::from([(STATE_TREE.to_owned(), next)]);
        watermark::write(self.disk.as_ref(), self.guard.directory(), &counts)
            .map_err(|error| self.guard.poisoned(error))?;
        *syncs = next;
        Ok(())
    }

    fn trees(&self) -> Result<Vec<String>> {
        self.guard.check_alive()?;
        let list = || {
            let transaction = self.db.begin_read()?;
            let names = transaction.list_tables()?.map(|table| table.name().to_owned());
            Ok(names.filter(|name| name != STATE_TREE).collect())
        };
        self.guard.run(|| list().map_err(|error: ::redb::Error| convert(self.guard.directory(), error)))
    }

    fn drop_tree(&self, tree: &str) -> Result<()> {
        self.guard.check_alive()?;
        check_tree(tree)?;
        if self.table(tree)?.is_none() {
            return Ok(());
        }
        self.change(Durability::None, |transaction| {
            Ok(transaction.delete_table(definition(tree)).map(|_| ())?)
        })?;
        self.changed.store(true, Ordering::Release);
        Ok(())
    }
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// A tree in a transaction; none where it is not there.
fn table(directory: &Path, transaction: &ReadTransaction, name: &str) -> Result<Option<Table>> {
    match transaction.open_table(definition(name)) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(convert(directory, error)),
    }
}

/// A stored value, verified.
fn read<'a>(tree: &str, key: &[u8], stored: &'a [u8]) -> Result<&'a [u8]> {
    match unseal(tree, key, stored)? {
        (WHOLE, value) => Ok(value),
        _ => Err(corrupt(tree, "its flag is not that of a whole value")),
    }
}

/// An error of redb, told apart by what to do about it.
fn convert(directory: &Path, error: impl Into<::redb::Error>) -> Error {
    match error.into() {
        ::redb::Error::Io(source) => match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound => {
                Error::corrupt(directory.display().to_string(), format!("redb says: {source}"))
            }
            _ => Error::io("use", directory, source),
        },
        other @ ::redb::Error::PreviousIo => {
            Error::Poisoned { store: "the key-value store", reason: other.to_string() }
        }
        other => Error::corrupt(directory.display().to_string(), format!("redb says: {other}")),
    }
}
