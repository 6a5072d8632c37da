//! A store that cuts its logs: what it answers does not depend on where its state comes from.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use lineate_consensus::GroupStatus;
use lineate_node::{Node, api::StoreCheck};
use lineate_types::{ErrorKind, GroupId, HasKind, ViewDefinition, limits};

use crate::store::{SHARDS, line, load, look, open_with, push, seal, tester, values, view};

/// The least there is.
const LOG_BYTES: u64 = 512 * 1024;

async fn open(path: &Path) -> Node {
    open_with(path, limits::CACHE_BYTES, LOG_BYTES).await.expect("the store opens")
}

async fn make(path: &Path) -> Node {
    let node = open(path).await;
    node.apply(&tester(), &crate::store::definitions(), false).await.expect("applies");
    node
}

/// Stops it, and gives the directory free.
async fn close(node: Node) {
    node.shutdown().await.expect("stops");
}

fn ids() -> Vec<String> {
    (0..40).map(|number| format!("key-{number}")).collect()
}

/// Writes until the log of every group was cut so often.
async fn work(node: &Node, view: &ViewDefinition, cuts: usize) -> i64 {
    let mut seen: Vec<Vec<u64>> = vec![Vec::new(); usize::from(SHARDS) + 1];
    let mut value = 0;
    while seen.iter().any(|seen| seen.len() < cuts) {
        value += 1;
        assert!(value < 20_000, "the logs are not cut: {:?}", node.groups());
        push(node, view, ids().iter().map(|id| line(id, value)).collect()).await;
        if value % 50 == 0 {
            load(node, ids().iter().map(|id| line(id, value)).collect()).await;
        }
        for (seen, group) in seen.iter_mut().zip(node.groups()) {
            if group.checkpoint.is_some() && seen.last() != Some(&group.cut) {
                seen.push(group.cut);
            }
        }
        tokio::task::yield_now().await;
    }
    value
}

/// What a store says of itself, however its state was read back.
async fn answers(node: &Node) -> (Vec<Option<i64>>, StoreCheck, Vec<u64>) {
    let check = node.verify_store(Arc::new(|_| ())).await.expect("can be read");
    let rows = node.status();
    (values(&look(node, &ids()).await), check, vec![rows.open_rows, rows.sealed_rows, rows.ledger_entries])
}

fn blob(path: &Path, group: &GroupStatus) -> PathBuf {
    let hex = group.checkpoint.expect("was cut").hash.to_hex();
    path.join("blobs").join(&hex[..2]).join(hex)
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).expect("is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("written");
}

