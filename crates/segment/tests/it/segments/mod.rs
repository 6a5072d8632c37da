//! Segments: what is written is read, the same rows are the same bytes, damage is an error.

mod damage;
mod full_disk;
mod kept;
mod key_index;
mod wide;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use expect_test::expect;
use lineate_segment::{
    Segment, SegmentInfo,
    matcher::Cut,
    merge::merge_runs,
    packed::RowPacker,
    run::{OpenRun, RowSource, RunSorter, SortedRun},
    schema::{ViewSchema, arrow_field},
    segment::{CommitSource, SegmentCommit, write_run},
};
use lineate_storage::blob::{BlobFile, BlobStore, BlobWriter, MemBlobs};
use lineate_types::{
    DataType, ErrorKind, Feature, HasKind, Hash, HistoryId, MatchMode, TimestampUs, ViewDefinition,
};
use proptest::prelude::*;
use wide::{wide_batch, wide_run, wide_view};

use crate::fixture::{Commit, Row, bulk_run, key, name, view};

pub(crate) fn write(
    blobs: &dyn BlobStore,
    view: &ViewDefinition,
    run: &SortedRun,
    commit: CommitSource,
) -> SegmentInfo {
    write_run(blobs, HistoryId(7), ViewSchema::of(view), run, commit).expect("rows that fit")
}

/// A bulk segment, committed at the time its run says.
fn bulk_segment(blobs: &dyn BlobStore, view: &ViewDefinition, run: &SortedRun) -> Segment {
    let info = write(blobs, view, run, CommitSource::Manifest).committed_at(run.run_keys().latest_commit());
    Segment::open(blobs, &info).expect("just written")
}

#[test]
fn every_row_of_every_type_comes_back_bit_for_bit() {
    let (view, blobs) = (wide_view(), MemBlobs::new());
    let run = wide_run(&view, 5_000, 700);
    for commit in [CommitSource::Column, CommitSource::Manifest] {
        let info = write(&blobs, &view, &run, commit).committed_at(TimestampUs(1_000));
        let segment = Segment::open(&blobs, &info).expect("just written");
        assert_eq!(segment.keys().expect("readable").keys(), run.run_keys().keys());
        assert_eq!(segment.keys().expect("readable").rows(), 5_000);
        let stored = ViewSchema::of(&view).stored(true);
        let all: Vec<u32> = (0..5_000).collect();
        let some = vec![0, 0, 1, 7, 7, 7, 2_047, 2_048, 2_049, 4_095, 4_096, 4_999, 4_999];
        for rows in [all, some, vec![4_998], vec![]] {
            let expected = run.gather(&rows, &stored).expect("in memory");
            let found = segment.gather(&rows, &stored).expect("readable");
            assert_bits_equal(&found, &expected);
        }
    }
}

/// Equality of batches takes NaN for unequal to itself and -0.0 for equal to 0.0: compare what was packed.
fn assert_bits_equal(found: &RecordBatch, expected: &RecordBatch) {
    assert_eq!(found.schema(), expected.schema());
    let packer = RowPacker::new(found.schema()).expect("every type packs");
    let (found, expected) = (packer.pack(found).expect("fits"), packer.pack(expected).expect("fits"));
    assert!(found.iter().eq(expected.iter()));
}

#[test]
fn keys_and_times_of_a_segment_are_those_of_its_run() {
    let (view, blobs) = (wide_view(), MemBlobs::new());
    let run = wide_run(&view, 3_000, 1_000);
    let segment = bulk_segment(&blobs, &view, &run);
    let (found, expected) = (segment.keys().expect("readable"), run.run_keys());
    for index in 0..3_000 {
        assert_eq!(found.rank(index), expected.rank(index));
        assert_eq!(found.is_deleted(index), expected.is_deleted(index));
    }
    assert_eq!(segment.info().tombstones, 3_000_u64.div_ceil(13));
}

#[test]
fn the_same_rows_are_the_same_bytes_however_they_came() {
    let (view, blobs) = (wide_view(), MemBlobs::new());
    let infos = [1, 333, 5_000].map(|batch_rows| {
        let run = wide_run(&view, 2_500, batch_rows);
        write(&blobs, &view, &run, CommitSource::Column)
    });
    assert_eq!(infos[0], infos[1]);
    assert_eq!(infos[0], infos[2]);
}

