//! Actions: what is asked for beside the streams.

use arrow_flight::{Action, ActionType, Result as ActionResult};
use futures::{StreamExt, future};
use lineate_proto::{
    any,
    v1::{CreateDatasetRequest, create_dataset_event::Event},
};

use crate::{
    Error, Result,
    app::App,
    grpc::{Events, datasets},
};

const CREATE_DATASET: &str = "create_dataset";

/// Every action.
pub(super) fn all() -> Vec<ActionType> {
    vec![ActionType {
        r#type: CREATE_DATASET.to_owned(),
        description: "makes a version of a training set: takes a google.protobuf.Any of \
                      lineate.v1.CreateDatasetRequest, whose labels DoPut took under the path [spine]; gives one of \
                      lineate.v1.Dataset"
            .to_owned(),
    }]
}

/// The results of an action.
///
/// # Errors
/// There is no such action, or its body is none of it; or what asks for the same over gRPC refuses.
pub(super) fn act(app: &App, action: &Action) -> Result<Events<ActionResult>> {
    match action.r#type.as_str() {
        CREATE_DATASET => create_dataset(app, any::unpack("CreateDatasetRequest", &action.body)?),
        other => Err(Error::Invalid(format!("there is no action `{other}`; there is `{CREATE_DATASET}`"))),
    }
}

/// Makes a training set. How far it is goes unsaid: a caller of Flight waits for the one result.
fn create_dataset(app: &App, request: CreateDatasetRequest) -> Result<Events<ActionResult>> {
    let made = datasets::create(app, request)?.filter_map(|event| {
        future::ready(match event.map(|event| event.event) {
            Ok(Some(Event::Dataset(dataset))) => {
                Some(Ok(ActionResult { body: any::pack("Dataset", &dataset).into() }))
            }
            Ok(_) => None,
            Err(refusal) => Some(Err(refusal)),
        })
    });
    Ok(made.boxed())
}
