//! The key index: finds what was put in, byte by byte as documented.

use expect_test::expect;
use lineate_segment::{
    key_index::{KeyIndex, KeyIndexWriter, KeyRows, SegmentChecksums},
    run::KeyRef,
};
use lineate_storage::blob::{BlobInfo, BlobStore, MemBlobs};
use lineate_types::{EntityKey, KeyValue};
use proptest::prelude::*;

fn keys(texts: &[String]) -> Vec<EntityKey> {
    let encode = |text: &String| EntityKey::encode(&[KeyValue::String(text)]).expect("short");
    let mut keys: Vec<EntityKey> = texts.iter().map(encode).collect();
    keys.sort_by(|a, b| KeyRef::of(a).cmp(&KeyRef::of(b)));
    keys.dedup();
    keys
}

fn write(blobs: &MemBlobs, keys: &[EntityKey], segment: &[u8]) -> BlobInfo {
    let mut writer = KeyIndexWriter::new(blobs).expect("room");
    for (key, rows) in keys.iter().zip(1..) {
        writer.push(KeyRef::of(key), rows).expect("ascends");
        writer.push(KeyRef::of(key), 1).expect("the same key again");
    }
    let mut checksums = SegmentChecksums::default();
    segment.chunks(1_000).for_each(|part| checksums.update(part));
    writer.finish(checksums).expect("room")
}

proptest! {
    #[test]
    fn every_key_is_found_and_no_other(
        there in prop::collection::vec("[a-c]{0,6}", 0..400),
        asked in prop::collection::vec("[a-c]{0,6}", 0..50),
    ) {
        let blobs = MemBlobs::new();
        let keys = keys(&there);
        let info = write(&blobs, &keys, &[1; 40_000]);
        let index = KeyIndex::open(&blobs, &info.hash).expect("just written");
        let (table, starts) = index.load().expect("just written");
        prop_assert_eq!(index.keys(), keys.len() as u64);
        prop_assert_eq!(table.len(), keys.len());
        let mut first = 0;
        for (position, key) in keys.iter().enumerate() {
            let count = position as u32 + 2;
            prop_assert_eq!(index.find(KeyRef::of(key)).expect("readable"), Some(KeyRows { first, count }));
            prop_assert_eq!(table.get(position), Some(KeyRef::of(key)));
            prop_assert_eq!(starts[position], first);
            first += count;
        }
        prop_assert_eq!(index.rows(), u64::from(first));
        for text in asked {
            let key = EntityKey::encode(&[KeyValue::String(&text)]).expect("short");
            let found = index.find(KeyRef::of(&key)).expect("readable");
            prop_assert_eq!(found.is_some(), there.contains(&text));
        }
    }
}

#[test]
fn keys_that_descend_are_refused() {
    let blobs = MemBlobs::new();
    let keys = keys(&["a".into(), "b".into()]);
    let mut writer = KeyIndexWriter::new(&blobs).expect("room");
    writer.push(KeyRef::of(&keys[1]), 1).expect("first");
    assert!(writer.push(KeyRef::of(&keys[0]), 1).is_err());
}

/// The published test vector of `docs/formats/segment.md`.
#[test]
fn golden_bytes() {
    let blobs = MemBlobs::new();
    let keys = keys(&["JFK".into(), "LGA".into()]);
    let info = write(
        &blobs,
        &keys,
        b"not a Parquet file, but 20,000 bytes".repeat(600).get(..20_000).expect("long"),
    );
    let bytes = blobs.read(&info.hash).expect("just written");
    let lines: Vec<String> = bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    expect![[r#"
        4c 4e 54 4b 45 59 49 58 01 00 00 00 02 00 00 00
        07 00 01 03 4a 46 4b 00 00 03 00 00 00 07 00 01
        03 4c 47 41 00 00 17 db c1 0b 3b 59 b5 b0 e9 00
        01 00 00 00 00 00 0c 00 00 00 00 00 00 00 0d 00
        00 00 bb 71 cd be 07 00 01 03 4a 46 4b 00 00 59
        01 01 00 02 00 00 00 19 00 00 00 00 00 00 00 0d
        00 00 00 46 ee 03 b4 07 00 01 03 4c 47 41 00 00
        26 00 00 00 00 00 00 00 2e 00 00 00 00 00 00 00
        20 4e 00 00 00 00 00 00 02 00 00 00 00 00 00 00
        05 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00
        37 21 a1 5c 61 38 0a d7 01 00 00 00 4c 4e 54 4b
        45 59 49 58
    "#]]
    .assert_eq(&(lines.join("\n") + "\n"));
}
