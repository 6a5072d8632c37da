//! Arrow Flight: training sets out, rows and labels in, lookups both ways.
//!
//! Paths: `[dataset, NAME@vN]` to pull, `[view, NAME]` to push, `[spine]` to bring labels, `[service, NAME]` to look up.
//! The action `create_dataset` makes a training set. Handshake and polling say that they are not there.

mod action;
mod exchange;
mod get;
mod incoming;
mod put;
mod spine;

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
    flight_service_server::{FlightService, FlightServiceServer},
};
use futures::{StreamExt, stream};
use lineate_types::limits;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::{Error, Result, app::App, grpc::Events};

/// Implements Arrow Flight.
#[derive(Clone)]
struct Flight(App);

/// Adds Arrow Flight to the services.
pub(crate) fn add_to(routes: Routes, app: &App) -> Routes {
    let service = FlightServiceServer::new(Flight(app.clone()))
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES);
    routes.add_service(service)
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Events<HandshakeResponse>;
    type ListFlightsStream = Events<FlightInfo>;
    type DoGetStream = Events<FlightData>;
    type DoPutStream = Events<PutResult>;
    type DoActionStream = Events<arrow_flight::Result>;
    type ListActionsStream = Events<ActionType>;
    type DoExchangeStream = Events<FlightData>;

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Ok(Response::new(get::list(&self.0).await?))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(Response::new(get::info(&self.0, &request.into_inner()).await?))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Ok(Response::new(get::schema(&self.0, &request.into_inner()).await?))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Ok(Response::new(get::rows(&self.0, request.into_inner()).await?))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        Ok(Response::new(put::acks(self.0.clone(), request.into_inner())))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Ok(Response::new(exchange::answers(self.0.clone(), request.into_inner())))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented("there is no authentication yet; call without a handshake"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("training sets are complete when they are named; use GetFlightInfo"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Ok(Response::new(action::act(&self.0, &request.into_inner())?))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(stream::iter(action::all().into_iter().map(Ok)).boxed()))
    }
}

/// The name behind the first word of a descriptor's path.
///
/// # Errors
/// The path is another.
fn named<'a>(descriptor: &'a FlightDescriptor, word: &str) -> Result<&'a str> {
    match descriptor.path.as_slice() {
        [first, name] if first == word => Ok(name),
        path => Err(Error::Invalid(format!("the path must be [{word}, NAME], not [{}]", path.join(", ")))),
    }
}
