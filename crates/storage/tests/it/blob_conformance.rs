//! What every blob store must do, run against every one there is.

use std::{io::Write, path::Path, sync::Arc};

use lineate_storage::{
    Error,
    blob::{BlobFault, BlobInfo, BlobStore, DirBlobs, MemBlobs},
    disk::MemDisk,
};
use lineate_types::Hash;

pub(crate) fn list(blobs: &dyn BlobStore) -> Vec<(Hash, u64)> {
    let mut found = Vec::new();
    let listed = blobs.list(&mut |hash, bytes| {
        found.push((hash, bytes));
        Ok(())
    });
    listed.expect("lists");
    found
}

/// Every claim of the port that a single store can show.
fn conforms(blobs: &dyn BlobStore) {
    assert_eq!(list(blobs), []);
    blobs_come_back_under_their_hash(blobs);
    a_blob_written_in_pieces_is_the_same(blobs);
    an_unfinished_blob_leaves_nothing(blobs);
    reads_stay_inside(blobs);
    a_deleted_blob_is_gone_but_stays_readable_where_it_is_open(blobs);
}

fn blobs_come_back_under_their_hash(blobs: &dyn BlobStore) {
    let mut expected = Vec::new();
    for length in [0_usize, 1, 1_000, 300_000, 2_500_000] {
        let bytes: Vec<u8> = (0..length).map(|position| (position / 3) as u8).collect();
        let info = blobs.put(&bytes).expect("stores");
        assert_eq!(info, BlobInfo { hash: Hash::of(&bytes), bytes: length as u64 });
        assert_eq!(blobs.put(&bytes).expect("again"), info);
        assert_eq!(blobs.verify(&info.hash).expect("verifies"), info);
        assert!(blobs.read(&info.hash).expect("reads") == bytes);
        expected.push((info.hash, info.bytes));
    }
    expected.sort();
    assert_eq!(list(blobs), expected);
    let missing = Hash::of(b"nobody stored this");
    assert!(matches!(blobs.open(&missing).err(), Some(Error::NotFound { .. })));
    assert!(matches!(blobs.verify(&missing), Err(Error::NotFound { .. })));
    blobs.delete(&missing).expect("nothing to do");
}

fn a_blob_written_in_pieces_is_the_same(blobs: &dyn BlobStore) {
    let bytes = vec![9; 1_000_003];
    let mut writer = blobs.writer().expect("begins");
    for piece in bytes.chunks(70_001) {
        writer.write_all(piece).expect("writes");
        writer.flush().expect("flushes");
    }
    let info = writer.finish().expect("finishes");
    assert_eq!((info.hash, info.bytes), (Hash::of(&bytes), bytes.len() as u64));
}

fn an_unfinished_blob_leaves_nothing(blobs: &dyn BlobStore) {
    let before = list(blobs);
    let mut writer = blobs.writer().expect("begins");
    writer.write_all(b"never finished").expect("writes");
    drop(writer);
    assert_eq!(list(blobs), before);
}

fn reads_stay_inside(blobs: &dyn BlobStore) {
    let info = blobs.put(b"0123456789").expect("stores");
    let file = blobs.open(&info.hash).expect("opens");
    assert_eq!((file.len(), file.is_empty()), (10, false));
    assert_eq!(file.read_at(3, 4).expect("reads"), "3456");
    assert_eq!(file.read_at(10, 0).expect("reads"), "");
    for (offset, length) in [(10, 1), (0, 11), (u64::MAX, 1), (11, 0)] {
        assert!(matches!(file.read_at(offset, length), Err(Error::Invalid { .. })), "{offset} {length}");
    }
}

fn a_deleted_blob_is_gone_but_stays_readable_where_it_is_open(blobs: &dyn BlobStore) {
    let info = blobs.put(b"soon deleted").expect("stores");
    let file = blobs.open(&info.hash).expect("opens");
    blobs.delete(&info.hash).expect("deletes");
    blobs.delete(&info.hash).expect("deletes again");
    assert!(matches!(blobs.open(&info.hash).err(), Some(Error::NotFound { .. })));
    assert_eq!(file.read_at(0, 4).expect("reads"), "soon");
}

pub(crate) fn on_disk(disk: &MemDisk) -> DirBlobs {
    DirBlobs::open_on(Arc::new(disk.clone()), Path::new("blobs"), Path::new("tmp")).expect("opens")
}

#[test]
fn blobs_in_memory_conform() {
    conforms(&MemBlobs::new());
}

#[test]
fn blobs_on_a_disk_in_memory_conform() {
    conforms(&on_disk(&MemDisk::new()));
}

#[test]
fn blobs_in_a_directory_conform() {
    let directory = tempfile::tempdir().expect("a directory");
    let (blobs, tmp) = (directory.path().join("blobs"), directory.path().join("tmp"));
    conforms(&DirBlobs::open(&blobs, &tmp).expect("opens"));
    assert_eq!(std::fs::read_dir(&tmp).expect("lists").count(), 0, "nothing temporary is left");
}

#[test]
fn damage_is_found_wherever_blobs_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let on_files =
        DirBlobs::open(&directory.path().join("blobs"), &directory.path().join("tmp")).expect("opens");
    let info = on_files.put(b"a blob of bytes").expect("stores");
    let path = on_files.path(&info.hash);
    let open = on_files.open(&info.hash).expect("opens");
    std::fs::write(&path, b"a blob of bites").expect("writes");
    assert!(matches!(on_files.verify(&info.hash), Err(Error::Corrupt { .. })));
    assert!(matches!(on_files.read(&info.hash), Err(Error::Corrupt { .. })));
    std::fs::write(&path, b"a blob").expect("writes");
    assert!(matches!(on_files.verify(&info.hash), Err(Error::Corrupt { .. })));
    assert!(matches!(open.read_at(3, 10), Err(Error::Corrupt { .. })), "shorter than when it was opened");
    on_files.put(b"a blob of bytes").expect("storing it again repairs it");
    on_files.verify(&info.hash).expect("verifies");

    let memory = MemBlobs::new();
    let info = memory.put(b"a blob of bytes").expect("stores");
    assert!(memory.flip(&info.hash, 3));
    assert!(matches!(memory.verify(&info.hash), Err(Error::Corrupt { .. })));
    memory.put(b"a blob of bytes").expect("stores");
    assert!(memory.shorten(&info.hash, 3));
    assert!(matches!(memory.verify(&info.hash), Err(Error::Corrupt { .. })));
    assert!(memory.lose(&info.hash));
    assert!(matches!(memory.verify(&info.hash), Err(Error::NotFound { .. })));
    memory.inject([BlobFault::None, BlobFault::Full, BlobFault::Fails]);
    memory.put(b"1").expect("stores");
    assert!(matches!(memory.put(b"2"), Err(Error::Full { .. })));
    assert!(matches!(memory.put(b"3"), Err(Error::Io { .. })));
    memory.set_full(true);
    assert!(matches!(memory.put(b"4"), Err(Error::Full { .. })));
    assert_eq!(list(&memory).len(), 1);
}
