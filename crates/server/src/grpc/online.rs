//! Lookups.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, FixedSizeBinaryArray, Int64Array, RecordBatch,
        StringArray, TimestampMicrosecondArray,
    },
    datatypes::Schema,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lineate_node::api::{LookupReply, LookupRequest, Status as CellStatus};
use lineate_proto::v1::{
    EntityColumn, EntityColumns, FeatureStatus, GetFeaturesReply, GetFeaturesRequest, entity_column::Values,
    get_features_reply::ViewAnswer, get_features_request::Entities, online_server::Online,
};
use lineate_segment::intake::{IpcLimits, decode_ipc_stream, encode_ipc};
use lineate_types::{KeyType, Name, TimestampUs, limits};
use tonic::{Request, Response, Status};

use super::Service;
use crate::{Error, Result, app::App, reader};

/// Bounds of the entities of one lookup.
pub(crate) const LIMITS: IpcLimits = IpcLimits {
    rows: limits::LOOKUP_ENTITIES,
    fields: limits::FEATURES_PER_VIEW,
    batches: 1,
    ..IpcLimits::PUSH
};

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
    let entities = match request.entities {
        Some(Entities::ArrowIpc(bytes)) => {
            let (schema, mut batches) = decode_ipc_stream(&bytes, LIMITS)?;
            batches.pop().unwrap_or_else(|| RecordBatch::new_empty(schema))
        }
        Some(Entities::Columns(columns)) => {
            let plan = app.node().service_plan(reference.project.as_ref(), &reference.name)?;
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
    message(app, app.node().lookup(&request).await?)
}

/// An answer as a message, which is counted.
///
/// # Errors
/// Arrow cannot write the features.
pub(crate) fn message(app: &App, reply: LookupReply) -> Result<GetFeaturesReply> {
    let entities = reply.features.num_rows();
    app.metrics().looked_up(entities as u64);
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
    Ok(GetFeaturesReply {
        service: reply.service,
        as_of_us: reply.as_of.0,
        features: encode_ipc(&reply.features)?,
        statuses: statuses.into(),
        views: views.collect(),
        entities: u32::try_from(entities).unwrap_or(u32::MAX),
    })
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

/// Columns of values as a batch, each value read by the type of its key.
fn from_columns(columns: EntityColumns, keys: &[(Name, KeyType)]) -> Result<RecordBatch> {
    let mut named: Vec<(String, ArrayRef)> = Vec::with_capacity(columns.columns.len());
    for EntityColumn { name, values } in columns.columns {
        let Some((_, key_type)) = keys.iter().find(|(key, _)| key.as_str() == name) else {
            let known: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
            let hint = Name::nearest(&name, known.iter().copied())
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(Error::Invalid(format!(
                "`{name}` is not a key of this service{hint} Its keys are {}",
                known.join(", ")
            )));
        };
        let array: ArrayRef = match values {
            Some(Values::Texts(texts)) => parse(&name, *key_type, &texts.values)?,
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

/// Key values from their text.
fn parse(name: &str, key_type: KeyType, texts: &[String]) -> Result<ArrayRef> {
    fn all<T>(
        name: &str,
        key_type: KeyType,
        texts: &[String],
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>> {
        let values = texts.iter().map(|text| {
            read(text)
                .ok_or_else(|| Error::Invalid(format!("key `{name}` is {key_type}, which `{text}` is not")))
        });
        values.collect()
    }
    Ok(match key_type {
        KeyType::Bool => {
            Arc::new(BooleanArray::from(all(name, key_type, texts, |text| text.parse::<bool>().ok())?))
        }
        KeyType::Int64 => {
            Arc::new(Int64Array::from(all(name, key_type, texts, |text| text.parse::<i64>().ok())?))
        }
        KeyType::String => Arc::new(StringArray::from_iter_values(texts)),
        KeyType::Bytes => {
            let values = all(name, key_type, texts, |text| BASE64_STANDARD.decode(text).ok())?;
            Arc::new(BinaryArray::from_iter_values(values))
        }
        KeyType::Date => Arc::new(Date32Array::from(all(name, key_type, texts, days)?)),
        KeyType::Timestamp => {
            let micros =
                all(name, key_type, texts, |text| text.parse::<TimestampUs>().ok().map(|time| time.0))?;
            Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
        }
        KeyType::Uuid => {
            let uuids = all(name, key_type, texts, |text| uuid::Uuid::parse_str(text).ok())?;
            let bytes = uuids.iter().map(|uuid| Some(*uuid.as_bytes()));
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16);
            Arc::new(array.map_err(lineate_segment::Error::from)?)
        }
    })
}

/// `2013-06-01` as days since the epoch.
fn days(text: &str) -> Option<i32> {
    let midnight: TimestampUs = format!("{text}T00:00:00Z").parse().ok()?;
    i32::try_from(midnight.0.div_euclid(86_400_000_000)).ok()
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
    fn text_is_read_by_the_type_of_its_key() {
        let good = [
            (KeyType::Bool, "true"),
            (KeyType::Int64, "-9223372036854775808"),
            (KeyType::String, ""),
            (KeyType::Bytes, "AP8="),
            (KeyType::Date, "2013-06-01"),
            (KeyType::Timestamp, "2013-06-01T12:00:00+02:00"),
            (KeyType::Uuid, "30313233-3435-3637-3839-616263646566"),
        ];
        for (key_type, text) in good {
            let keys = [(Name::new("k").expect("a name"), key_type)];
            let batch = from_columns(EntityColumns { columns: vec![texts("k", &[text])] }, &keys);
            assert_eq!(batch.expect(text).num_rows(), 1);
        }
        for (key_type, text) in [
            (KeyType::Bool, "yes"),
            (KeyType::Int64, "1.0"),
            (KeyType::Int64, "9223372036854775808"),
            (KeyType::Bytes, "?"),
            (KeyType::Date, "2013-06-31"),
            (KeyType::Timestamp, "2013-06-01T12:00:00"),
            (KeyType::Uuid, "x"),
        ] {
            assert!(parse("k", key_type, &[text.to_owned()]).is_err(), "{key_type} {text}");
        }
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
