//! A client for one command, and the node behind it where that is in this process.

use std::sync::Arc;

use lineate_client::Client;
use lineate_server::Embedded;

use crate::{error::Error, target::Target};

/// A connection to a store.
pub(crate) struct Session {
    client: Client,
    embedded: Option<Arc<Embedded>>,
}

impl Session {
    /// Opens the store in this process, or connects to the server. With a number of shards a store in this process
    /// is made if there is none.
    pub(crate) async fn open(target: Target, shards: Option<u16>) -> Result<Self, Error> {
        match target {
            Target::Address(address) => Ok(Self { client: Client::connect(&address).await?, embedded: None }),
            Target::Directory(directory) => {
                let embedded = Arc::new(Embedded::open(directory, shards).await?);
                let pipes = embedded.clone();
                let client = Client::over(move || {
                    let pipes = pipes.clone();
                    async move { pipes.connect().await }
                });
                Ok(Self { client, embedded: Some(embedded) })
            }
        }
    }

    /// The client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Stops the node in this process, if there is one.
    pub(crate) async fn close(self) -> Result<(), Error> {
        let Self { client, embedded } = self;
        drop(client);
        if let Some(embedded) = embedded {
            embedded.close().await?;
        }
        Ok(())
    }
}
