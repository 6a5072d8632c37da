//! A node served inside its own process, over pipes.

use std::{io, path::PathBuf};

use lineate_node::Node;
use tokio::io::DuplexStream;

use crate::{
    Bounds, Result,
    app::{App, open_node},
    listener::Connections,
    principal,
};

/// Bytes a pipe holds.
const PIPE_BYTES: usize = 256 * 1024;

/// A node and its services in this process.
pub struct Embedded {
    node: Node,
    connections: Connections,
    opened: Opened,
}

/// What was found, or made, in a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The store's identity.
    pub store_id: String,
    /// Its shards.
    pub shards: u16,
    /// Whether it was made now.
    pub created: bool,
}

impl Embedded {
    /// Opens the store in a directory. With a number of shards it is made if there is none, without it is refused.
    ///
    /// # Errors
    /// There is no store, or the directory is in use, of a newer release, or damaged.
    pub async fn open(data_dir: PathBuf, shards: Option<u16>) -> Result<Self> {
        let node = open_node(data_dir, shards, None, None).await?;
        let opened = Opened {
            store_id: node.data_dir().store_id().to_string(),
            shards: node.shards(),
            created: node.data_dir().created(),
        };
        let app = App::new(node.clone(), principal::local(), Bounds::default());
        Ok(Self { node, connections: Connections::new(&app), opened })
    }

    /// What was found, or made.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// A new connection to the services.
    ///
    /// # Errors
    /// There are too many.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.connections.adopt(theirs)?;
        Ok(ours)
    }

    /// Ends the connections and closes the store.
    ///
    /// # Errors
    /// The node failed while it ran.
    pub async fn close(&self) -> Result<()> {
        self.connections.drain(Bounds::default().drain_timeout).await;
        Ok(self.node.shutdown().await?)
    }
}
