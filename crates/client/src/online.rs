//! Lookups.

use arrow::array::RecordBatch;
use lineate_proto::{
    cell_status,
    v1::{
        EntityColumns, FeatureStatus, GetFeaturesReply, GetFeaturesRequest, get_features_reply::ViewAnswer,
        get_features_request::Entities,
    },
};
use lineate_types::TimestampUs;

use crate::{Client, Error, Result, connect::service, ipc};

/// The features of some entities.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The service version.
    pub service: String,
    /// The time the answer holds for.
    pub as_of: TimestampUs,
    /// A row for each entity, a column for each feature.
    pub features: RecordBatch,
    /// The status of each cell, column by column.
    statuses: Vec<FeatureStatus>,
    /// Where the features came from.
    pub views: Vec<ViewAnswer>,
}

impl Client {
    /// The features of a service for entities given as columns of text, integers or bytes.
    ///
    /// # Errors
    /// The service or a key column is unknown, a value does not fit its type, or the server is away.
    pub async fn get_features(
        &self,
        service: &str,
        entities: EntityColumns,
        at: Option<TimestampUs>,
    ) -> Result<Answer> {
        self.lookup(service, Entities::Columns(entities), at).await
    }

    /// The features of a service for entities given as a batch.
    ///
    /// # Errors
    /// The service or a key column is unknown, a column does not fit its type, or the server is away.
    pub async fn get_features_of(
        &self,
        service: &str,
        entities: &RecordBatch,
        at: Option<TimestampUs>,
    ) -> Result<Answer> {
        self.lookup(service, Entities::ArrowIpc(ipc::encode(entities)?), at).await
    }

    async fn lookup(&self, service: &str, entities: Entities, at: Option<TimestampUs>) -> Result<Answer> {
        let request = GetFeaturesRequest {
            service: service.to_owned(),
            entities: Some(entities),
            at_us: at.map(|time| time.0),
        };
        let reply = self
            .retry()
            .read(|| {
                let (mut online, request) = (service!(self, online_client::OnlineClient), request.clone());
                async move { online.get_features(request).await }
            })
            .await?;
        Answer::from_reply(reply)
    }
}

impl Answer {
    /// Reads a reply.
    ///
    /// # Errors
    /// Its parts do not belong together.
    pub fn from_reply(reply: GetFeaturesReply) -> Result<Self> {
        let features = ipc::decode(&reply.features)?;
        let statuses: Vec<FeatureStatus> =
            reply.statuses.iter().map(|byte| cell_status(*byte)).collect::<std::result::Result<_, _>>()?;
        let (rows, columns) = (features.num_rows(), features.num_columns());
        if rows != reply.entities as usize || statuses.len() != rows * columns {
            return Err(Error::answer(format!(
                "{rows} rows of {columns} features came with {} statuses for {} entities",
                statuses.len(),
                reply.entities
            )));
        }
        for view in &reply.views {
            let misplaced = view.columns.iter().any(|column| *column as usize >= columns);
            if misplaced || view.event_times_us.len() != rows {
                return Err(Error::answer(format!("the event times of `{}` do not fit", view.alias)));
            }
        }
        Ok(Self {
            service: reply.service,
            as_of: TimestampUs(reply.as_of_us),
            features,
            statuses,
            views: reply.views,
        })
    }

    /// The status of one cell; `Unspecified` outside the answer.
    pub fn status(&self, entity: usize, feature: usize) -> FeatureStatus {
        let position = feature.saturating_mul(self.features.num_rows()).saturating_add(entity);
        let inside = entity < self.features.num_rows();
        self.statuses.get(position).filter(|_| inside).copied().unwrap_or(FeatureStatus::Unspecified)
    }

    /// The event time of the row that answered one cell; none where no row did.
    pub fn event_time(&self, entity: usize, feature: usize) -> Option<TimestampUs> {
        match self.status(entity, feature) {
            FeatureStatus::Absent | FeatureStatus::Unspecified => None,
            _ => {
                let feature = u32::try_from(feature).ok()?;
                let view = self.views.iter().find(|view| view.columns.contains(&feature))?;
                view.event_times_us.get(entity).copied().map(TimestampUs)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn reply() -> GetFeaturesReply {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let batch = RecordBatch::try_from_iter([("w__a", column.clone()), ("w__b", column)]).expect("valid");
        GetFeaturesReply {
            service: "s@v1".into(),
            as_of_us: 9,
            features: ipc::encode(&batch).expect("encodes"),
            statuses: vec![1, 3, 1, 3].into(),
            views: vec![ViewAnswer {
                alias: "w".into(),
                view: "weather@v1".into(),
                columns: vec![0, 1],
                event_times_us: vec![5, 0],
            }],
            entities: 2,
        }
    }

    #[test]
    fn cells_have_statuses_and_event_times() {
        let answer = Answer::from_reply(reply()).expect("whole");
        assert_eq!(answer.status(0, 1), FeatureStatus::Present);
        assert_eq!(answer.status(1, 0), FeatureStatus::Absent);
        assert_eq!(answer.status(2, 0), FeatureStatus::Unspecified);
        assert_eq!(answer.event_time(0, 1), Some(TimestampUs(5)));
        assert_eq!(answer.event_time(1, 1), None);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let changes: [fn(&mut GetFeaturesReply); 5] = [
            |reply| reply.entities = 3,
            |reply| reply.statuses = vec![1, 3, 1].into(),
            |reply| reply.statuses = vec![1, 3, 1, 0].into(),
            |reply| reply.views.iter_mut().for_each(|view| view.columns.push(2)),
            |reply| reply.views.iter_mut().for_each(|view| view.event_times_us.push(2)),
        ];
        for change in changes {
            let mut reply = reply();
            change(&mut reply);
            assert!(matches!(Answer::from_reply(reply), Err(Error::Answer(_))));
        }
    }
}
