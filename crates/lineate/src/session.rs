//! A client for one command, and the node behind it where that is in this process.

use std::sync::Arc;

use lineate_client::Client;
use lineate_server::Embedded;
use lineate_types::{ErrorKind, HasKind};
use tempfile::TempDir;

use crate::{
    error::Error,
    output::{Format, failure},
    target::Target,
};

/// A connection to a store.
pub(crate) struct Session {
    client: Client,
    embedded: Option<Arc<Embedded>>,
    /// A directory that goes when the session ends.
    passing: Option<TempDir>,
}

impl Session {
    /// Opens the store in this process, or connects to the server. With a number of shards a store in this process
    /// is made if there is none.
    pub(crate) async fn open(target: Target, shards: Option<u16>) -> Result<Self, Error> {
        match target {
            Target::Address(address) => {
                Ok(Self { client: Client::connect(&address).await?, embedded: None, passing: None })
            }
            Target::Directory(directory) => {
                let embedded = Arc::new(Embedded::open(directory, shards).await?);
                let pipes = embedded.clone();
                let client = Client::over(move || {
                    let pipes = pipes.clone();
                    async move { pipes.connect().await }
                });
                Ok(Self { client, embedded: Some(embedded), passing: None })
            }
        }
    }

    /// Opens a store to see what would change in it, and makes none: where there is none, an empty one in a temporary
    /// directory stands for it, and that is said.
    pub(crate) async fn open_to_plan(target: Target, format: Format) -> Result<Self, Error> {
        let missing = match &target {
            Target::Directory(directory) => directory.clone(),
            Target::Address(_) => return Self::open(target, None).await,
        };
        match Self::open(target, None).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text =
                    format!("there is no store in {} yet; the plan is for a new one", missing.display());
                failure::warn(&text, format);
                let passing = tempfile::Builder::new().prefix("lineate-plan-").tempdir()?;
                let store = passing.path().join("store");
                let mut session = Self::open(Target::Directory(store), Some(1)).await?;
                session.passing = Some(passing);
                Ok(session)
            }
            opened => opened,
        }
    }

    /// The client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Stops the node in this process, if there is one.
    pub(crate) async fn close(self) -> Result<(), Error> {
        let Self { client, embedded, passing } = self;
        drop(client);
        if let Some(embedded) = embedded {
            embedded.close().await?;
        }
        if let Some(passing) = passing {
            passing.close()?;
        }
        Ok(())
    }
}
