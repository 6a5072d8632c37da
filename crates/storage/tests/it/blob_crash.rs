//! The power goes or the disk fills while blobs are written: what was finished is there, the rest is not.

use lineate_storage::{
    Error, Seed,
    blob::BlobStore,
    disk::{Disk, DiskFault, MemDisk},
};
use proptest::prelude::*;

use crate::blob_conformance::{list, on_disk};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_finished_blob_survives_and_an_unfinished_one_is_whole_or_absent(
        sizes in prop::collection::vec(0_usize..5_000, 1..8),
        operation in 0_u64..40,
        fault in prop_oneof![Just(DiskFault::Full), Just(DiskFault::Fails)],
        seed in any::<u64>(),
    ) {
        let disk = MemDisk::new();
        let blobs = on_disk(&disk);
        disk.inject((0..operation).map(|_| DiskFault::None).chain([fault]));
        let mut finished = Vec::new();
        for (number, size) in sizes.into_iter().enumerate() {
            if let Ok(info) = blobs.put(&vec![number as u8; size]) {
                finished.push((info.hash, info.bytes));
            }
        }
        finished.sort();
        finished.dedup();
        disk.crash(&mut Seed::new(seed));
        let blobs = on_disk(&disk);
        let found = list(&blobs);
        for blob in &finished {
            prop_assert!(found.contains(blob), "{:?} was finished", blob);
        }
        for (hash, bytes) in found {
            prop_assert_eq!(blobs.verify(&hash).expect("is whole").bytes, bytes);
        }
        prop_assert_eq!(disk.list("tmp".as_ref()).expect("lists"), Vec::<String>::new());
    }
}

#[test]
fn a_full_disk_refuses_a_blob_and_leaves_nothing_of_it() {
    let disk = MemDisk::new();
    let blobs = on_disk(&disk);
    blobs.put(&[1; 1_000]).expect("stores");
    disk.set_capacity(Some(10_000));
    assert!(matches!(blobs.put(&[2; 20_000]), Err(Error::Full { .. })));
    assert_eq!(list(&blobs).len(), 1);
    assert_eq!(disk.list("tmp".as_ref()).expect("lists"), Vec::<String>::new());
    blobs.put(&[3; 5_000]).expect("a smaller one fits");
}
