//! The services of `proto/lineate/v1`: messages in, one call of the node, messages out. No decisions here.

pub(crate) mod admin;
mod catalog;
pub(crate) mod datasets;
mod erase;
mod lineage;
mod models;
pub(crate) mod online;
pub(crate) mod push;
mod show;
pub(crate) mod store;
mod verify;
mod work;

use lineate_proto::v1::{
    admin_server::AdminServer, catalog_server::CatalogServer, datasets_server::DatasetsServer,
    lineage_server::LineageServer, models_server::ModelsServer, online_server::OnlineServer,
    store_server::StoreServer,
};
use lineate_types::{ViewDefinition, limits};
use tonic::service::Routes;

use crate::{Result, app::App, reader};

pub(crate) use work::Events;

/// A service with the bounds of its messages set.
macro_rules! bounded {
    ($server:ident, $app:expr) => {
        $server::new(Service($app.clone()))
            .max_decoding_message_size(limits::MESSAGE_BYTES)
            .max_encoding_message_size(limits::MESSAGE_BYTES)
    };
}

/// Implements every service.
#[derive(Clone)]
pub(crate) struct Service(App);

/// All services.
pub(crate) fn routes(app: &App) -> Routes {
    Routes::new(bounded!(CatalogServer, app))
        .add_service(bounded!(StoreServer, app))
        .add_service(bounded!(OnlineServer, app))
        .add_service(bounded!(DatasetsServer, app))
        .add_service(bounded!(ModelsServer, app))
        .add_service(bounded!(LineageServer, app))
        .add_service(bounded!(AdminServer, app))
}

/// The view version a reference names.
///
/// # Errors
/// There is none.
pub(crate) fn view_named(app: &App, text: &str) -> Result<ViewDefinition> {
    let reference = reader::reference("view", text)?;
    let catalog = app.node().catalog();
    let project = catalog.project(reference.project.as_ref())?;
    Ok(catalog.view(&project, &reference.name)?.clone())
}

/// Runs what may take a while off the threads that serve.
///
/// # Errors
/// As the work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(lineate_node::Error::from)?
}
