//! Training sets, one endpoint for each of their files, in order.

use arrow::{array::RecordBatch, datatypes::Schema, ipc::writer::IpcWriteOptions};
use arrow_flight::{
    FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, SchemaResult, Ticket,
    encode::FlightDataEncoderBuilder, error::FlightError,
};
use futures::{StreamExt, TryStreamExt, future, stream};
use lineate_ledger::Record;
use lineate_proto::v1::DatasetTicket;
use lineate_query::DatasetRows;
use lineate_state::meta::DatasetState;
use lineate_types::{HasKind, Hash};
use prost::Message;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, error::SendTimeoutError},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::Span;

use super::named;
use crate::{
    Error, Result,
    app::App,
    grpc::{Events, blocking, datasets},
    trace,
};

/// Batches read ahead of what the caller has taken.
const READ_AHEAD: usize = 2;

/// Every training set, the newest version of each name. Their files are opened one after the other, as the caller takes
/// what is said of them.
pub(super) async fn list(app: &App) -> Result<Events<FlightInfo>> {
    let reader = app.clone();
    let newest = blocking(move || Ok(newest(&reader))).await?;
    let app = app.clone();
    let infos = stream::iter(newest).then(move |state| {
        let app = app.clone();
        async move { blocking(move || describe(&app, &state)).await.map_err(Status::from) }
    });
    Ok(infos.boxed())
}

fn newest(app: &App) -> Vec<DatasetState> {
    let mut newest: Vec<DatasetState> = Vec::new();
    for state in app.node().meta().read().datasets() {
        let same = |known: &DatasetState| {
            known.draft.project == state.draft.project && known.draft.name == state.draft.name
        };
        match newest.last_mut().filter(|known| same(known)) {
            Some(known) => *known = state.clone(),
            None => newest.push(state.clone()),
        }
    }
    newest
}

/// One training set.
///
/// # Errors
/// There is none of this path.
pub(super) async fn info(app: &App, descriptor: &FlightDescriptor) -> Result<FlightInfo> {
    let (app, name) = (app.clone(), named(descriptor, "dataset")?.to_owned());
    blocking(move || describe(&app, &datasets::find(&app, &name)?)).await
}

/// The columns of a training set.
///
/// # Errors
/// There is none of this path.
pub(super) async fn schema(app: &App, descriptor: &FlightDescriptor) -> Result<SchemaResult> {
    let (app, name) = (app.clone(), named(descriptor, "dataset")?.to_owned());
    let schema = blocking(move || Ok(open(&app, &datasets::find(&app, &name)?)?.schema().clone())).await?;
    let IpcMessage(schema) = ipc(&schema)?;
    Ok(SchemaResult { schema })
}

/// The rows of one file of a training set.
///
/// # Errors
/// The ticket is none of ours, or what it names is gone or damaged.
pub(super) async fn rows(app: &App, ticket: Ticket) -> Result<Events<FlightData>> {
    let permit = app.reading()?;
    let reader = app.clone();
    let (state, batches) = blocking(move || {
        let state = of_ticket(&reader, &ticket)?;
        let batches = open(&reader, &state)?;
        Ok((state, batches))
    })
    .await?;
    trace::about("dataset", &format!("{}/{}@v{}", state.draft.project, state.draft.name, state.version));
    let schema = batches.schema().clone();
    let (sender, receiver) = mpsc::channel::<Result<RecordBatch, FlightError>>(READ_AHEAD);
    let reader = app.clone();
    let given_up = CancellationToken::new();
    let (slow, within) = (given_up.clone(), app.bounds().send_timeout);
    let runtime = Handle::current();
    let span = Span::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let _within = span.entered();
        let send = |item: Result<RecordBatch, lineate_query::Error>| {
            let item = item.map_err(|error| FlightError::Tonic(Box::new(Status::from(Error::from(error)))));
            match runtime.block_on(sender.send_timeout(item, within)) {
                Ok(()) => true,
                // The rest is not read: for a caller who takes nothing, or nobody at all.
                Err(SendTimeoutError::Timeout(_)) => {
                    slow.cancel();
                    false
                }
                Err(SendTimeoutError::Closed(_)) => false,
            }
        };
        for batch in batches {
            reader.metrics().rows_read(batch.as_ref().map_or(0, |batch| batch.num_rows() as u64));
            let failed = batch.is_err();
            if !send(batch) || failed {
                return;
            }
        }
    });
    // What is cut short must not look complete.
    let cut = stream::once(async move {
        let slow = || Error::Busy(format!("nothing was taken of the rows for {} s", within.as_secs()));
        given_up.is_cancelled().then(|| Err(FlightError::Tonic(Box::new(Status::from(slow())))))
    });
    let batches = ReceiverStream::new(receiver).chain(cut.filter_map(future::ready));
    let data = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    Ok(data.map_err(Status::from).boxed())
}

fn describe(app: &App, state: &DatasetState) -> Result<FlightInfo> {
    let draft = &state.draft;
    let name = format!("{}/{}@v{}", draft.project, draft.name, state.version);
    let descriptor = FlightDescriptor::new_path(vec!["dataset".to_owned(), name]);
    let bytes: u64 = draft.files.iter().map(|file| file.bytes).sum();
    let mut info = FlightInfo::new()
        .try_with_schema(open(app, state)?.schema())
        .map_err(|cause| Error::Segment(cause.into()))?
        .with_descriptor(descriptor)
        .with_total_records(i64::try_from(draft.rows).unwrap_or(-1))
        .with_total_bytes(i64::try_from(bytes).unwrap_or(-1))
        .with_ordered(true);
    for file in 0..draft.files.len() {
        let ticket = DatasetTicket {
            record: state.record.as_bytes().to_vec().into(),
            file: u32::try_from(file).unwrap_or(u32::MAX),
        };
        let ticket = Ticket::new(ticket.encode_to_vec());
        info = info.with_endpoint(FlightEndpoint::new().with_ticket(ticket));
    }
    Ok(info)
}

/// The training set of a ticket, reduced to the file it names.
fn of_ticket(app: &App, ticket: &Ticket) -> Result<DatasetState> {
    let foreign = || Error::Invalid("the ticket is none of this server; ask GetFlightInfo for one".into());
    let DatasetTicket { record, file } =
        DatasetTicket::decode(ticket.ticket.as_ref()).map_err(|_| foreign())?;
    let record = Hash::from_bytes(record.as_ref().try_into().map_err(|_| foreign())?);
    let mut state = of_record(app, record).ok_or_else(foreign)?;
    let file = usize::try_from(file).ok().and_then(|file| state.draft.files.get(file)).copied();
    state.draft.files = vec![file.ok_or_else(foreign)?];
    Ok(state)
}

fn of_record(app: &App, record: Hash) -> Option<DatasetState> {
    let meta = app.node().meta().read();
    let Record::Dataset(dataset) = meta.ledger().record(&record)? else { return None };
    let versions = meta.dataset_versions(&dataset.project, &dataset.name);
    versions.iter().find(|state| state.record == record).cloned()
}

/// The rows of a training set, whose first file is opened for their columns: not for threads that serve.
fn open(app: &App, state: &DatasetState) -> Result<DatasetRows> {
    Ok(DatasetRows::new(app.node(), state)?)
}

fn ipc(schema: &Schema) -> Result<IpcMessage> {
    let options = IpcWriteOptions::default();
    SchemaAsIpc::new(schema, &options).try_into().map_err(|cause: arrow::error::ArrowError| {
        let error = lineate_segment::Error::from(cause);
        tracing::error!(kind = %error.kind(), "a schema cannot be encoded");
        error.into()
    })
}
