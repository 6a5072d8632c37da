//! Files and directories: as programs see them, and as they are on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use super::{Content, Survival};

/// The number of the root directory.
pub const ROOT: u64 = 1;

/// What a request to the disk can fail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is nothing of this name or number.
    NotFound,
    /// There is something of this name.
    Exists,
    /// The directory is not empty.
    NotEmpty,
    /// A directory where a file is needed.
    IsDirectory,
    /// A file where a directory is needed.
    NotDirectory,
    /// The disk failed.
    Failed,
}

/// A file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub number: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes of a file.
    pub length: u64,
}

/// A disk in memory. It never forgets what is unlinked before the power is lost: it may still be open.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Changes of names that are not durable, oldest first.
    pending: Vec<Change>,
    syncs_fail: bool,
}

type Names = BTreeMap<OsString, u64>;

#[derive(Debug)]
enum Node {
    File(Content),
    Directory { live: Names, durable: Names },
}

/// One atomic change of names: what each name of each directory becomes.
#[derive(Debug)]
struct Change {
    edits: Vec<(u64, OsString, Option<u64>)>,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Node::Directory { live: Names::new(), durable: Names::new() };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, pending: Vec::new(), syncs_fail: false }
    }
}

impl Disk {
    /// What a name leads to.
    ///
    /// # Errors
    /// Nothing, or `parent` is a file.
    pub fn lookup(&self, parent: u64, name: &OsStr) -> Result<Found, Fault> {
        self.stat(*self.names(parent)?.get(name).ok_or(Fault::NotFound)?)
    }

    /// What has a number.
    ///
    /// # Errors
    /// Nothing has.
    pub fn stat(&self, number: u64) -> Result<Found, Fault> {
        Ok(match self.nodes.get(&number).ok_or(Fault::NotFound)? {
            Node::File(content) => Found { number, is_directory: false, length: content.length() },
            Node::Directory { .. } => Found { number, is_directory: true, length: 0 },
        })
    }

    /// The names in a directory, in order.
    ///
    /// # Errors
    /// It is none.
    pub fn names(&self, number: u64) -> Result<&Names, Fault> {
        match self.nodes.get(&number).ok_or(Fault::NotFound)? {
            Node::Directory { live, .. } => Ok(live),
            Node::File(_) => Err(Fault::NotDirectory),
        }
    }

    /// Makes a file or directory.
    ///
    /// # Errors
    /// The name is taken, or `parent` is a file.
    pub fn create(&mut self, parent: u64, name: &OsStr, is_directory: bool) -> Result<Found, Fault> {
        if self.names(parent)?.contains_key(name) {
            return Err(Fault::Exists);
        }
        let node = match is_directory {
            true => Node::Directory { live: Names::new(), durable: Names::new() },
            false => Node::File(Content::default()),
        };
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.change(vec![(parent, name.to_owned(), Some(number))]);
        self.stat(number)
    }

    /// Removes a name.
    ///
    /// # Errors
    /// It is not there, is of the other kind, or leads to a directory that is not empty.
    pub fn remove(&mut self, parent: u64, name: &OsStr, is_directory: bool) -> Result<(), Fault> {
        let found = self.lookup(parent, name)?;
        match (found.is_directory, is_directory) {
            (true, false) => return Err(Fault::IsDirectory),
            (false, true) => return Err(Fault::NotDirectory),
            (true, true) if !self.names(found.number)?.is_empty() => return Err(Fault::NotEmpty),
            _ => {}
        }
        self.change(vec![(parent, name.to_owned(), None)]);
        Ok(())
    }