#[test]
fn any_other_value_is_another_logical_hash() {
    let (view, blobs) = (view(true), MemBlobs::new());
    let logical = |value| {
        let row = Row {
            origin: "A".into(),
            flight: 1,
            event_time: 1,
            created_time: None,
            deleted: false,
            value,
            id: 1,
        };
        let run = bulk_run(&Commit { time: 1, rows: vec![row] }, &view, 8);
        write(&blobs, &view, &run, CommitSource::Column).logical
    };
    assert_ne!(logical(Some(0)), logical(None));
    assert_ne!(logical(Some(0)), logical(Some(1)));
}

#[test]
fn a_load_is_read_only_once_it_is_committed() {
    let (view, blobs) = (wide_view(), MemBlobs::new());
    let pending = write(&blobs, &view, &wide_run(&view, 10, 10), CommitSource::Manifest);
    assert_eq!(pending.commit, SegmentCommit::Pending);
    let refused = Segment::open(&blobs, &pending).err().expect("refused");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let segment = Segment::open(&blobs, &pending.committed_at(TimestampUs(5))).expect("committed");
    assert_eq!(segment.keys().expect("readable").latest_commit(), TimestampUs(5));
}

#[test]
fn an_empty_segment_is_not_written() {
    let run = RunSorter::new(ViewSchema::of(&wide_view())).finish(TimestampUs(1)).expect("empty");
    let refused =
        write_run(&MemBlobs::new(), HistoryId(7), ViewSchema::of(&wide_view()), &run, CommitSource::Column);
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Invalid);
}

/// Rows of version 1 have no `extra`; rows of version 2 do. Either version reads both.
#[test]
fn versions_of_one_history_share_a_run() {
    let first = view(true);
    let mut second = view(true);
    second.features.insert(1, Feature { name: name("extra"), data_type: DataType::Int64 });
    let row = |id| Row {
        origin: "A".into(),
        flight: id,
        event_time: id,
        created_time: None,
        deleted: false,
        value: Some(10 * id),
        id,
    };
    let mut open = OpenRun::new();
    let batch = crate::fixture::batch(&[row(1), row(2)], &first);
    open.append(&batch, &ViewSchema::of(&first), TimestampUs(1), 0).expect("in order");
    let mut columns = crate::fixture::batch(&[row(3)], &first).columns().to_vec();
    columns.insert(5, Arc::new(arrow::array::Int64Array::from(vec![99])));
    let batch = RecordBatch::try_new(ViewSchema::of(&second).arrow().clone(), columns).expect("canonical");
    open.append(&batch, &ViewSchema::of(&second), TimestampUs(2), 0).expect("in order");

    let blobs = MemBlobs::new();
    let run = open.freeze().expect("small");
    let segment =
        Segment::open(&blobs, &write(&blobs, &second, &run, CommitSource::Column)).expect("just written");
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![
        arrow_field("id", &DataType::Int64, true),
        arrow_field("extra", &DataType::Int64, true),
        arrow_field("later", &DataType::String, true),
    ]));
    for source in [&run as &dyn RowSource, &segment] {
        let batch = source.gather(&[0, 1, 2], &schema).expect("readable");
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let extra = batch.column(1).as_primitive::<Int64Type>();
        for row in 0..3 {
            let expected = (ids.value(row) == 3).then_some(99);
            assert_eq!(extra.is_valid(row).then(|| extra.value(row)), expected);
        }
        assert_eq!(batch.column(2).null_count(), 3);
    }
    let lossy = write_run(&blobs, HistoryId(7), ViewSchema::of(&first), &run, CommitSource::Column);
    assert!(lossy.expect_err("refused").to_string().contains("`extra` would be lost"));
    let lossy = merge_runs(&blobs, HistoryId(7), ViewSchema::of(&first), &[&run, &segment]);
    assert_eq!(lossy.expect_err("refused").kind(), ErrorKind::Invalid);
    let wrong = Arc::new(arrow::datatypes::Schema::new(vec![arrow_field("id", &DataType::String, true)]));
    assert_eq!(segment.gather(&[0], &wrong).expect_err("of another type").kind(), ErrorKind::Invalid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_are_gathered_as_from_memory(mut rows in prop::collection::vec(0..9_000_u32, 0..60)) {
        thread_local! {
            static WRITTEN: (SortedRun, Segment) = {
                let (view, blobs) = (view(true), MemBlobs::new());
                let row = |id: i64| Row {
                    origin: format!("{}", id % 100),
                    flight: id % 7,
                    event_time: id,
                    created_time: None,
                    deleted: false,
                    value: (id % 3 > 0).then_some(id * id),
                    id,
                };
                let run = bulk_run(&Commit { time: 1, rows: (0..9_000).map(row).collect() }, &view, 2_000);
                let segment = bulk_segment(&blobs, &view, &run);
                (run, segment)
            };
        }
        rows.sort_unstable();
        let schema = ViewSchema::of(&view(true)).stored(true);
        WRITTEN.with(|(run, segment)| {
            let expected = run.gather(&rows, &schema).expect("in memory");
            prop_assert_eq!(segment.gather(&rows, &schema).expect("readable"), expected);
            Ok(())
        })?;
    }
}

