//! What every ordered key-value store must do, run against every one there is.

use lineate_storage::{
    Error,
    kv::{KvBatch, KvFault, MemKv, OrderedKv, RedbKv, RedbOptions, SledKv, SledOptions},
};
use lineate_types::limits;

pub(crate) fn small_options() -> SledOptions {
    SledOptions { cache_bytes: 4 * 1024 * 1024 }
}

pub(crate) fn small_redb() -> RedbOptions {
    RedbOptions { cache_bytes: 4 * 1024 * 1024 }
}

pub(crate) fn put(key: &[u8], value: &[u8]) -> KvBatch {
    let mut batch = KvBatch::new();
    batch.put(key, value);
    batch
}

pub(crate) fn scan(kv: &dyn OrderedKv, tree: &str, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let result = kv.scan(tree, prefix, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        Ok(())
    });
    result.expect("scans");
    found
}

/// Every claim of the port that a single store can show.
fn conforms(kv: &dyn OrderedKv) {
    an_unknown_tree_is_empty_and_stays_unknown(kv);
    a_batch_takes_effect_in_order(kv);
    a_scan_is_ascending_and_keeps_to_its_prefix(kv);
    a_tree_can_be_read_piece_by_piece(kv);
    a_scan_may_be_ended_and_may_change_what_it_scans(kv);
    long_values_and_long_keys_come_back(kv);
    bounds_are_kept(kv);
    a_dropped_tree_is_gone(kv);
}

fn an_unknown_tree_is_empty_and_stays_unknown(kv: &dyn OrderedKv) {
    assert_eq!(kv.get("nowhere", b"key").expect("reads"), None);
    assert_eq!(scan(kv, "nowhere", b""), []);
    kv.drop_tree("nowhere").expect("nothing to do");
    assert_eq!(kv.trees().expect("lists"), Vec::<String>::new());
}

fn a_batch_takes_effect_in_order(kv: &dyn OrderedKv) {
    let mut batch = KvBatch::new();
    batch.put(*b"a", *b"1").put(*b"b", *b"1").delete(*b"a").put(*b"c", *b"1").put(*b"c", *b"2").delete(*b"d");
    assert_eq!((batch.len(), batch.is_empty()), (6, false));
    kv.apply("order", batch).expect("applies");
    assert_eq!(scan(kv, "order", b""), [(b"b".to_vec(), b"1".to_vec()), (b"c".to_vec(), b"2".to_vec())]);
    kv.apply("order", KvBatch::new()).expect("an empty batch is one too");
    kv.apply("empty", KvBatch::new()).expect("and makes its tree");
    assert_eq!(kv.trees().expect("lists"), ["empty", "order"]);
    assert_eq!(kv.get("empty", b"b").expect("reads"), None, "trees are apart");
}

