//! Segments that every later release must read (`docs/formats/segment.md`): a key and a feature of every type, as a bulk
//! load is written and as compaction writes. They are in `tests/testdata`.
//!
//! Where a release of the Parquet library writes other bytes, these files stay, and what it writes is kept beside them.

use std::{env, fs, path::PathBuf};

use arrow::array::{Array, ArrayRef, RecordBatch};
use bytes::Bytes;
use lineate_segment::{
    Segment, SegmentInfo,
    intake::{ForeignFile, Intake},
    logical_hash::TableHasher,
    matcher::Cut,
    run::{KeyRef, RowSource, RunSorter, SortedRun},
    schema::ViewSchema,
    segment::CommitSource,
};
use lineate_storage::blob::{BlobStore, MemBlobs};
use lineate_types::{Feature, KeyColumn, KeyType, MatchMode, TimestampUs, ViewDefinition};

use super::{assert_bits_equal, write};
use crate::fixture::{name, view};

const FEATURES: [(&str, &str); 19] = [
    ("bo", "bool"),
    ("i32", "int32"),
    ("i64", "int64"),
    ("f32", "float32"),
    ("f64", "float64"),
    ("st", "string"),
    ("by", "bytes"),
    ("ti", "timestamp"),
    ("da", "date"),
    ("uu", "uuid"),
    ("js", "json"),
    ("de", "decimal(38,9)"),
    ("li", "list<int64>"),
    ("lj", "list<json>"),
    ("ma", "map<string,list<float64>>"),
    ("sr", "struct<a:int64,b:struct<c:string,d:uuid>>"),
    ("sl", "list<struct<a:string>>"),
    ("ve", "vector<float32,2>"),
    ("vd", "vector<float64,2>"),
];

/// Four rows of three keys: one with everything, one of nulls, a correction, a tombstone.
const ROWS: &str = r#"
{"k_bool":true,"k_int64":-7,"k_string":"JFK","k_bytes":"/w==","k_date":"2013-06-01","k_timestamp":"1us","k_uuid":"123e4567-e89b-12d3-a456-426614174000","happened":"2013-06-01T12:00:00Z","known":"2013-06-01T12:15:00Z","bo":true,"i32":-1,"i64":9007199254740993,"f32":0.5,"f64":-0.0,"st":"é","by":"/w==","ti":"1us","da":"2013-06-01","uu":"123e4567-e89b-12d3-a456-426614174000","js":{"b" : 1.0},"de":"-1.5","li":[1,null],"lj":[{"x":1},null],"ma":{"z":[1.5,null],"a":null},"sr":{"a":1,"b":{"c":null,"d":"123e4567-e89b-12d3-a456-426614174001"}},"sl":[{"a":"x"},null],"ve":[1,2.5],"vd":[-1,0.25]}
{"k_bool":false,"k_int64":9,"k_string":"","k_bytes":"","k_date":"-1d","k_timestamp":"-1us","k_uuid":"00000000-0000-0000-0000-000000000000","happened":"1969-12-31T23:59:59.999999Z","known":null,"bo":null,"i32":null,"i64":null,"f32":null,"f64":null,"st":null,"by":null,"ti":null,"da":null,"uu":null,"js":null,"de":null,"li":null,"lj":null,"ma":null,"sr":null,"sl":null,"ve":null,"vd":null}
{"k_bool":true,"k_int64":-7,"k_string":"JFK","k_bytes":"/w==","k_date":"2013-06-01","k_timestamp":"1us","k_uuid":"123e4567-e89b-12d3-a456-426614174000","happened":"2013-06-01T12:00:00Z","known":"2013-06-02T00:00:00Z","bo":false,"i32":2147483647,"i64":-9223372036854775808,"f32":"NaN","f64":"-Infinity","st":"","by":"","ti":"-1us","da":"-1d","uu":"00000000-0000-0000-0000-000000000000","js":"text","de":"99999999999999999999999999999.999999999","li":[],"lj":[],"ma":{},"sr":{"a":null,"b":null},"sl":[],"ve":["NaN",-0.0],"vd":[1e-300,"Infinity"]}
{"k_bool":true,"k_int64":-7,"k_string":"LGA","k_bytes":"AA==","k_date":"2013-06-01","k_timestamp":"1us","k_uuid":"123e4567-e89b-12d3-a456-426614174000","happened":"2013-06-01T13:00:00Z","known":null,"__deleted":true}
"#;

/// A file with its key index, and its manifest entry.
struct Kept {
    file: &'static str,
    commit: CommitSource,
    manifest: &'static str,
    logical: &'static str,
}

const KEPT: [Kept; 2] = [
    Kept {
        file: "segment-v1-loaded",
        commit: CommitSource::Manifest,
        manifest: "8e582096d823959298562f80d25ee4f2b17a2301a916680334331f04dbca3da1fa086c192617582047f93c867bda5d991275746965f744e2ec092b17bb2b06cab1b765a3045e713c1901ec582030de3e97459046786e9fb92e41c430cfb0e542116f07d05b1a42a7730d9725010704030119013819016a82201b0004de174f20b400821b0004de16ae31f9001b0004de208778c000820080",
        logical: "b3:30de3e97459046786e9fb92e41c430cfb0e542116f07d05b1a42a7730d972501",
    },
    Kept {
        file: "segment-v1-merged",
        commit: CommitSource::Column,
        manifest: "8e58203d17990e2661dafa2845bbb9308854b6c0a7e3487d84aac1f1a6a0e4d22c3b2f1927445820850627966dbcbc82a395eb4d2996f7663b4ee6227f5a745f9a2f4ceb68f1b2d31901ec582021ec41e3041e68f7a04668733e16239258540f5a95673cb65e633e382c2e1f9b0704030119013819016a82201b0004de174f20b400821b0004de16ae31f9001b0004de208778c000820281821b0004de208778c0001b0004de208778c000",
        logical: "b3:21ec41e3041e68f7a04668733e16239258540f5a95673cb65e633e382c2e1f9b",
    },
];

