//! Checkpoints of trees that change meanwhile, and trees rebuilt on a disk that fails.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use lineate_consensus::{
    Body, Committed,
    core::{Group, founding},
};
use lineate_storage::{
    blob::{BlobFault, BlobInfo, BlobStore, MemBlobs},
    kv::{KvBatch, KvFault, MemKv, OrderedKv},
    log::{GroupBatch, HardState, LogBatch, LogEntry, MemLog, RaftLog},
};
use lineate_types::{ErrorKind, GroupId, HasKind, TimestampUs};
use proptest::prelude::*;

use super::*;

const GROUP: GroupId = GroupId(3);

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

fn tree() -> String {
    tree_of(GROUP)
}

/// All pairs of the tree, the position apart.
fn content(kv: &dyn OrderedKv) -> Pairs {
    let mut pairs = Pairs::new();
    let scanned = kv.scan(&tree(), &[], &mut |key, value| {
        pairs.insert(key.to_vec(), value.to_vec());
        Ok(())
    });
    scanned.expect("scans");
    pairs.remove(APPLIED);
    pairs
}

/// Entries of the longest log here.
const ENTRIES: u64 = 100_000;

/// The positions of logs whose entries have no bytes, from the founding on.
static POSITIONS: LazyLock<Vec<Applied>> = LazyLock::new(|| positions(Bytes::new()));

fn positions(data: Bytes) -> Vec<Applied> {
    let founded = Arc::new(MemLog::new());
    founded.append(&LogBatch::of(founding(GROUP, &[1]))).expect("appends");
    let mut at = open(founded, Applied::NOTHING).position();
    let mut positions = vec![at];
    for index in 2..=ENTRIES {
        let (commit_time, closed) = (TimestampUs::MIN, TimestampUs::MIN);
        let body = Body::Empty;
        at = at.after(&[Committed { index, term: 1, commit_time, closed, body, data: data.clone() }]);
        positions.push(at);
    }
    positions
}

fn position(index: u64) -> Applied {
    POSITIONS[index as usize - 1]
}

fn open(log: Arc<MemLog>, applied: Applied) -> Group {
    Group::open(log, GROUP, 1, applied, &lineate_consensus::Options::default()).expect("opens")
}

fn change(tree: &StoredTree, index: u64, changes: &[(u16, Option<u8>)]) {
    let mut batch = KvBatch::new();
    for (key, value) in changes {
        let key = [b"k", &key.to_be_bytes()[..]].concat();
        match value {
            Some(value) => batch.put(key, vec![*value; 600]),
            None => batch.delete(key),
        };
    }
    tree.apply(batch, position(index)).expect("applies");
}

/// A log of entries 2 to `last`, cut after `cut` behind a checkpoint.
fn log_cut_at(cut: u64, last: u64, checkpoint: BlobInfo) -> MemLog {
    let log = Arc::new(MemLog::new());
    log.append(&LogBatch::of(founding(GROUP, &[1]))).expect("appends");
    let entry = |index| LogEntry { index, term: 1, payload: Bytes::new() };
    let entries = |range: std::ops::RangeInclusive<u64>| GroupBatch {
        entries: range.map(entry).collect(),
        hard_state: Some(HardState { term: 1, vote: 0, commit: last }),
        ..GroupBatch::new(GROUP)
    };
    log.append(&LogBatch::of(entries(2..=last))).expect("appends");
    let mut group = open(log.clone(), position(cut));
    let place = group.cut_place().expect("can be cut");
    log.append(&LogBatch::of(group.cut(place, checkpoint).expect("is cut"))).expect("appends");
    log.crash()
}

#[test]
fn a_checkpoint_written_while_the_tree_changes_holds_the_state_at_its_position() {
    let mut copied_again = 0;
    for seed in 0..10_u64 {
        let kv: Arc<dyn OrderedKv> = Arc::new(MemKv::new());
        let tree = Arc::new(StoredTree::open(kv.clone(), GROUP).expect("opens"));
        let first: Vec<(u16, Option<u8>)> = (0..3_000).map(|key| (key, Some(1))).collect();
        change(&tree, 2, &first);
        let states = Mutex::new(BTreeMap::from([(2, content(kv.as_ref()))]));
        let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
        let rest = tree.checkpoint(position(2), &blobs).expect("begins");
        let done = AtomicBool::new(false);
        let blob = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let blob = rest();
                done.store(true, Ordering::Release);
                blob
            });
            let mut random = seed + 1;
            for index in 3.. {
                let mut next = |below: u64| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (random >> 33) % below
                };
                let some = (0..1 + next(8)).map(|_| {
                    let value = if next(3) == 0 { None } else { Some(next(200) as u8) };
                    (next(4_000) as u16, value)
                });
                change(&tree, index, &some.collect::<Vec<_>>());
                states.lock().expect("locks").insert(index, content(kv.as_ref()));
                if done.load(Ordering::Acquire) {
                    break;
                }
            }
            writing.join().expect("no panic").expect("is written")
        });
        let log = log_cut_at(2, ENTRIES, blob);
        let fresh = MemKv::new();
        rebuild_unless_it_fits(&log, &fresh, blobs.as_ref(), GROUP).expect("rebuilds");
        let at = stored_position(&fresh, &tree_of(GROUP)).expect("stands somewhere").index;
        let states = states.into_inner().expect("locks");
        assert_eq!(content(&fresh), states[&at], "at {at} of {} states", states.len());
        copied_again += u64::from(at > 2);
    }
    assert!(copied_again > 0, "no tree changed while it was copied");
}

