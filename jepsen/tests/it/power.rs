//! Loss of power: what was not synced is gone.

use std::{fs, io::Write};

use lineate_jepsen::{
    lossyfs::{LossyFs, Survival},
    scenario::{Place, crash},
};

use crate::skip;

/// Another seed: `cargo run -p lineate-jepsen -- power --cuts 3 --seed N`.
const SEED: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_power_loses_nothing_acknowledged_and_doubles_nothing() {
    if let Some(why) = LossyFs::refusal() {
        return skip(&format!("skip[jepsen-fuse]: {why}"));
    }
    let place = Place::lossy().expect("it can be mounted");
    let options = crash::Options { crashes: 3, seed: SEED, longest_life_ms: 1_500 };
    if let Err(error) = crash::run(place, options).await {
        panic!(
            "{}\nagain: cargo run -p lineate-jepsen -- power --cuts 3 --seed {SEED} --longest-life-ms 1500",
            error.chain()
        );
    }
}

#[test]
fn a_mounted_disk_keeps_what_was_synced_and_nothing_else() {
    if let Some(why) = LossyFs::refusal() {
        return skip(&format!("skip[jepsen-fuse]: {why}"));
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let disk = LossyFs::default();
    let mounted = disk.mount(place.path()).expect("it can be mounted");
    let directory = place.path().join("d");
    fs::create_dir(&directory).expect("made");
    fs::File::open(place.path()).and_then(|root| root.sync_all()).expect("synced");
    let mut kept = fs::File::create(directory.join("kept.tmp")).expect("made");
    kept.write_all(&[1; 100_000]).expect("written");
    kept.sync_all().expect("synced");
    kept.write_all(&[2; 100_000]).expect("written");
    fs::rename(directory.join("kept.tmp"), directory.join("kept")).expect("renamed");
    fs::File::open(&directory).and_then(|directory| directory.sync_all()).expect("synced");
    fs::write(directory.join("lost"), b"never synced").expect("written");
    assert_eq!(fs::read(directory.join("kept")).expect("read").len(), 200_000);
    assert_eq!(fs::read_dir(&directory).expect("listed").count(), 2);
    drop(kept);
    mounted.unmount().expect("nobody uses it");

    disk.lose_power(&mut Survival::nothing());
    let mounted = disk.mount(place.path()).expect("it can be mounted again");
    assert_eq!(fs::read(directory.join("kept")).expect("read"), [1; 100_000]);
    assert!(!directory.join("lost").exists());
    assert!(!directory.join("kept.tmp").exists());
    mounted.unmount().expect("nobody uses it");
}
