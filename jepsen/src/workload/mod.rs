//! The clients of a run: pushers, loaders, readers and trainers that work until the server is gone.
//!
//! Each enters in the history what it is about to do, and then what was answered. A failure before the server was
//! told to die is a broken promise; after it, an unknown outcome.

pub(crate) mod loader;
pub(crate) mod pusher;
mod reader;
mod trainer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lineate_client::{Client, v1::EntityColumn, v1::EntityColumns, v1::entity_column};
use lineate_proto::v1::store_client::StoreClient;
use lineate_types::limits;
use tokio::{sync::Notify, task::JoinSet};
use tonic::transport::Channel;

use crate::{
    Error, Result,
    history::{ENTITIES, Shared},
    random::Random,
};

pub use reader::look_up;
pub(crate) use trainer::reference;
pub use trainer::{pull, train};

/// How long clients may take to notice that the server is gone.
const GRACE: Duration = Duration::from_millis(300);
/// Pushers, each with its own writer.
const PUSHERS: u64 = 2;
/// Readers.
const READERS: u64 = 2;

/// What the clients of one round share.
#[derive(Clone)]
pub struct Shop {
    /// What is asked and answered.
    pub history: Shared,
    /// The connection.
    pub client: Client,
    address: String,
    dying: Arc<AtomicBool>,
    moments: Arc<Moments>,
}

/// Moments in which a crash is of interest.
#[derive(Debug, Default)]
pub struct Moments {
    /// A load is about to be committed.
    pub loading: Notify,
    /// A training set is about to be made, which seals open runs.
    pub training: Notify,
}

/// The clients of one round, at work.
pub struct Workload {
    clients: JoinSet<Result<()>>,
    dying: Arc<AtomicBool>,
    moments: Arc<Moments>,
}

impl Workload {
    /// Sets the clients to work.
    pub fn start(history: &Shared, client: &Client, address: &str, random: &mut Random) -> Self {
        let shop = Shop {
            history: history.clone(),
            client: client.clone(),
            address: address.to_owned(),
            dying: Arc::default(),
            moments: Arc::default(),
        };
        let (dying, moments) = (shop.dying.clone(), shop.moments.clone());
        let mut clients = JoinSet::new();
        for _ in 0..PUSHERS {
            clients.spawn(pusher::run(shop.clone(), random.fork()));
        }
        for _ in 0..READERS {
            clients.spawn(reader::run(shop.clone(), random.fork()));
        }
        clients.spawn(loader::run(shop.clone(), random.fork()));
        clients.spawn(trainer::run(shop, random.fork()));
        Self { clients, dying, moments }
    }

    /// Moments in which a crash is of interest.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// From now on a failure is no broken promise: say this before the server is killed.
    pub fn expect_the_end(&self) {
        self.dying.store(true, Ordering::SeqCst);
    }

    /// Waits until the clients have ended.
    ///
    /// # Errors
    /// One saw a broken promise.
    pub async fn join(mut self) -> Result<()> {
        let mut broken = None;
        let all = async {
            while let Some(ended) = self.clients.join_next().await {
                match ended {
                    Ok(Err(error)) => broken = broken.take().or(Some(error)),
                    Ok(Ok(())) => {}
                    Err(cause) => broken = broken.take().or(Some(cause.into())),
                }
            }
        };
        // Who still waits for the server that is gone will learn nothing more.
        let _ = tokio::time::timeout(GRACE, all).await;
        self.clients.shutdown().await;
        broken.map_or(Ok(()), Err)
    }
}

impl Shop {
    fn is_dying(&self) -> bool {
        self.dying.load(Ordering::SeqCst)
    }

    /// Whether a failure ends a client's work quietly.
    fn forgive(&self, worked: Result<()>) -> Result<()> {
        match worked {
            Err(error @ (Error::Request { .. } | Error::Harness(_))) if !self.is_dying() => {
                Err(Error::violation(format!("a healthy server refused: {}", error.chain())))
            }
            Err(Error::Request { .. } | Error::Harness(_)) => Ok(()),
            other => other,
        }
    }

    /// The raw service, for pushes under positions of our own.
    async fn store(&self) -> Result<StoreClient<Channel>> {
        raw_store(&self.address).await
    }
}

/// The raw service of a server, for what the client does not let one do.
///
/// # Errors
/// It does not answer.
pub async fn raw_store(address: &str) -> Result<StoreClient<Channel>> {
    let endpoint = Channel::from_shared(format!("http://{address}"))
        .map_err(|cause| Error::Harness(format!("{address} is no address: {cause}")))?;
    let channel = endpoint.connect().await.map_err(|cause| Error::Harness(cause.to_string()))?;
    let store = StoreClient::new(channel).max_decoding_message_size(limits::MESSAGE_BYTES);
    Ok(store.max_encoding_message_size(limits::MESSAGE_BYTES))
}

/// A refusal of the raw service.
pub fn refused(doing: &'static str) -> impl Fn(tonic::Status) -> Error {
    move |status| Error::Request { doing: doing.into(), source: status.into() }
}

/// Entities as a lookup names them.
pub fn entities(keys: &[i64]) -> EntityColumns {
    let values = entity_column::Integers { values: keys.to_vec() };
    let values = Some(entity_column::Values::Integers(values));
    EntityColumns { columns: vec![EntityColumn { name: "id".into(), values }] }
}

/// Every entity.
pub fn everyone() -> Vec<i64> {
    (0..ENTITIES as i64).collect()
}
