//! Training sets: what is in them, and that they can be made again.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use arrow::{
    array::RecordBatch,
    compute::cast,
    datatypes::{DataType, TimeUnit},
};
use expect_test::{Expect, expect};
use lineate_node::{CompactionBounds, Node};
use lineate_query::{DatasetRequest, DatasetRows, verify};
use lineate_types::{HasKind, Hash, MatchMode, ShardId};

use crate::store::{create, create_named, definitions, ingest, open, quiet, request, tester};

const WEATHER: &str = r#"
{"origin":"JFK","event_timestamp":"2013-06-01T10:00:00Z","created_timestamp":"2013-06-01T10:15:00Z","temp":20.5,"wind_dir":180}
{"origin":"JFK","event_timestamp":"2013-06-01T11:00:00Z","created_timestamp":"2013-06-01T11:15:00Z","temp":21.5,"wind_dir":null}
{"origin":"JFK","event_timestamp":"2013-06-01T11:00:00Z","created_timestamp":"2013-06-02T00:00:00Z","temp":99.0,"wind_dir":1}
{"origin":"LGA","event_timestamp":"2013-06-01T11:00:00Z","created_timestamp":"2013-06-01T11:15:00Z","temp":19.0,"wind_dir":90}
"#;

const SPINE: &str = "\
event_timestamp,origin,dest,label
2013-06-01T11:10:00Z,JFK,LGA,1
2013-06-01T11:15:00Z,JFK,LGA,0
2013-06-01T11:15:00Z,JFK,LGA,0
2013-06-01T20:00:00Z,LGA,JFK,1
2013-06-01T12:00:00Z,,JFK,1
";

fn show(node: &Node, version: u32, expected: &Expect) {
    let project = "flights".parse().expect("a name");
    let name = format!("delays@v{version}").parse().expect("a name");
    let dataset = node.dataset(&project, &name).expect("exists");
    let rows = DatasetRows::new(node, &dataset).expect("stored");
    let mut text = Vec::new();
    let mut writer = arrow::csv::Writer::new(&mut text);
    rows.for_each(|batch| writer.write(&without_zone(&batch.expect("readable"))).expect("prints"));
    drop(writer);
    expected.assert_eq(&String::from_utf8(text).expect("text"));
}