/// Counts the bytes read from a store.
struct Counting {
    blobs: MemBlobs,
    read: Arc<AtomicU64>,
}

struct CountingFile {
    file: Arc<dyn BlobFile>,
    read: Arc<AtomicU64>,
}

impl BlobFile for CountingFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, offset: u64, length: usize) -> lineate_storage::Result<Bytes> {
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        self.file.read_at(offset, length)
    }
}

impl BlobStore for Counting {
    fn writer(&self) -> lineate_storage::Result<Box<dyn BlobWriter>> {
        self.blobs.writer()
    }

    fn open(&self, hash: &Hash) -> lineate_storage::Result<Arc<dyn BlobFile>> {
        Ok(Arc::new(CountingFile { file: self.blobs.open(hash)?, read: self.read.clone() }))
    }

    fn delete(&self, hash: &Hash) -> lineate_storage::Result<()> {
        self.blobs.delete(hash)
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(Hash, u64) -> lineate_storage::Result<()>,
    ) -> lineate_storage::Result<()> {
        self.blobs.list(visit)
    }
}

#[test]
fn a_lookup_reads_a_small_part_of_a_segment() {
    let view = view(true);
    let blobs = Counting { blobs: MemBlobs::new(), read: Arc::default() };
    let row = |id: i64| Row {
        origin: format!("{}", id % 1_000),
        flight: id % 9,
        event_time: id.wrapping_mul(6_364_136_223_846_793_005) >> 20,
        created_time: None,
        deleted: false,
        value: Some(id.wrapping_mul(6_364_136_223_846_793_005)),
        id,
    };
    let run = bulk_run(&Commit { time: 1, rows: (0..60_000).map(row).collect() }, &view, 8_192);
    let segment = bulk_segment(&blobs, &view, &run);
    let cut =
        Cut { mode: MatchMode::Event, default_mode: MatchMode::Event, snapshot: TimestampUs::MAX, ttl: None };
    blobs.read.store(0, Ordering::Relaxed);
    let found = segment.find(&key("77", 77 % 9), TimestampUs::MAX, &cut).expect("readable").expect("there");
    let schema = ViewSchema::of(&view).stored(true);
    let batch = segment.gather(&[found.row], &schema).expect("readable");
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "77");
    let happened = batch.column(2).as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(happened, found.rank.event_time.0);
    let (read, size) = (blobs.read.load(Ordering::Relaxed), segment.info().segment_bytes);
    assert!(read * 3 < size, "{read} bytes read of {size}");
    assert_eq!(segment.find(&key("77", 99), TimestampUs::MAX, &cut).expect("readable"), None);

    segment.hold_keys().expect("readable");
    blobs.read.store(0, Ordering::Relaxed);
    assert_eq!(segment.find(&key("77", 77 % 9), TimestampUs::MAX, &cut).expect("readable"), Some(found));
    assert_eq!(blobs.read.load(Ordering::Relaxed), 0, "keys that are held are not read again");
}

