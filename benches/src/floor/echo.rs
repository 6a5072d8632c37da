//! The loopback floor of lookups: a tonic server that answers `GetFeatures` with bytes prepared before.
//!
//! It is a process of its own, called by the same client with the same requests, and its replies are replies of the
//! real server; so what it takes is what gRPC, the loopback device and the client take, and nothing else.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use lineate_proto::v1::{
    GetFeaturesReply, GetFeaturesRequest,
    entity_column::Values,
    get_features_request::Entities,
    online_server::{Online, OnlineServer},
};
use prost::Message;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{Error, Result, process::Child};

/// What the echo server knows: a reply for each number of entities.
#[derive(Debug, Clone)]
struct Echo(Vec<GetFeaturesReply>);

/// Starts the server as a process of this program, which serves until it is dropped.
///
/// # Errors
/// It cannot be started.
pub fn start(program: &Path, directory: &Path, replies: &[GetFeaturesReply]) -> Result<Child> {
    let mut command = Command::new(program);
    command.arg("echo");
    for reply in replies {
        let path = directory.join(format!("reply-{}", reply.entities));
        fs::write(&path, reply.encode_to_vec()).map_err(Error::file(&path))?;
        command.arg(path);
    }
    Child::listening("echo", command, directory)
}

/// Serves the replies in these files on a free port, which it prints as the first line, until the process ends.
///
/// # Errors
/// A file holds no reply, or the port cannot be had.
pub async fn serve(files: &[PathBuf]) -> Result<()> {
    let reply = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(Error::file(path))?;
        GetFeaturesReply::decode(bytes.as_slice())
            .map_err(|cause| Error::Wrong(format!("{} is no reply: {cause}", path.display())))
    };
    let echo = Echo(files.iter().map(reply).collect::<Result<_>>()?);
    let refused = |source| Error::Connection { peer: "the loopback device", source };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    writeln!(io::stdout(), "{{\"address\": \"{address}\"}}").map_err(refused)?;
    // The builder's own setting is not for listeners brought along. Without it, half of a reply waits 40 ms for an
    // acknowledgement.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(OnlineServer::new(echo)).serve_with_incoming(incoming).await?;
    Ok(())
}

#[tonic::async_trait]
impl Online for Echo {
    async fn get_features(
        &self,
        request: Request<GetFeaturesRequest>,
    ) -> std::result::Result<Response<GetFeaturesReply>, Status> {
        let asked = asked(request.get_ref());
        let reply = self.0.iter().find(|reply| Some(reply.entities as usize) == asked);
        reply.cloned().map(Response::new).ok_or_else(|| Status::invalid_argument("no reply for so many"))
    }
}

/// The entities of a request.
fn asked(request: &GetFeaturesRequest) -> Option<usize> {
    let Some(Entities::Columns(entities)) = &request.entities else { return None };
    match entities.columns.first()?.values.as_ref()? {
        Values::Texts(texts) => Some(texts.values.len()),
        Values::Integers(integers) => Some(integers.values.len()),
        Values::Blobs(blobs) => Some(blobs.values.len()),
    }
}
