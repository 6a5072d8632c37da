//! Lookups.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray},
    datatypes::Schema,
};
use bytes::Bytes;
use lineate_node::api::{LookupReply, LookupRequest, Status as CellStatus};
use lineate_proto::v1::{
    EntityColumn, EntityColumns, FeatureStatus, GetFeaturesReply, GetFeaturesRequest, entity_column::Values,
    get_features_reply::ViewAnswer, get_features_request::Entities, online_server::Online,
};
use lineate_segment::intake::{IpcLimits, decode_ipc_stream, encode_ipc};
use lineate_types::{KeyType, Name, limits};
use tonic::{Request, Response, Status};

use super::Service;
use crate::{Error, Result, app::App, reader, trace};

/// Bounds of the entities of one lookup.
pub(crate) const LIMITS: IpcLimits = IpcLimits {
    rows: limits::LOOKUP_ENTITIES,
    fields: limits::FEATURES_PER_VIEW,
    batches: 1,
    ..IpcLimits::PUSH
};

/// Bytes of features that are encoded where they are asked for: some tens of microseconds.
const ENCODED_IN_PLACE: usize = 128 * 1024;

#[tonic::async_trait]
impl Online for Service {
    async fn get_features(
        &self,
        request: Request<GetFeaturesRequest>,
    ) -> Result<Response<GetFeaturesReply>, Status> {
        Ok(Response::new(lookup(&self.0, request.into_inner()).await?))
    }
}

async fn lookup(app: &App, request: GetFeaturesRequest) -> Result<GetFeaturesReply> {
    let reference = reader::reference("service", &request.service)?;
    trace::about("service", &request.service);
    let entities = match request.entities {
        Some(Entities::ArrowIpc(bytes)) => {
            let (schema, mut batches) = decode_ipc_stream(&bytes, LIMITS)?;
            batches.pop().unwrap_or_else(|| RecordBatch::new_empty(schema))
        }
        Some(Entities::Columns(columns)) => {
            let plan = app.node().shared_service_plan(reference.project.as_ref(), &reference.name)?;
            from_columns(columns, &plan.key_columns()?)?
        }
        None => return Err(Error::Invalid("no entities were given".into())),
    };
    let request = LookupRequest {
        project: reference.project,
        service: reference.name,
        entities,
        at: reader::time(request.at_us),
    };
    let reply = app.node().lookup(&request).await?;
    let whole = |reply: LookupReply| {
        let features = encode_ipc(&reply.features)?;
        Ok(GetFeaturesReply { features, ..beside(reply) })
    };
    encoded(app, reply, whole).await
}

/// Counts an answer and encodes it: off the threads that serve, where it is large.
///
/// # Errors
/// As `encode`.
pub(crate) async fn encoded<T: Send + 'static>(
    app: &App,
    reply: LookupReply,
    encode: impl FnOnce(LookupReply) -> Result<T> + Send + 'static,
) -> Result<T> {
    app.metrics().looked_up(reply.features.num_rows() as u64);
    if reply.features.get_array_memory_size() <= ENCODED_IN_PLACE {
        return encode(reply);
    }
    super::blocking(move || encode(reply)).await
}

/// An answer as a message, without its features.
pub(crate) fn beside(reply: LookupReply) -> GetFeaturesReply {
    let entities = reply.features.num_rows();
    let mut statuses = Vec::with_capacity(entities * reply.features.num_columns());
    for column in &reply.statuses {
        statuses.extend(column.iter().map(|status| status_byte(*status)));
    }
    let views = reply.views.into_iter().map(|view| ViewAnswer {
        alias: view.alias.to_string(),
        view: view.view,
        // A service has at most a few thousand features.
        columns: view.columns.iter().map(|column| u32::try_from(*column).unwrap_or(u32::MAX)).collect(),
        event_times_us: view.event_times.iter().map(|time| time.map_or(0, |time| time.0)).collect(),
    });
    GetFeaturesReply {
        service: reply.service,
        as_of_us: reply.as_of.0,
        features: Bytes::new(),
        statuses: statuses.into(),
        views: views.collect(),
        entities: u32::try_from(entities).unwrap_or(u32::MAX),
    }
}

fn status_byte(status: CellStatus) -> u8 {
    let status = match status {
        CellStatus::Present => FeatureStatus::Present,
        CellStatus::Null => FeatureStatus::Null,
        CellStatus::Absent => FeatureStatus::Absent,
        CellStatus::Expired => FeatureStatus::Expired,
    };
    status as u8
}

/// Columns of values as a batch; the node reads them by the types of the keys.
fn from_columns(columns: EntityColumns, keys: &[(Name, KeyType)]) -> Result<RecordBatch> {
    let mut named: Vec<(String, ArrayRef)> = Vec::with_capacity(columns.columns.len());
    for EntityColumn { name, values } in columns.columns {
        if !keys.iter().any(|(key, _)| key.as_str() == name) {
            return Err(not_a_key(&name, keys));
        }
        let array: ArrayRef = match values {
            Some(Values::Texts(texts)) => Arc::new(StringArray::from_iter_values(texts.values)),
            Some(Values::Integers(integers)) => Arc::new(Int64Array::from(integers.values)),
            Some(Values::Blobs(blobs)) => Arc::new(BinaryArray::from_iter_values(blobs.values)),
            None => return Err(Error::Invalid(format!("key `{name}` has no values"))),
        };
        named.push((name, array));
    }
    if named.is_empty() {
        return Ok(RecordBatch::new_empty(Arc::new(Schema::empty())));
    }
    RecordBatch::try_from_iter(named)
        .map_err(|_| Error::Invalid("every key must have as many values as there are entities".into()))
}

fn not_a_key(name: &str, keys: &[(Name, KeyType)]) -> Error {
    let known: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
    let hint = Name::nearest(name, known.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Error::Invalid(format!("`{name}` is not a key of this service{hint}; its keys are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use lineate_proto::v1::entity_column::Texts;

    use super::*;

    fn texts(name: &str, values: &[&str]) -> EntityColumn {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        EntityColumn { name: name.into(), values: Some(Values::Texts(Texts { values })) }
    }

    #[test]
    fn a_wrong_key_is_answered_with_the_nearest() {
        let keys = [(Name::new("origin").expect("a name"), KeyType::String)];
        let error = from_columns(EntityColumns { columns: vec![texts("orgin", &["JFK"])] }, &keys);
        let error = error.expect_err("unknown").to_string();
        assert!(error.contains("did you mean `origin`?"), "{error}");
        let uneven = EntityColumns { columns: vec![texts("origin", &["JFK"]), texts("origin", &[])] };
        assert!(from_columns(uneven, &keys).is_err());
    }
}
