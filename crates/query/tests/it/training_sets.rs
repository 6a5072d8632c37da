//! Training sets: what is in them, and that they can be made again.

use arrow::{
    array::RecordBatch,
    compute::cast,
    datatypes::{DataType, TimeUnit},
};
use expect_test::{Expect, expect};
use lineate_node::Node;
use lineate_query::{DatasetRows, verify};
use lineate_types::MatchMode;

use crate::store::{create, definitions, ingest, open, quiet, tester};

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
    assert_eq!((again.rows, again.already_loaded, again.load), (4, true, load.load));

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