/// Arrow prints zoned times only with a time-zone database.
fn without_zone(batch: &RecordBatch) -> RecordBatch {
    let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
    let columns = batch.columns().iter().zip(batch.schema_ref().fields()).map(|(column, field)| {
        let column = match column.data_type() {
            DataType::Timestamp(..) => cast(column, &naive).expect("drops the zone"),
            _ => column.clone(),
        };
        (field.name().clone(), column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).expect("a table")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_set_holds_what_was_known_and_can_be_made_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 4).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    let load = ingest(&node, "weather", WEATHER).await.expect("loads");
    assert_eq!((load.rows, load.already_loaded), (4, false));

    let known = create(&node, SPINE, None, None).await.expect("joins");
    show(
        &node,
        1,
        &expect![[r#"
            event_timestamp,origin,dest,label,weather__temp,dest_weather__temp,dest_weather__wind_dir
            2013-06-01T11:10:00,JFK,LGA,1,20.5,,
            2013-06-01T11:15:00,JFK,LGA,0,21.5,19.0,90
            2013-06-01T11:15:00,JFK,LGA,0,21.5,19.0,90
            2013-06-01T20:00:00,LGA,JFK,1,,,
            2013-06-01T12:00:00,,JFK,1,,21.5,
        "#]],
    );
    create(&node, SPINE, Some(MatchMode::Event), None).await.expect("joins");
    show(
        &node,
        2,
        &expect![[r#"
            event_timestamp,origin,dest,label,weather__temp,dest_weather__temp,dest_weather__wind_dir
            2013-06-01T11:10:00,JFK,LGA,1,99.0,19.0,90
            2013-06-01T11:15:00,JFK,LGA,0,99.0,19.0,90
            2013-06-01T11:15:00,JFK,LGA,0,99.0,19.0,90
            2013-06-01T20:00:00,LGA,JFK,1,,,
            2013-06-01T12:00:00,,JFK,1,,99.0,1
        "#]],
    );

    let again = ingest(&node, "weather", WEATHER).await.expect("reported");
    assert_eq!((again.rows, again.already_loaded, again.load), (0, true, load.load));

    let name = "delays@v1".parse().expect("a name");
    let report = verify(&node, &tester(), None, &name, quiet()).await.expect("verifies");
    assert!(report.verified, "{report:?}");
    node.shutdown().await.expect("stops");
    drop(node);

    let node = open(directory.path(), 4).await;
    let report = verify(&node, &tester(), None, &name, quiet()).await.expect("verifies");
    assert!(report.verified, "after a restart: {report:?}");
    let replayed = create(&node, SPINE, None, Some(known.draft.snapshot)).await.expect("joins");
    assert_eq!(replayed.draft.columns, known.draft.columns);
    let check = node.verify_store(quiet()).await.expect("checks");
    assert!(check.faults.is_empty(), "{check:?}");
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_never_changes_a_training_set() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 1).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    for hour in 0..7 {
        for airport in ["JFK", "LGA"] {
            let row = format!(
                r#"{{"origin":"{airport}","event_timestamp":"2013-06-01T{hour:02}:00:00Z","created_timestamp":null,"temp":{hour},"wind_dir":1}}"#
            );
            ingest(&node, "weather", &row).await.expect("loads");
        }
    }
    let spine = "event_timestamp,origin,dest\n2013-06-01T02:30:00Z,JFK,LGA\n2013-06-01T09:00:00Z,LGA,JFK\n";
    create(&node, spine, Some(MatchMode::Event), None).await.expect("joins");
    let name = "delays".parse().expect("a name");
    let history = node.catalog().views().next().expect("defined").history;
    while node.compact(ShardId(0), history, &CompactionBounds::down_to(1)).await.expect("compacts") {}
    assert_eq!(node.status().segments, 1);
    let report = verify(&node, &tester(), None, &name, quiet()).await.expect("verifies");
    assert!(report.verified, "{report:?}");
    node.shutdown().await.expect("stops");
    drop(node);

    let node = open(directory.path(), 1).await;
    assert_eq!((node.status().segments, node.status().sealed_rows), (1, 14));
    let report = verify(&node, &tester(), None, &name, quiet()).await.expect("verifies");
    assert!(report.verified, "after a restart: {report:?}");
    // Only what is named is still stored: a segment with its key index, the spine and the output.
    assert_eq!(node.verify_store(quiet()).await.expect("checks").blobs, 4);
    let mut stored = 0;
    node.blobs()
        .list(&mut |_, _| {
            stored += 1;
            Ok(())
        })
        .expect("lists");
    assert_eq!(stored, 4);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_set_is_the_same_however_many_windows_it_is_made_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 2).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    ingest(&node, "weather", WEATHER).await.expect("loads");
    // More rows than two batches of a stored spine have.
    let mut spine = "event_timestamp,origin,dest,label\n".to_owned();
    for row in 0..150_000 {
        let (minute, second) = (row / 60 % 60, row % 60);
        let (origin, dest) = if row % 3 == 0 { ("JFK", "LGA") } else { ("LGA", "EWR") };
        let time = format!("2013-06-01T11:{minute:02}:{second:02}Z");
        writeln!(spine, "{time},{origin},{dest},{row}").expect("memory");
    }
    let whole = request(&node, "delays", "delay_model", &spine).await;
    let whole = lineate_query::create(&node, &tester(), whole, quiet()).await.expect("joins");
    let parts = DatasetRequest {
        window_rows: 1,
        snapshot: Some(whole.draft.snapshot),
        ..request(&node, "delays", "delay_model", &spine).await
    };
    let parts = lineate_query::create(&node, &tester(), parts, quiet()).await.expect("joins");
    assert_eq!(parts.draft.rows, 150_000);
    assert_eq!(parts.draft.columns, whole.draft.columns);
    assert_eq!(parts.draft.files, whole.draft.files);
    node.shutdown().await.expect("stops");
}

/// Turns one bit in the middle of a blob.
fn damage(directory: &Path, blob: &Hash) {
    let hex = blob.to_hex();
    let found = walk(&directory.join("blobs")).into_iter().find(|path| {
        let path = path.display().to_string().replace(std::path::MAIN_SEPARATOR, "");
        path.ends_with(&hex)
    });
    let path = found.expect("the blob is a file");
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut permissions = std::fs::metadata(&path).expect("metadata").permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a test damages its own file")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&path, permissions).expect("writable");
    std::fs::write(&path, bytes).expect("writable");
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_apart_by_where_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 1).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    ingest(&node, "weather", WEATHER).await.expect("loads");
    let report = create(&node, SPINE, None, None).await.expect("joins");
    let name = "delays".parse().expect("a name");
    node.shutdown().await.expect("stops");
    drop(node);

    let [output] = report.draft.files.as_slice() else { panic!("one file") };
    let named = [output.physical, report.draft.spine.physical];
    let node = open(directory.path(), 1).await;
    let mut others = Vec::new();
    node.blobs()
        .list(&mut |hash, bytes| {
            others.push((bytes, hash));
            Ok(())
        })
        .expect("lists");
    others.retain(|(_, hash)| !named.contains(hash));
    let (_, segment) = *others.iter().max().expect("a segment");
    node.shutdown().await.expect("stops");
    drop(node);

    let verdict = async |damaged: &Hash| {
        damage(directory.path(), damaged);
        let node = open(directory.path(), 1).await;
        let verdict = verify(&node, &tester(), None, &name, quiet()).await;
        node.shutdown().await.expect("stops");
        drop(node);
        // The same bit again mends it.
        damage(directory.path(), damaged);
        match verdict {
            Ok(report) => format!("{:?}", report.files.iter().map(|file| &file.fault).collect::<Vec<_>>()),
            Err(error) => format!("{:?}: {error}", error.kind()),
        }
    };
    let of_segment = verdict(&segment).await;
    assert!(of_segment.starts_with("Corrupt: segment b3:"), "{of_segment}");
    let of_output = verdict(&output.physical).await;
    assert!(of_output.contains("hash"), "{of_output}");
    let of_spine = verdict(&report.draft.spine.physical).await;
    assert!(of_spine.starts_with("Corrupt: the stored spine is damaged"), "{of_spine}");
    let node = open(directory.path(), 1).await;
    assert!(verify(&node, &tester(), None, &name, quiet()).await.expect("verifies").verified);
    node.shutdown().await.expect("stops");
}

/// As many labels of one long text as no column of 32-bit offsets holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_training_set_of_long_rows_is_made_a_part_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 1).await;
    let definitions = serde_json::from_value(serde_json::json!({
        "project": "flights",
        "entities": [{"name": "airport", "keys": [{"name": "origin", "type": "string"}]}],
        "views": [{
            "name": "notes", "entity": "airport", "event_time": "event_timestamp", "owner": "ops@example.com",
            "features": [{"name": "text", "type": "string"}]
        }],
        "services": [{"name": "notes", "features": ["notes.text"]}]
    }));
    node.apply(&tester(), &definitions.expect("valid"), false).await.expect("applies");
    let text = "x".repeat(1_040_000);
    let row = format!(r#"{{"origin":"JFK","event_timestamp":"2013-06-01T10:00:00Z","text":"{text}"}}"#);
    ingest(&node, "notes", &row).await.expect("loads");
    let labels = i32::MAX as usize / text.len() + 10;
    let spine = format!("event_timestamp,origin\n{}", "2013-06-01T11:00:00Z,JFK\n".repeat(labels));
    let report = create_named(&node, "notes", "notes", &spine, None, None).await.expect("joins");
    assert_eq!((report.draft.rows, report.draft.matches[0].filled), (labels as u64, labels as u64));
    let dataset = node.dataset(&"flights".parse().expect("a name"), &"notes".parse().expect("a name"));
    let rows = DatasetRows::new(&node, &dataset.expect("exists")).expect("stored");
    let read: usize = rows.map(|batch| batch.expect("readable").num_rows()).sum();
    assert_eq!(read, labels);
    node.shutdown().await.expect("stops");
}
