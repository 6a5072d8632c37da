//! Training sets; their rows come over Arrow Flight.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, Ticket, decode::FlightRecordBatchStream,
    error::FlightError, flight_service_client::FlightServiceClient,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use lineate_proto::v1::{
    CreateDatasetRequest, Dataset, DatasetListing, ListDatasetsRequest, Progress, ShowDatasetRequest,
    VerifyDatasetRequest, VerifyReport,
};
use lineate_types::limits;
use tonic::transport::Channel;

use crate::{Client, Error, Result, connect::service, work::follow};

/// Parts of a training set that are opened ahead of the one being read.
const OPEN_PARTS: usize = 2;

/// The rows of a training set, in spine order.
pub struct DatasetRows {
    /// The columns.
    pub schema: SchemaRef,
    /// How many rows there are; none if the server does not say.
    pub rows: Option<u64>,
    batches: Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>,
}

impl Client {
    /// Makes a new version of a training set.
    ///
    /// # Errors
    /// The spine does not fit the service, or the server is away.
    pub async fn create_dataset(
        &self,
        request: CreateDatasetRequest,
        on_progress: impl FnMut(Progress),
    ) -> Result<Dataset> {
        let events = service!(self, datasets_client::DatasetsClient).create(request).await?.into_inner();
        follow(events, on_progress).await
    }

    /// Lists training sets; in all projects if `project` is empty.
    ///
    /// # Errors
    /// The server is away.
    pub async fn list_datasets(&self, project: &str, all_versions: bool) -> Result<DatasetListing> {
        self.retry()
            .read(|| {
                let mut datasets = service!(self, datasets_client::DatasetsClient);
                let request = ListDatasetsRequest { project: project.to_owned(), all_versions };
                async move { datasets.list(request).await }
            })
            .await
    }

    /// Shows one training set.
    ///
    /// # Errors
    /// There is none of this name, or the server is away.
    pub async fn show_dataset(&self, dataset: &str) -> Result<Dataset> {
        self.retry()
            .read(|| {
                let mut datasets = service!(self, datasets_client::DatasetsClient);
                let request = ShowDatasetRequest { dataset: dataset.to_owned() };
                async move { datasets.show(request).await }
            })
            .await
    }

    /// Runs the join of a training set again from the stored history and compares.
    ///
    /// # Errors
    /// There is none of this name, or the server is away. A difference is in the report, no error.
    pub async fn verify_dataset(
        &self,
        dataset: &str,
        on_progress: impl FnMut(Progress),
    ) -> Result<VerifyReport> {
        let request = VerifyDatasetRequest { dataset: dataset.to_owned() };
        let events = service!(self, datasets_client::DatasetsClient).verify(request).await?.into_inner();
        follow(events, on_progress).await
    }

    /// Opens the rows of a training set.
    ///
    /// # Errors
    /// There is none of this name, or the server is away.
    pub async fn pull_dataset(&self, dataset: &str) -> Result<DatasetRows> {
        let descriptor = FlightDescriptor::new_path(vec!["dataset".to_owned(), dataset.to_owned()]);
        let info: FlightInfo = self
            .retry()
            .read(|| {
                let (mut flight, descriptor) = (self.flight(), descriptor.clone());
                async move { flight.get_flight_info(descriptor).await }
            })
            .await?;
        let rows = u64::try_from(info.total_records).ok();
        let endpoints = info.endpoint.clone();
        let schema = info.try_decode_schema().map_err(|cause| Error::answer(cause.to_string()))?;
        let client = self.clone();
        let batches = stream::iter(endpoints)
            .map(move |endpoint| {
                let client = client.clone();
                async move { client.part(endpoint).await }
            })
            .buffered(OPEN_PARTS)
            .try_flatten();
        Ok(DatasetRows { schema: SchemaRef::new(schema), rows, batches: Box::pin(batches) })
    }

    /// Opens the rows behind one endpoint.
    async fn part(
        &self,
        endpoint: FlightEndpoint,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let ticket: Ticket =
            endpoint.ticket.ok_or_else(|| Error::answer("an endpoint of the training set has no ticket"))?;
        let data = self
            .retry()
            .read(|| {
                let (mut flight, ticket) = (self.flight(), ticket.clone());
                async move { flight.do_get(ticket).await }
            })
            .await?;
        let data = data.map_err(|status| FlightError::Tonic(Box::new(status)));
        Ok(FlightRecordBatchStream::new_from_flight_data(data).map_err(flight_error))
    }

    fn flight(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel())
            .max_decoding_message_size(limits::MESSAGE_BYTES)
            .max_encoding_message_size(limits::MESSAGE_BYTES)
    }
}

impl Stream for DatasetRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.as_mut().poll_next(context)
    }
}

fn flight_error(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => (*status).into(),
        other => Error::answer(other.to_string()),
    }
}