/// The commit time of all rows.
const COMMITTED: TimestampUs = TimestampUs(1_370_131_200_000_000);

fn kept_view() -> ViewDefinition {
    let key = |key_type: KeyType| KeyColumn { name: name(&format!("k_{key_type}")), key_type };
    let feature =
        |(column, text): (&str, &str)| Feature { name: name(column), data_type: text.parse().expect(text) };
    ViewDefinition {
        keys: KeyType::ALL.map(key).into(),
        features: FEATURES.map(feature).into(),
        ..view(true)
    }
}

/// The rows, sorted as a bulk load.
fn kept_run(view: &ViewDefinition) -> SortedRun {
    let file = ForeignFile::from_bytes("rows.ndjson", Bytes::from_static(ROWS.as_bytes()));
    let mut sorter = RunSorter::new(ViewSchema::of(view));
    for batch in Intake::new(view).open(&file).expect("opens") {
        let batch = batch.expect("rows");
        // The ordinals of a bulk load.
        sorter.push(&batch, (0..batch.num_rows()).map(|row| (1 << 62) + row as i64)).expect("small");
    }
    sorter.finish(COMMITTED).expect("small")
}

fn path(file: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/testdata").join(file).with_extension(extension)
}

fn read(file: &str, extension: &str) -> Vec<u8> {
    fs::read(path(file, extension)).expect("is kept")
}

fn write_made(made: &MemBlobs, info: &SegmentInfo, file: &str) {
    for (extension, hash) in [("parquet", info.segment), ("keys", info.key_index)] {
        fs::write(path(file, extension), made.read(&hash).expect("just written")).expect("writes");
    }
}

fn columns(batch: &RecordBatch) -> Vec<&ArrayRef> {
    batch.columns().iter().filter(|column| column.null_count() < column.len()).collect()
}

/// Set `UPDATE_EXPECT` to write the files anew.
#[test]
fn rows_of_every_type_are_written_as_these_bytes() {
    let view = kept_view();
    for Kept { file, commit, manifest, logical } in KEPT {
        let made = MemBlobs::new();
        let info = write(&made, &view, &kept_run(&view), commit);
        if env::var_os("UPDATE_EXPECT").is_some() {
            write_made(&made, &info, file);
        }
        assert_eq!(made.read(&info.segment).expect("just written"), read(file, "parquet"), "{file}");
        assert_eq!(made.read(&info.key_index).expect("just written"), read(file, "keys"), "{file}");
        let entry = minicbor::to_vec(&info).expect("encodes");
        let entry: String = entry.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!([entry, info.logical.to_string()], [manifest, logical], "{file}");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn segments_that_were_kept_are_read() {
    let view = kept_view();
    let run = kept_run(&view);
    for Kept { file, commit, manifest, logical } in KEPT {
        let info: SegmentInfo = minicbor::decode(&bytes(manifest)).expect("an entry");
        let info = match commit {
            CommitSource::Manifest => info.committed_at(COMMITTED),
            CommitSource::Column => info,
        };
        let blobs = MemBlobs::new();
        for extension in ["parquet", "keys"] {
            let mut writer = blobs.writer().expect("room");
            writer.write_all(&read(file, extension)).expect("room");
            writer.finish().expect("room");
        }
        let kept = Segment::open(&blobs, &info).expect("a segment of version 1");

        // Every row, bit for bit.
        let stored = ViewSchema::of(&view).stored(true);
        let found = kept.gather(&[0, 1, 2, 3], &stored).expect("readable");
        assert_bits_equal(&found, &run.gather(&[0, 1, 2, 3], &stored).expect("in memory"));
        assert_eq!(columns(&found).len(), found.num_columns(), "a value in every column");

        // The logical hash, of the columns that are in the file.
        let written = ViewSchema::of(&view).stored(commit == CommitSource::Column);
        assert_eq!(*kept.stored_schema().fields(), *written.fields());
        let mut hasher = TableHasher::new(&written).expect("every type has a hash");
        hasher.update(&kept.gather(&[0, 1, 2, 3], &written).expect("readable")).expect("the same columns");
        assert_eq!(hasher.finish().to_string(), logical, "{file}");

        // Every key, by the index.
        let cut = Cut {
            mode: MatchMode::Event,
            default_mode: MatchMode::Event,
            snapshot: TimestampUs::MAX,
            ttl: None,
        };
        let keys = run.run_keys();
        assert_eq!(kept.keys().expect("readable").keys(), keys.keys());
        for (position, key) in keys.keys().iter().enumerate() {
            let key = lineate_types::EntityKey::from_bytes(key.bytes.to_vec()).expect("a key");
            assert_eq!(KeyRef::of(&key), keys.keys().get(position).expect("there"));
            let found = kept.find(&key, TimestampUs::MAX, &cut).expect("readable").expect("there");
            let last = keys.rows_of(position).end - 1;
            assert_eq!((found.row as usize, found.rank), (last, keys.rank(last)));
        }
    }
}
