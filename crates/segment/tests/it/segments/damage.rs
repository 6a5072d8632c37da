//! Damaged blobs: an error that says so, or the right answer from the part that is whole. Never a panic, never
//! another answer.

use lineate_segment::{Error, Segment, SegmentInfo, matcher::Cut, run::RowSource, segment::CommitSource};
use lineate_storage::blob::{BlobStore, MemBlobs};
use lineate_types::{ErrorKind, HasKind, Hash, MatchMode, TimestampUs};
use proptest::prelude::*;

use super::{wide::*, write};

const ROWS: usize = 150;

fn written() -> (MemBlobs, SegmentInfo) {
    let (view, blobs) = (wide_view(), MemBlobs::new());
    let info = write(&blobs, &view, &wide_run(&view, ROWS, 100), CommitSource::Column);
    (blobs, info)
}

/// Everything a reader does with a segment, as one text.
fn read_all(blobs: &MemBlobs, info: &SegmentInfo) -> Result<String, Error> {
    let segment = Segment::open(blobs, info)?;
    let keys = segment.keys()?;
    let schema = segment.stored_schema().clone();
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let batch = segment.gather(&rows, &schema)?;
    let cut =
        Cut { mode: MatchMode::Known, default_mode: MatchMode::Known, snapshot: TimestampUs::MAX, ttl: None };
    let mut found = Vec::new();
    for key in keys.keys().iter().step_by(5) {
        let key = lineate_types::EntityKey::from_bytes(key.bytes.to_vec())?;
        found.push(segment.find(&key, TimestampUs::MAX, &cut)?);
    }
    Ok(format!("{keys:?} {batch:?} {found:?}"))
}

fn assert_honest(result: Result<String, Error>, expected: &str) -> Result<(), TestCaseError> {
    match result {
        Ok(text) => prop_assert_eq!(text, expected),
        Err(cause) => prop_assert_eq!(cause.kind(), ErrorKind::Corrupt, "{}", cause),
    }
    Ok(())
}

thread_local! {
    /// Written once, and made whole again after each damage.
    static WRITTEN: (MemBlobs, SegmentInfo, String) = {
        let (blobs, info) = written();
        let expected = read_all(&blobs, &info).expect("whole");
        (blobs, info, expected)
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_byte_is_found(in_index in any::<bool>(), place in any::<prop::sample::Index>()) {
        WRITTEN.with(|(blobs, info, expected)| {
            let (hash, bytes) = damaged(info, in_index);
            prop_assert!(blobs.flip(&hash, place.index(bytes as usize)));
            let result = read_all(blobs, info);
            prop_assert!(blobs.flip(&hash, place.index(bytes as usize)));
            assert_honest(result, expected)
        })?;
    }

    #[test]
    fn a_shortened_blob_is_found(in_index in any::<bool>(), place in any::<prop::sample::Index>()) {
        WRITTEN.with(|(blobs, info, _)| {
            let (hash, bytes) = damaged(info, in_index);
            let whole = blobs.read(&hash).expect("whole");
            prop_assert!(blobs.shorten(&hash, place.index(bytes as usize)));
            let cause = read_all(blobs, info).expect_err("short");
            prop_assert!(blobs.lose(&hash));
            blobs.put(&whole).expect("room");
            prop_assert_eq!(cause.kind(), ErrorKind::Corrupt, "{}", cause);
            Ok(())
        })?;
    }
}

/// The blob to damage, and its size.
fn damaged(info: &SegmentInfo, in_index: bool) -> (Hash, u64) {
    match in_index {
        true => (info.key_index, info.key_index_bytes),
        false => (info.segment, info.segment_bytes),
    }
}

#[test]
fn an_index_of_another_segment_is_refused() {
    let (blobs, info) = written();
    let view = wide_view();
    let other = write(&blobs, &view, &wide_run(&view, ROWS - 1, 100), CommitSource::Column);
    let mixed = SegmentInfo { key_index: other.key_index, ..info };
    assert_eq!(Segment::open(&blobs, &mixed).err().expect("refused").kind(), ErrorKind::Corrupt);
}

#[test]
fn a_missing_blob_is_not_found() {
    let (blobs, info) = written();
    assert!(blobs.lose(&info.segment));
    assert_eq!(Segment::open(&blobs, &info).err().expect("refused").kind(), ErrorKind::NotFound);
}

#[test]
fn rows_beyond_the_segment_are_refused() {
    let (blobs, info) = written();
    let segment = Segment::open(&blobs, &info).expect("whole");
    let schema = segment.stored_schema().clone();
    assert_eq!(segment.gather(&[ROWS as u32], &schema).expect_err("refused").kind(), ErrorKind::Invalid);
    assert_eq!(segment.gather(&[5, 4], &schema).expect_err("refused").kind(), ErrorKind::Invalid);
}