#[test]
fn merged_runs_keep_every_row_with_its_commit_time() {
    let (view, blobs) = (wide_view(), MemBlobs::new());
    let runs = [(0, 10), (1, 20), (2, 30)].map(|(part, commit_time)| {
        let mut sorter = RunSorter::new(ViewSchema::of(&view));
        let rows = wide_batch(&view, part * 1_500..(part + 1) * 1_500);
        sorter.push(&rows, (0..1_500).collect::<Vec<i64>>().into_iter()).expect("small");
        sorter.finish(TimestampUs(commit_time)).expect("small")
    });
    let bulk = bulk_segment(&blobs, &view, &runs[1]);
    let sources: [&dyn RowSource; 3] = [&runs[0], &bulk, &runs[2]];
    let info = merge_runs(&blobs, HistoryId(7), ViewSchema::of(&view), &sources).expect("readable");
    assert_eq!(info.rows, 4_500);
    let merged = Segment::open(&blobs, &info).expect("just written");
    let stored = ViewSchema::of(&view).stored(true);
    let packer = RowPacker::new(stored.clone()).expect("every type packs");
    let packed = |source: &dyn RowSource, rows: u32| -> Vec<Vec<u8>> {
        let batch = source.gather(&(0..rows).collect::<Vec<_>>(), &stored).expect("readable");
        packer.pack(&batch).expect("fits").iter().map(<[u8]>::to_vec).collect()
    };
    let mut expected: Vec<Vec<u8>> = runs.iter().flat_map(|run| packed(run, 1_500)).collect();
    let mut found = packed(&merged, 4_500);
    expected.sort();
    found.sort();
    assert!(found == expected);
}

#[test]
fn packed_rows_come_back_bit_for_bit() {
    let view = wide_view();
    let schema = ViewSchema::of(&view);
    let batch = wide_batch(&view, 0..100).project(&schema.features().collect::<Vec<_>>()).expect("features");
    let packer = RowPacker::new(batch.schema()).expect("every type packs");
    let packed = packer.pack(&batch).expect("fits");
    let rows: Vec<&[u8]> = packed.iter().collect();
    let unpacked = packer.unpack(rows.iter().copied().map(Some)).expect("packed here");
    assert_eq!(unpacked.schema(), batch.schema());
    let floats = |batch: &RecordBatch| -> Vec<Option<u64>> {
        let column = batch.column_by_name("f4").expect("the float64");
        let column = column.as_primitive::<arrow::datatypes::Float64Type>();
        column.iter().map(|value| value.map(f64::to_bits)).collect()
    };
    assert_eq!(floats(&unpacked), floats(&batch));
    let mut rest: Vec<usize> = (0..batch.num_columns()).collect();
    rest.remove(4);
    assert_eq!(unpacked.project(&rest).expect("there"), batch.project(&rest).expect("there"));

    let with_gap = packer.unpack([Some(rows[1]), None, Some(rows[0])]).expect("packed here");
    assert!(with_gap.columns().iter().all(|column| column.is_null(1)));
    assert_eq!(with_gap.column(1).slice(0, 1).as_ref(), batch.column(1).slice(1, 1).as_ref());
}

/// The manifest entry of `docs/formats/segment.md`.
#[test]
fn golden_manifest_entry() {
    let hash = |byte| Hash::from_bytes([byte; 32]);
    let range =
        |min, max| lineate_segment::segment::TimeRange { min: TimestampUs(min), max: TimestampUs(max) };
    let info = SegmentInfo {
        segment: hash(1),
        segment_bytes: 1_000,
        key_index: hash(2),
        key_index_bytes: 200,
        logical: hash(3),
        history: HistoryId(7),
        rows: 40,
        keys: 10,
        tombstones: 1,
        first_bucket: lineate_types::Bucket(0),
        last_bucket: lineate_types::Bucket(63),
        event_times: range(-5, 9),
        created_times: None,
        commit: SegmentCommit::Pending,
    };
    let mut lines = String::new();
    for info in [
        info.clone(),
        info.clone().committed_at(TimestampUs(99)),
        SegmentInfo { created_times: Some(range(0, 1)), commit: SegmentCommit::Column(range(2, 3)), ..info },
    ] {
        let bytes = minicbor::to_vec(&info).expect("encodes");
        assert_eq!(minicbor::decode::<SegmentInfo>(&bytes).expect("decodes"), info);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        lines += &(hex + "\n");
    }
    expect![[r#"
        8e582001010101010101010101010101010101010101010101010101010101010101011903e85820020202020202020202020202020202020202020202020202020202020202020218c8582003030303030303030303030303030303030303030303030303030303030303030718280a0100183f822409f6820080
        8e582001010101010101010101010101010101010101010101010101010101010101011903e85820020202020202020202020202020202020202020202020202020202020202020218c8582003030303030303030303030303030303030303030303030303030303030303030718280a0100183f822409f68201811863
        8e582001010101010101010101010101010101010101010101010101010101010101011903e85820020202020202020202020202020202020202020202020202020202020202020218c8582003030303030303030303030303030303030303030303030303030303030303030718280a0100183f822409820001820281820203
    "#]].assert_eq(&lines);
}
