//! The flights training set, all labels: the same logical hashes with 1 and 16 shards, after a restart and after
//! compaction.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
};
use bytes::Bytes;
use lineate_node::{
    CompactionBounds, Node,
    api::{LoadFile, LoadRequest},
};
use lineate_query::{DatasetRequest, verify};
use lineate_state::{catalog::authored::Definitions, meta::ColumnDraft};
use lineate_types::{HistoryId, MatchMode, ShardId, limits};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::store::{open, quiet, tester, upload};

const LOGS: [&str; 4] = ["weather", "aircraft_log", "route_log", "carrier_log"];
const LABELS: u64 = 336_776;

fn data() -> Option<PathBuf> {
    let directory = std::env::var_os("LINEATE_FLIGHTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nycflights13"),
        PathBuf::from,
    );
    if directory.join("labels.parquet").is_file() {
        return Some(directory);
    }
    writeln!(
        std::io::stderr(),
        "skip[flights-data]: no flights data in {} (LINEATE_FLIGHTS says where it is)",
        directory.display()
    )
    .expect("standard error");
    None
}

fn definitions() -> Definitions {
    serde_saphyr::from_str(include_str!("../../../../examples/flights/flights.yaml"))
        .expect("valid definitions")
}

fn log_of(directory: &Path, view: &str) -> Vec<u8> {
    let file = if view == "weather" { "weather_log" } else { view };
    std::fs::read(directory.join(format!("{file}.parquet"))).expect("readable")
}

/// The rows of a Parquet file, dealt out to some files.
fn dealt(content: Vec<u8>, files: usize) -> Vec<Vec<u8>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content)).expect("a table");
    let schema = builder.schema().clone();
    let rows: Vec<RecordBatch> = builder.build().expect("a table").map(|rows| rows.expect("rows")).collect();
    let rows = concat_batches(&schema, &rows).expect("one schema");
    let deal = |file: usize| {
        let chosen: UInt32Array = (file..rows.num_rows()).step_by(files).map(|row| row as u32).collect();
        let mut content = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut content, schema.clone(), None).expect("a table");
        writer.write(&take_record_batch(&rows, &chosen).expect("rows")).expect("memory");
        writer.close().expect("memory");
        content
    };
    (0..files).map(deal).collect()
}

async fn ingest(node: &Node, view: &str, content: Vec<u8>) {
    let request = LoadRequest {
        project: None,
        view: view.parse().expect("a name"),
        files: vec![LoadFile { path: format!("{view}.parquet"), upload: upload(node, content).await }],
        again: false,
    };
    node.ingest(&tester(), request, quiet()).await.expect("loads");
}

async fn create(node: &Node, directory: &Path, mode: MatchMode) -> Vec<ColumnDraft> {
    let labels = std::fs::read(directory.join("labels.parquet")).expect("readable");
    let request = DatasetRequest {
        project: None,
        name: mode.as_str().parse().expect("a name"),
        service: "delay_model".parse().expect("a name"),
        spine: upload(node, labels).await,
        spine_path: "labels.parquet".into(),
        time_column: "event_timestamp".into(),
        mode: Some(mode),
        snapshot: None,
        window_rows: limits::TRAINING_WINDOW_ROWS,
    };
    let report = lineate_query::create(node, &tester(), request, quiet()).await.expect("joins");
    assert_eq!(report.draft.rows, LABELS);
    report.draft.columns
}

async fn assert_verified(node: &Node, when: &str) {
    for name in ["known", "event"] {
        let report =
            verify(node, &tester(), None, &name.parse().expect("a name"), quiet()).await.expect("verifies");
        assert!(report.verified, "{name} {when}: {:?}", report.columns);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flights_training_set_is_the_same_everywhere() {
    let Some(directory) = data() else { return };
    let mut columns = Vec::new();
    for shards in [1, 16] {
        let store = tempfile::tempdir().expect("a directory");
        let node = open(store.path(), shards).await;
        node.apply(&tester(), &definitions(), false).await.expect("applies");
        for view in LOGS {
            ingest(&node, view, log_of(&directory, view)).await;
        }
        columns.push([
            create(&node, &directory, MatchMode::Known).await,
            create(&node, &directory, MatchMode::Event).await,
        ]);
        node.shutdown().await.expect("stops");
        drop(node);
        if shards == 16 {
            let node = open(store.path(), shards).await;
            assert_verified(&node, "after a restart").await;
            node.shutdown().await.expect("stops");
        }
    }
    let [one, sixteen] = columns.as_slice() else { unreachable!("two stores") };
    assert_eq!(one, sixteen);
    assert_ne!(one[0], one[1], "the modes differ on this data");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flights_training_set_is_the_same_from_many_loads_and_after_their_compaction() {
    let Some(directory) = data() else { return };
    let store = tempfile::tempdir().expect("a directory");
    let node = open(store.path(), 1).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    for view in LOGS {
        for part in dealt(log_of(&directory, view), 3) {
            ingest(&node, view, part).await;
        }
    }
    let before = create(&node, &directory, MatchMode::Known).await;
    create(&node, &directory, MatchMode::Event).await;
    let segments = node.status().segments;
    let histories: Vec<HistoryId> = node.catalog().views().map(|view| view.history).collect();
    for history in histories {
        assert!(node.compact(ShardId(0), history, &CompactionBounds::down_to(1)).await.expect("compacts"));
    }
    assert!(node.status().segments * 3 <= segments, "{segments} segments before");
    assert_eq!(create(&node, &directory, MatchMode::Known).await, before);
    assert_verified(&node, "after compaction").await;
    node.shutdown().await.expect("stops");

    let whole = tempfile::tempdir().expect("a directory");
    let node = open(whole.path(), 4).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    for view in LOGS {
        ingest(&node, view, log_of(&directory, view)).await;
    }
    assert_eq!(create(&node, &directory, MatchMode::Known).await, before);
    node.shutdown().await.expect("stops");
}