fn log_bytes(path: &Path) -> u64 {
    let files = fs::read_dir(path.join("log")).expect("listed");
    files.map(|file| file.expect("listed").metadata().expect("there").len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_logs_are_cut_answers_the_same_from_its_state_and_from_its_checkpoints() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let node = make(path).await;
    let view = view(&node);
    work(&node, &view, 3).await;
    assert!(log_bytes(path) < 4 * LOG_BYTES, "{} bytes of log", log_bytes(path));
    // Rows that are sealed and rows that are not, some only in the log behind the cut.
    seal(&node).await;
    push(&node, &view, ids().iter().map(|id| line(id, 30_000)).collect()).await;
    let expected = answers(&node).await;
    assert_eq!(expected.0, vec![Some(30_000); 40]);
    assert_eq!(expected.1.faults, Vec::<String>::new());
    close(node).await;

    let node = open(path).await;
    assert_eq!(answers(&node).await.0, expected.0);
    assert_eq!(answers(&node).await.1.root, expected.1.root);
    close(node).await;

    fs::remove_dir_all(path.join("kv")).expect("removed");
    let node = open(path).await;
    let rebuilt = answers(&node).await;
    assert_eq!((&rebuilt.0, &rebuilt.2), (&expected.0, &expected.2));
    assert_eq!((rebuilt.1.root, rebuilt.1.faults), (expected.1.root, Vec::new()));
    // It goes on: writes, cuts, and comes back again.
    let last = work(&node, &view, 2).await;
    assert!(last > 0);
    close(node).await;

    damage(&path.join("kv/db"));
    let node = open(path).await;
    assert_eq!(answers(&node).await.0, vec![Some(30_000); 40]);
    assert_eq!(answers(&node).await.1.faults, Vec::<String>::new());
    assert!(path.join("quarantine-1").exists() || path.join("quarantine-0").exists());
    close(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_that_were_replaced_are_removed_and_those_that_are_named_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let node = make(path).await;
    work(&node, &view(&node), 4).await;
    close(node).await;
    // A checkpoint whose cut never came.
    let stray = path.join("blobs/ab/ab00000000000000000000000000000000000000000000000000000000000000");
    fs::create_dir_all(stray.parent().expect("has one")).expect("made");
    fs::write(&stray, b"LINECKPT").expect("written");
    let node = open(path).await;
    assert!(!stray.exists());
    for group in node.groups() {
        assert!(blob(path, &group).exists(), "group {}", group.group);
    }
    let check = node.verify_store(Arc::new(|_| ())).await.expect("can be read");
    let found = walk(&path.join("blobs"));
    assert_eq!(
        (check.blobs as usize, check.faults),
        (found, Vec::new()),
        "nothing but what is named is there"
    );
    close(node).await;
}

fn walk(blobs: &Path) -> usize {
    let files = |path: PathBuf| fs::read_dir(path).expect("listed").count();
    fs::read_dir(blobs).expect("listed").map(|directory| files(directory.expect("listed").path())).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_hurts_only_who_needs_it_and_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let node = make(path).await;
    work(&node, &view(&node), 1).await;
    let expected = answers(&node).await.0;
    node.shutdown().await.expect("stops");
    let shard = node.groups().into_iter().find(|group| group.group == GroupId(1)).expect("there is one");
    drop(node);
    let checkpoint = blob(path, &shard);
    let whole = fs::read(&checkpoint).expect("is there");
    damage(&checkpoint);

    // The state is whole: nobody needs the checkpoint, and verifying tells of it.
    let node = open(path).await;
    let (found, check, _) = answers(&node).await;
    assert_eq!(found, expected);
    let name = shard.checkpoint.expect("was cut").hash.to_string();
    assert!(check.faults.iter().any(|fault| fault.contains(&name)), "{:?}", check.faults);
    close(node).await;

    fs::remove_dir_all(path.join("kv")).expect("removed");
    for damaged in [true, false] {
        if !damaged {
            fs::remove_file(&checkpoint).expect("removed");
        }
        let error = open_with(path, limits::CACHE_BYTES, LOG_BYTES).await.err().expect("is refused");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let text = error.to_string();
        assert!(text.contains(&name) && text.contains("group 1") && text.contains("backup"), "{text}");
    }
    // With the blob back, what was rebuilt in part is rebuilt wholly.
    fs::write(&checkpoint, whole).expect("written");
    let node = open(path).await;
    assert_eq!(answers(&node).await.0, expected);
    close(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_the_state_of_another_store_answers_from_its_own_log() {
    let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    for (path, pushes) in [(own.path(), 20), (other.path(), 5)] {
        let node = make(path).await;
        let view = view(&node);
        for value in 0..pushes {
            push(&node, &view, ids().iter().map(|id| line(id, value)).collect()).await;
        }
        close(node).await;
    }
    fs::rename(own.path().join("kv"), own.path().join("kv-of-its-own")).expect("renamed");
    fs::rename(other.path().join("kv"), own.path().join("kv")).expect("renamed");
    let node = open(own.path()).await;
    let (found, check, _) = answers(&node).await;
    assert_eq!((found, check.faults), (vec![Some(19); 40], Vec::new()));
    close(node).await;
}