/// A tree of a thousand pairs at entry 50, and its checkpoint.
fn checkpointed() -> (MemKv, Arc<dyn BlobStore>, BlobInfo) {
    let kv = Arc::new(MemKv::new());
    let tree = Arc::new(StoredTree::open(kv.clone(), GROUP).expect("opens"));
    change(&tree, 40, &(0..1_000).map(|key| (key, Some((key % 251) as u8))).collect::<Vec<_>>());
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let blob = tree.checkpoint(position(50), &blobs).expect("begins")().expect("is written");
    assert_eq!((tree.position(), kv.unsynced()), (position(50), 0), "the state survives up to the cut");
    drop(tree);
    (Arc::into_inner(kv).expect("is shared with nobody"), blobs, blob)
}

#[test]
fn a_state_that_the_log_covers_is_left_as_it_is() {
    let (kv, blobs, blob) = checkpointed();
    let log = log_cut_at(50, 60, blob);
    let before = content(&kv);
    blobs.delete(&blob.hash).expect("deletes");
    rebuild_unless_it_fits(&log, &kv, blobs.as_ref(), GROUP).expect("nothing to do");
    assert_eq!(content(&kv), before);
    rebuild_unless_it_fits(&log, &MemKv::new(), blobs.as_ref(), GroupId(9))
        .expect("a group that is not there");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_rebuild_that_is_cut_off_anywhere_is_done_again_and_leaves_nothing_of_what_was_there(
        behind in any::<bool>(), calls in 0_usize..12, keep in 0_usize..12, fault in any::<bool>(),
    ) {
        let (whole, blobs, blob) = checkpointed();
        let log = log_cut_at(50, 60, blob);
        let mut kv = MemKv::new();
        if behind {
            let mut batch = KvBatch::new();
            batch.put(*b"left over", *b"from long ago").put(APPLIED, encode_position(position(7)));
            kv.apply(&tree(), batch).expect("applies");
            kv.sync().expect("syncs");
        }
        if fault {
            kv.inject(vec![KvFault::None; calls].into_iter().chain([KvFault::Fails]));
        }
        let first = rebuild_unless_it_fits(&log, &kv, blobs.as_ref(), GROUP);
        kv = kv.crash(keep);
        if first.is_ok() {
            prop_assert_eq!(stored_position(&kv, &tree()).ok(), Some(position(50)));
        }
        rebuild_unless_it_fits(&log, &kv, blobs.as_ref(), GROUP).expect("rebuilds");
        prop_assert_eq!(stored_position(&kv, &tree()).ok(), Some(position(50)));
        prop_assert_eq!(content(&kv), content(&whole));
    }
}

/// A tree that says it stands where others made it.
fn foreign(index: u64) -> MemKv {
    let kv = MemKv::new();
    let mut batch = KvBatch::new();
    let elsewhere = positions(Bytes::from_static(&[1, 3, 0, 0, 0, 0, 0, 0, 0, 0]));
    batch.put(*b"made", *b"by others").put(APPLIED, encode_position(elsewhere[index as usize - 1]));
    kv.apply(&tree(), batch).expect("applies");
    kv
}

#[test]
fn a_state_that_other_entries_made_is_made_again_although_index_and_term_are_those_of_the_log() {
    let (whole, blobs, blob) = checkpointed();
    for at in [50, 55, 60] {
        let (kv, log) = (foreign(at), log_cut_at(50, 60, blob));
        rebuild_unless_it_fits(&log, &kv, blobs.as_ref(), GROUP).expect("rebuilds");
        assert_eq!(stored_position(&kv, &tree()).expect("stands somewhere"), position(50));
        assert_eq!(content(&kv), content(&whole));
    }
    // A log that was never cut makes it again alone.
    let kv = foreign(55);
    let log = MemLog::new();
    log.append(&LogBatch::of(founding(GROUP, &[1]))).expect("appends");
    let entry = |index| LogEntry { index, term: 1, payload: Bytes::new() };
    let entries = GroupBatch { entries: (2..=60).map(entry).collect(), ..GroupBatch::new(GROUP) };
    log.append(&LogBatch::of(entries)).expect("appends");
    rebuild_unless_it_fits(&log, &kv, blobs.as_ref(), GROUP).expect("is cleared");
    assert_eq!(stored_position(&kv, &tree()).expect("stands nowhere"), Applied::NOTHING);
    assert_eq!((content(&kv), kv.unsynced()), (Pairs::new(), 0));
}

#[test]
fn a_checkpoint_that_other_entries_made_is_refused() {
    let kv: Arc<dyn OrderedKv> = Arc::new(foreign(50));
    let tree = Arc::new(StoredTree::open(kv, GROUP).expect("opens"));
    let blobs: Arc<dyn BlobStore> = Arc::new(MemBlobs::new());
    let blob = tree.checkpoint(tree.position(), &blobs).expect("begins")().expect("is written");
    let log = log_cut_at(50, 60, blob);
    let kv = MemKv::new();
    let error = rebuild_unless_it_fits(&log, &kv, blobs.as_ref(), GROUP).expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    assert!(text.contains(&blob.hash.to_string()) && text.contains("other entries made it"), "{text}");
    assert_eq!(stored_position(&kv, &tree_of(GROUP)).expect("stands nowhere"), Applied::NOTHING);
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_tree_usable() {
    let kv: Arc<dyn OrderedKv> = Arc::new(MemKv::new());
    let tree = Arc::new(StoredTree::open(kv, GROUP).expect("opens"));
    change(&tree, 2, &[(1, Some(1))]);
    let twin = Arc::new(MemBlobs::new());
    let blobs: Arc<dyn BlobStore> = twin.clone();
    twin.inject([BlobFault::Full]);
    let failed = tree.checkpoint(position(2), &blobs).expect("begins")();
    assert!(failed.is_err());
    change(&tree, 3, &[(1, None)]);
    tree.checkpoint(position(3), &blobs).expect("begins")().expect("is written");
}
