//! The echo: a process of this program, called by the real client.

use std::path::Path;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use lineate_bench::{floor::echo, server};
use lineate_client::{
    ipc,
    v1::{EntityColumn, EntityColumns, FeatureStatus, GetFeaturesReply, entity_column},
};

fn reply(entities: u32) -> GetFeaturesReply {
    let column: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values(0..i64::from(entities)));
    let batch = RecordBatch::try_from_iter([("view__feature", column)]).expect("one column");
    GetFeaturesReply {
        service: "service@v1".into(),
        as_of_us: 1,
        features: ipc::encode(&batch).expect("encodes"),
        statuses: vec![FeatureStatus::Present as u8; entities as usize].into(),
        views: Vec::new(),
        entities,
    }
}

fn asked(entities: i64) -> EntityColumns {
    let values = entity_column::Values::Integers(entity_column::Integers { values: (0..entities).collect() });
    EntityColumns { columns: vec![EntityColumn { name: "id".into(), values: Some(values) }] }
}

#[tokio::test]
async fn the_echo_answers_as_many_entities_as_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = Path::new(env!("CARGO_BIN_EXE_lineate-bench"));
    let echo = echo::start(program, directory.path(), &[reply(1), reply(100)]).expect("starts");
    let clients = server::clients(echo.address(), 2).await.expect("listens");
    for client in clients {
        for entities in [1, 100] {
            let answer = client.get_features("service", asked(entities), None).await.expect("answers");
            assert_eq!(answer.features.num_rows() as i64, entities);
        }
        assert!(client.get_features("service", asked(7), None).await.is_err());
    }
}
