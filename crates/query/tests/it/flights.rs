//! The flights training set, all labels: the same logical hashes with 1 and 16 shards, after a restart and after
//! compaction.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use lineate_node::{
    Node,
    api::{LoadFile, LoadRequest},
};
use lineate_query::{DatasetRequest, verify};
use lineate_state::{catalog::authored::Definitions, meta::ColumnDraft};
use lineate_types::{MatchMode, limits};

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

async fn ingest(node: &Node, directory: &Path, view: &str) {
    let file = if view == "weather" { "weather_log" } else { view };
    let content = std::fs::read(directory.join(format!("{file}.parquet"))).expect("readable");
    let request = LoadRequest {
        project: None,
        view: view.parse().expect("a name"),
        files: vec![LoadFile { path: format!("{file}.parquet"), upload: upload(node, content).await }],
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
            ingest(&node, &directory, view).await;
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