fn a_scan_is_ascending_and_keeps_to_its_prefix(kv: &dyn OrderedKv) {
    let keys: [&[u8]; 8] = [b"", b"\x00", b"a", b"a\x00", b"a\xff", b"a\xff\xff", b"b", b"\xff\xff"];
    for key in keys.iter().rev() {
        kv.apply("scan", put(key, key)).expect("applies");
    }
    let found = |prefix| scan(kv, "scan", prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(found(b""), keys);
    assert_eq!(found(b"a"), keys[2..6]);
    assert_eq!(found(b"a\xff"), keys[4..6]);
    assert_eq!(found(b"\xff"), keys[7..]);
    assert_eq!(found(b"zz"), Vec::<Vec<u8>>::new());
}

fn a_tree_can_be_read_piece_by_piece(kv: &dyn OrderedKv) {
    assert_eq!(kv.pairs_after("nowhere", None, 100).expect("reads"), []);
    let long = vec![7; 100_000];
    for number in 0..50_u8 {
        let value = if number % 10 == 3 { &long[..] } else { b"short" };
        kv.apply("pieces", put(&[number, number], value)).expect("applies");
    }
    kv.apply("pieces", put(b"", b"no key at all")).expect("applies");
    let whole = scan(kv, "pieces", b"");
    for max_bytes in [0, 1, 30, 100_000, usize::MAX] {
        let mut pieces: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        loop {
            let after = pieces.last().map(|(key, _)| key.clone());
            let piece = kv.pairs_after("pieces", after.as_deref(), max_bytes).expect("reads");
            let Some((_, last_value)) = piece.last() else { break };
            let bytes: usize = piece.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(piece.len() == 1 || bytes - last_value.len() <= max_bytes.saturating_add(2));
            pieces.extend(piece);
        }
        assert_eq!(pieces, whole, "in pieces of {max_bytes} bytes");
    }
    assert_eq!(
        kv.pairs_after("pieces", Some(&[20]), 1).expect("reads"),
        whole[21..22],
        "a key that is not there"
    );
}

fn a_scan_may_be_ended_and_may_change_what_it_scans(kv: &dyn OrderedKv) {
    let mut seen = 0;
    let ended = kv.scan("scan", b"", &mut |_, _| {
        seen += 1;
        Err(Error::NotFound { what: "enough".to_owned() })
    });
    assert!(matches!(ended, Err(Error::NotFound { .. })));
    assert_eq!(seen, 1);
    let changed = kv.scan("scan", b"a", &mut |key, _| kv.apply("scan", put(key, b"seen")));
    changed.expect("a visitor may apply batches");
    assert_eq!(kv.get("scan", b"a\xff").expect("reads"), Some(b"seen".to_vec()));
}

fn long_values_and_long_keys_come_back(kv: &dyn OrderedKv) {
    let long_key = vec![b'k'; limits::KV_KEY_BYTES];
    for length in [0, 1, 48 * 1024, 48 * 1024 + 1, 96 * 1024, 300_000, 5_000, 96 * 1024 + 7, 0] {
        let value: Vec<u8> = (0..length).map(|position: usize| (position / 7) as u8).collect();
        for key in [&b"long"[..], &long_key] {
            kv.apply("long", put(key, &value)).expect("applies");
            assert!(kv.get("long", key).expect("reads") == Some(value.clone()), "{length}");
        }
        let found = scan(kv, "long", b"");
        assert_eq!(found.len(), 2, "chunks are not seen");
        assert!(found.iter().all(|(_, stored)| *stored == value), "{length}");
    }
    let mut batch = KvBatch::new();
    batch.delete(*b"long").delete(long_key);
    kv.apply("long", batch).expect("applies");
    assert_eq!(scan(kv, "long", b""), []);
}

fn bounds_are_kept(kv: &dyn OrderedKv) {
    let long_name = "t".repeat(limits::KV_TREE_BYTES + 1);
    for tree in ["", "__sled__default", long_name.as_str()] {
        assert!(matches!(kv.apply(tree, put(b"a", b"")), Err(Error::Invalid { .. })), "{tree}");
        assert!(matches!(kv.get(tree, b"a"), Err(Error::Invalid { .. })), "{tree}");
    }
    let key = vec![0; limits::KV_KEY_BYTES + 1];
    assert!(matches!(kv.apply("bounds", put(&key, b"")), Err(Error::TooLarge { .. })));
    let value = vec![0; limits::KV_VALUE_BYTES + 1];
    assert!(matches!(kv.apply("bounds", put(b"", &value)), Err(Error::TooLarge { .. })));
    assert!(!kv.trees().expect("lists").contains(&"bounds".to_owned()), "nothing of a refused batch happens");
}

fn a_dropped_tree_is_gone(kv: &dyn OrderedKv) {
    kv.apply("gone", put(b"a", &vec![1; 100_000])).expect("applies");
    kv.drop_tree("gone").expect("drops");
    assert!(!kv.trees().expect("lists").contains(&"gone".to_owned()));
    assert_eq!(kv.get("gone", b"a").expect("reads"), None);
    kv.apply("gone", put(b"b", b"new")).expect("applies");
    assert_eq!(scan(kv, "gone", b""), [(b"b".to_vec(), b"new".to_vec())]);
    kv.sync().expect("syncs");
}

#[test]
fn the_store_in_memory_conforms() {
    conforms(&MemKv::new());
}

#[test]
fn the_store_in_sled_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    conforms(&SledKv::open(directory.path(), &small_options()).expect("opens"));
}

#[test]
fn the_store_in_redb_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    conforms(&RedbKv::open(directory.path(), &small_redb()).expect("opens"));
}

#[test]
fn the_store_in_memory_fails_on_demand() {
    let kv = MemKv::new();
    for number in 0..4_u8 {
        kv.apply("t", put(&[number], b"x")).expect("applies");
        if number == 1 {
            kv.sync().expect("syncs");
        }
    }
    assert_eq!(kv.unsynced(), 2);
    let found: Vec<usize> = [0, 1, 9].map(|keep| scan(&kv.crash(keep), "t", b"").len()).to_vec();
    assert_eq!(found, [2, 3, 4], "what a crash leaves is a prefix that begins with what was synced");
    assert!(matches!(kv.get("t", b"x"), Err(Error::Poisoned { .. })));

    let kv = MemKv::new();
    kv.inject([KvFault::None, KvFault::Full]);
    kv.apply("t", put(b"a", b"x")).expect("applies");
    assert!(matches!(kv.sync(), Err(Error::Full { .. })));
    assert!(matches!(kv.apply("t", put(b"b", b"x")), Err(Error::Poisoned { .. })));

    let kv = MemKv::new();
    kv.apply("t", put(b"a", b"x")).expect("applies");
    kv.damage("t", b"a");
    assert!(matches!(kv.get("t", b"a"), Err(Error::Corrupt { .. })));
    assert!(matches!(kv.scan("t", b"", &mut |_, _| Ok(())), Err(Error::Corrupt { .. })));
    kv.apply("t", put(b"a", b"y")).expect("overwrites");
    assert_eq!(kv.get("t", b"a").expect("reads"), Some(b"y".to_vec()));
}