    /// Gives something another name, in place of what has it.
    ///
    /// # Errors
    /// It is not there, or a directory that is not empty has the name.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Fault> {
        let moved = self.lookup(from.0, from.1)?;
        if let Some(replaced) = self.names(to.0)?.get(to.1).copied() {
            if replaced == moved.number {
                return Ok(());
            }
            match (self.stat(replaced)?.is_directory, moved.is_directory) {
                (true, false) => return Err(Fault::IsDirectory),
                (false, true) => return Err(Fault::NotDirectory),
                (true, true) if !self.names(replaced)?.is_empty() => return Err(Fault::NotEmpty),
                _ => {}
            }
        }
        let gone = (from.0, from.1.to_owned(), None);
        self.change(vec![gone, (to.0, to.1.to_owned(), Some(moved.number))]);
        Ok(())
    }

    /// The content of a file.
    ///
    /// # Errors
    /// It is none.
    pub fn content(&mut self, number: u64) -> Result<&mut Content, Fault> {
        match self.nodes.get_mut(&number).ok_or(Fault::NotFound)? {
            Node::File(content) => Ok(content),
            Node::Directory { .. } => Err(Fault::IsDirectory),
        }
    }

    /// Makes the bytes of a file, or the names in a directory, durable.
    ///
    /// # Errors
    /// The disk was told to fail. What was written to a file is then lost in silence.
    pub fn sync(&mut self, number: u64) -> Result<(), Fault> {
        let fails = self.syncs_fail;
        match self.nodes.get_mut(&number).ok_or(Fault::NotFound)? {
            Node::File(content) if fails => content.forget_dirty(),
            Node::File(content) => content.sync(),
            Node::Directory { .. } if fails => {}
            Node::Directory { .. } => self.sync_names(number),
        }
        if fails { Err(Fault::Failed) } else { Ok(()) }
    }

    /// Whether every later sync fails.
    pub fn fail_syncs(&mut self, fail: bool) {
        self.syncs_fail = fail;
    }

    /// Changes of names that are not durable.
    pub fn pending_changes(&self) -> usize {
        self.pending.len()
    }

    /// Cuts the power, and gives it back.
    pub fn lose_power(&mut self, survival: &mut Survival) {
        let pending = std::mem::take(&mut self.pending);
        let surviving = survival.first_of(pending.len());
        for change in pending.into_iter().take(surviving) {
            self.make_durable(change);
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.lose_power(survival),
                Node::Directory { live, durable } => live.clone_from(durable),
            }
        }
        self.forget_unnamed();
        self.syncs_fail = false;
    }

    fn change(&mut self, edits: Vec<(u64, OsString, Option<u64>)>) {
        for (directory, name, target) in &edits {
            if let Some(Node::Directory { live, .. }) = self.nodes.get_mut(directory) {
                edit(live, name, *target);
            }
        }
        self.pending.push(Change { edits });
    }

    /// Makes durable what is pending in a directory, and before it what is pending in directories it shares a change
    /// with, so that the order in each directory is kept.
    fn sync_names(&mut self, number: u64) {
        let mut directories = BTreeSet::from([number]);
        let mut later = Vec::new();
        let mut due = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            let touched = change.edits.iter().map(|(directory, ..)| *directory);
            if touched.clone().any(|directory| directories.contains(&directory)) {
                directories.extend(touched);
                due.push(change);
            } else {
                later.push(change);
            }
        }
        due.into_iter().rev().for_each(|change| self.make_durable(change));
        later.reverse();
        self.pending = later;
    }

    fn make_durable(&mut self, change: Change) {
        for (directory, name, target) in change.edits {
            if let Some(Node::Directory { durable, .. }) = self.nodes.get_mut(&directory) {
                edit(durable, &name, target);
            }
        }
    }

    fn forget_unnamed(&mut self) {
        let mut named = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(number) = open.pop() {
            if named.insert(number)
                && let Ok(names) = self.names(number)
            {
                open.extend(names.values());
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }
}

fn edit(names: &mut Names, name: &OsStr, target: Option<u64>) {
    match target {
        Some(number) => names.insert(name.to_owned(), number),
        None => names.remove(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn file(disk: &mut Disk, parent: u64, name: &str, bytes: &[u8]) -> u64 {
        let number = disk.create(parent, name.as_ref(), false).expect("a new name").number;
        disk.content(number).expect("a file").write(0, bytes);
        number
    }

    fn read(disk: &mut Disk, parent: u64, name: &str) -> Option<Vec<u8>> {
        let found = disk.lookup(parent, name.as_ref()).ok()?;
        Some(disk.content(found.number).expect("a file").read(0, usize::MAX))
    }

    #[test]
    fn a_file_needs_its_own_sync_and_that_of_its_directory() {
        for (sync_file, sync_directory, expected) in [
            (true, true, Some(&b"x"[..])),
            (true, false, None),
            (false, true, Some(&b""[..])),
            (false, false, None),
        ] {
            let mut disk = Disk::default();
            let number = file(&mut disk, ROOT, "a", b"x");
            if sync_file {
                disk.sync(number).expect("works");
            }
            if sync_directory {
                disk.sync(ROOT).expect("works");
            }
            disk.lose_power(&mut Survival::nothing());
            assert_eq!(read(&mut disk, ROOT, "a").as_deref(), expected, "{sync_file} {sync_directory}");
        }
    }

    #[test]
    fn a_rename_between_directories_is_one_change() {
        for sync_source in [true, false] {
            let mut disk = Disk::default();
            let from = disk.create(ROOT, "from".as_ref(), true).expect("new").number;
            let to = disk.create(ROOT, "to".as_ref(), true).expect("new").number;
            disk.sync(ROOT).expect("works");
            let number = file(&mut disk, from, "a", b"x");
            disk.sync(number).expect("works");
            disk.rename((from, "a".as_ref()), (to, "b".as_ref())).expect("works");
            disk.sync(if sync_source { from } else { to }).expect("works");
            disk.lose_power(&mut Survival::nothing());
            assert_eq!(read(&mut disk, to, "b").as_deref(), Some(&b"x"[..]));
            assert_eq!(read(&mut disk, from, "a"), None);
        }
    }

    #[test]
    fn a_replaced_file_is_the_old_or_the_new_one_never_none() {
        for seed in 0..200 {
            let mut disk = Disk::default();
            let old = file(&mut disk, ROOT, "a", b"old");
            disk.sync(old).expect("works");
            disk.sync(ROOT).expect("works");
            let new = file(&mut disk, ROOT, "a.tmp", b"new");
            disk.sync(new).expect("works");
            disk.rename((ROOT, "a.tmp".as_ref()), (ROOT, "a".as_ref())).expect("works");
            disk.lose_power(&mut Survival::some(Random::new(seed)));
            let found = read(&mut disk, ROOT, "a").expect("it is there");
            assert!(found == b"old" || found == b"new");
            assert_eq!(disk.pending_changes(), 0);
        }
    }

    #[test]
    fn names_follow_the_rules_of_directories() {
        let mut disk = Disk::default();
        let directory = disk.create(ROOT, "d".as_ref(), true).expect("new").number;
        file(&mut disk, directory, "a", b"");
        assert_eq!(disk.create(directory, "a".as_ref(), true), Err(Fault::Exists));
        assert_eq!(disk.remove(ROOT, "d".as_ref(), true), Err(Fault::NotEmpty));
        assert_eq!(disk.remove(ROOT, "d".as_ref(), false), Err(Fault::IsDirectory));
        assert_eq!(disk.remove(directory, "a".as_ref(), true), Err(Fault::NotDirectory));
        assert_eq!(disk.remove(directory, "b".as_ref(), false), Err(Fault::NotFound));
        disk.remove(directory, "a".as_ref(), false).expect("a file");
        disk.remove(ROOT, "d".as_ref(), true).expect("empty now");
        assert_eq!(disk.lookup(ROOT, "d".as_ref()), Err(Fault::NotFound));
    }

    #[test]
    fn a_failed_sync_is_told_once_and_never_made_good() {
        let mut disk = Disk::default();
        let number = file(&mut disk, ROOT, "a", b"x");
        disk.sync(ROOT).expect("works");
        disk.fail_syncs(true);
        assert_eq!(disk.sync(number), Err(Fault::Failed));
        disk.fail_syncs(false);
        disk.sync(number).expect("works");
        disk.lose_power(&mut Survival::nothing());
        assert_ne!(read(&mut disk, ROOT, "a").as_deref(), Some(&b"x"[..]));
    }
}
