//! Blobs are removed while others read and write them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use lineate_storage::{
    Error, Seed,
    blob::{BlobStore, Keeper, MemBlobs},
    disk::{DiskFault, MemDisk},
};
use lineate_types::Hash;

use crate::blob_conformance::{list, on_disk};

/// What manifests would name: how often each blob.
#[derive(Default, Clone)]
struct Manifest(Arc<Mutex<BTreeMap<Hash, usize>>>);

impl Manifest {
    fn add(&self, blob: Hash) {
        *self.0.lock().expect("locks").entry(blob).or_default() += 1;
    }

    /// Drops the least of the blobs named above some hash.
    fn drop_one(&self, above: Hash) -> Option<Hash> {
        let mut named = self.0.lock().expect("locks");
        let (blob, count) = named.range_mut(above..).next()?;
        let blob = *blob;
        *count -= 1;
        if *count == 0 {
            named.remove(&blob);
        }
        Some(blob)
    }

    fn named(&self) -> BTreeSet<Hash> {
        self.0.lock().expect("locks").keys().copied().collect()
    }
}

fn remove(keeper: &Keeper, named: impl IntoIterator<Item = Hash>) -> Vec<Hash> {
    let mut gone = Vec::new();
    keeper.remove(|| named.into_iter().collect(), |blob| gone.push(*blob)).expect("removes");
    gone
}

#[test]
fn removal_goes_on_while_readers_never_stop_reading() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let keeper = Keeper::new(blobs.clone(), || {});
    let mut reading = keeper.pin();
    for number in 0..100_u8 {
        let unused = blobs.put(&[number]).expect("stores").hash;
        keeper.suspect([unused]);
        // It may be in the reader's reach.
        assert_eq!(remove(&keeper, []), []);
        // The next reader begins before this one ends: there is always one.
        reading = keeper.pin();
        assert_eq!(remove(&keeper, []), [unused]);
    }
    drop(reading);
    assert_eq!(list(blobs.as_ref()), []);
    assert!(!keeper.is_waiting());
}

#[test]
fn what_a_reader_found_can_be_opened_and_what_it_has_open_keeps_nothing() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let keeper = Keeper::new(blobs.clone(), || {});
    let found = blobs.put(b"a segment").expect("stores").hash;
    let pin = keeper.pin();
    keeper.suspect([found]);
    assert_eq!(remove(&keeper, []), []);
    let open = blobs.open(&found).expect("opens");
    drop(pin);
    assert_eq!(remove(&keeper, []), [found]);
    assert_eq!(open.read_at(0, 9).expect("reads"), "a segment");
}

#[test]
fn a_blob_written_again_while_it_is_about_to_go_stays() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let keeper = Keeper::new(blobs.clone(), || {});
    let pin = keeper.pin();
    let blob = blobs.put(b"content").expect("stores").hash;
    keeper.suspect([blob]);
    assert_eq!(remove(&keeper, []), [], "condemned, and in a reader's reach");
    let lease = keeper.lease();
    assert_eq!(lease.put(b"content").expect("stores").hash, blob);
    drop(pin);
    assert_eq!(remove(&keeper, []), []);
    lease.begin_naming();
    lease.named();
    keeper.suspect([blob]);
    assert_eq!(remove(&keeper, [blob]), [], "it is named");
    keeper.suspect([blob]);
    assert_eq!(remove(&keeper, []), [blob]);
}

#[test]
fn blobs_that_were_given_up_go_and_those_of_an_unknown_outcome_stay() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let keeper = Keeper::new(blobs.clone(), || {});
    let dropped = keeper.lease().put(b"never sent").expect("stores").hash;
    let lease = keeper.lease();
    let refused = lease.put(b"refused").expect("stores").hash;
    lease.begin_naming();
    lease.give_up();
    let mut gone = remove(&keeper, []);
    gone.sort();
    let mut expected = [dropped, refused];
    expected.sort();
    assert_eq!(gone, expected);

    let lease = keeper.lease();
    let unknown = lease.put(b"sent").expect("stores").hash;
    lease.begin_naming();
    drop(lease);
    keeper.suspect([unknown]);
    assert_eq!(remove(&keeper, []), []);
    assert!(!keeper.is_waiting(), "nobody waits for what stays");
    blobs.verify(&unknown).expect("is there");
}

#[test]
fn what_cannot_be_deleted_is_tried_again() {
    let disk = MemDisk::new();
    let blobs: Arc<dyn BlobStore> = Arc::new(on_disk(&disk));
    let keeper = Keeper::new(blobs.clone(), || {});
    let unused: Vec<Hash> = (0..3_u8).map(|byte| blobs.put(&[byte]).expect("stores").hash).collect();
    keeper.suspect(unused.clone());
    disk.inject([DiskFault::None, DiskFault::Fails]);
    assert!(matches!(keeper.remove(BTreeSet::new, |_| {}), Err(Error::Io { .. })));
    assert!(keeper.is_waiting());
    assert_eq!(list(blobs.as_ref()).len(), 2);
    assert_eq!(remove(&keeper, []).len(), 2);
    assert_eq!(list(blobs.as_ref()), []);
}

#[test]
fn a_blob_that_was_there_stays_whatever_fails_while_it_is_written_again() {
    for operation in 0..12 {
        let disk = MemDisk::new();
        let blobs = on_disk(&disk);
        let needed = blobs.put(b"needed").expect("stores").hash;
        disk.inject((0..operation).map(|_| DiskFault::None).chain([DiskFault::Fails]));
        let _ = blobs.put(b"needed");
        blobs.verify(&needed).unwrap_or_else(|error| panic!("operation {operation} failed: {error}"));
        disk.crash(&mut Seed::new(operation));
        on_disk(&disk).verify(&needed).unwrap_or_else(|error| panic!("operation {operation}: {error}"));
    }
}

#[test]
fn many_threads_lose_nothing_and_leave_nothing() {
    const ROUNDS: u8 = 250;
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let keeper = Keeper::new(blobs.clone(), || {});
    let manifest = Manifest::default();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u8)
            .map(|worker| {
                let (keeper, manifest, blobs) = (&keeper, &manifest, &blobs);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        // Few contents, so that writers meet blobs that are about to go.
                        let lease = keeper.lease();
                        let content = round.wrapping_mul(7).wrapping_add(worker) % 5;
                        let written = lease.put(&[content]).expect("stores").hash;
                        lease.begin_naming();
                        manifest.add(written);
                        lease.named();
                        let pin = keeper.pin();
                        let found = manifest.named();
                        thread::yield_now();
                        for blob in &found {
                            blobs.open(blob).expect("what is named is there");
                        }
                        drop(pin);
                        keeper.suspect(manifest.drop_one(Hash::of(&[round])));
                    }
                })
            })
            .collect();
        let remover = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                keeper.remove(|| manifest.named(), |_| {}).expect("removes");
            }
        });
        workers.into_iter().for_each(|worker| worker.join().expect("ends well"));
        is_done.store(true, Ordering::Relaxed);
        remover.join().expect("ends well");
    });
    keeper.remove(|| manifest.named(), |_| {}).expect("removes");
    let left: BTreeSet<Hash> = list(blobs.as_ref()).into_iter().map(|(blob, _)| blob).collect();
    assert_eq!(left, manifest.named());
}
