//! A node served on an address.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use lineate_node::Node;
use lineate_types::limits;
use tokio::net::TcpListener;

use crate::{
    Bounds, Error, Result,
    app::{App, open_node},
    listener::Connections,
    principal,
};

/// How long the answers of a store that failed may take to be sent: they are errors mostly.
const FAILED_DRAIN: Duration = Duration::from_secs(2);

/// How a store is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether an address that other machines can reach is accepted, although nobody is asked who they are.
    pub insecure: bool,
    /// Shards of a store that is made now.
    pub shards: Option<u16>,
    /// Bytes that the cache of online lookups may take, if not the default.
    pub cache_bytes: Option<usize>,
    /// Bytes that the files of the Raft log may take before it is cut, if not the default.
    pub log_bytes: Option<u64>,
    /// Bounds on connections and waiting.
    pub bounds: Bounds,
}

/// A node that listens.
pub struct Server {
    app: App,
    node: Node,
    connections: Connections,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the store and takes the address. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// The address is open to others or taken; the directory is in use, of a newer release, or damaged.
    pub async fn bind(options: ServeOptions) -> Result<Self> {
        let ServeOptions { data_dir, listen, insecure, shards, cache_bytes, log_bytes, bounds } = options;
        if !listen.ip().is_loopback() && !insecure {
            return Err(Error::Exposed(listen));
        }
        let failed = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shards = shards.unwrap_or(limits::DEFAULT_SHARDS);
        let node = open_node(data_dir, Some(shards), cache_bytes, log_bytes).await?;
        let app = App::new(node.clone(), principal::anonymous(), bounds);
        node.data_dir().set_address(&address.to_string()).map_err(lineate_node::Error::from)?;
        Ok(Self { connections: Connections::new(&app), app, node, listener, address })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then ends what is under way and closes the store. Until the end whoever asks for
    /// the health is answered; anything else that is new is refused.
    ///
    /// # Errors
    /// The store must not be worked on any more, or the node failed while it ran.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        tracing::info!(address = %self.address, "serving");
        let failure = tokio::select! {
            () = self.connections.accept(&self.listener) => None,
            () = stop => None,
            reason = self.node.failed() => Some(reason),
        };
        let longest = match &failure {
            None => self.app.bounds().drain_timeout,
            Some(_) => self.app.bounds().drain_timeout.min(FAILED_DRAIN),
        };
        match &failure {
            None => tracing::info!("stopping"),
            Some(reason) => tracing::error!(%reason, "the store stopped, nothing more is served"),
        }
        tokio::select! {
            () = self.connections.drain(longest) => {}
            () = self.connections.accept(&self.listener) => {}
        }
        drop(self.listener);
        if let Some(reason) = failure {
            return Err(Error::Stopped(reason));
        }
        self.app.settle().await?;
        self.node.shutdown().await?;
        tracing::info!("stopped");
        Ok(())
    }
}
