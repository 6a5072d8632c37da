//! What every service shares: the node, who is asking, and the bounds on work.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use lineate_node::{
    Node, SystemClock, SystemDisk,
    api::{NodeStatus, Options},
};
use lineate_types::{Principal, TimestampUs, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    Bounds, Error, Result, flight, grpc,
    health::Health,
    metrics::{Metrics, Reading},
    pages,
    router::router,
};

/// The state of a running service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    shared: Arc<Shared>,
}

struct Shared {
    node: Node,
    principal: Principal,
    metrics: Arc<Metrics>,
    heavy: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    started: TimestampUs,
    bounds: Bounds,
    stop: CancellationToken,
}

impl App {
    /// The services of a node for one kind of caller.
    pub(crate) fn new(node: Node, principal: Principal, bounds: Bounds) -> Self {
        let started = node.now();
        let heavy = Arc::new(Semaphore::new(limits::HEAVY_REQUESTS));
        let metrics = Arc::new(Metrics::new());
        let reading = Arc::new(Semaphore::new(limits::DATASET_STREAMS));
        let stop = CancellationToken::new();
        let shared = Shared { node, principal, metrics, heavy, reading, started, bounds, stop };
        let shared = Arc::new(shared);
        let exported = Arc::downgrade(&shared);
        shared.metrics.export(move || exported.upgrade().map(|shared| Reading::of(&shared.node)));
        Self { shared }
    }

    /// The node.
    pub(crate) fn node(&self) -> &Node {
        &self.shared.node
    }

    /// Who is asking.
    pub(crate) fn principal(&self) -> &Principal {
        &self.shared.principal
    }

    /// The figures.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The bounds an operator set.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.shared.bounds
    }

    /// Cancelled when the server is told to stop: from then on nothing new is taken.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// Whether it can serve.
    ///
    /// # Errors
    /// The process is short of threads.
    pub(crate) async fn health(&self) -> Result<Health> {
        let (node, stopping) = (self.node().clone(), self.stop().is_cancelled());
        grpc::blocking(move || Ok(Health::of(&node, stopping))).await
    }

    /// The figures as Prometheus reads them.
    ///
    /// # Errors
    /// The process is short of threads.
    pub(crate) async fn figures(&self) -> Result<String> {
        let app = self.clone();
        grpc::blocking(move || Ok(app.metrics().text(&Reading::of(app.node())))).await
    }

    /// Takes the last figures, before the store is closed.
    ///
    /// # Errors
    /// The process is short of threads.
    pub(crate) async fn settle(&self) -> Result<()> {
        let app = self.clone();
        let settling = move || {
            app.metrics().settle(Reading::of(app.node()));
            Ok(())
        };
        grpc::blocking(settling).await
    }

    /// The state of the node.
    ///
    /// # Errors
    /// The process is short of threads.
    pub(crate) async fn status(&self) -> Result<NodeStatus> {
        let node = self.node().clone();
        grpc::blocking(move || Ok(node.status())).await
    }

    /// Since when this runs.
    pub(crate) fn started(&self) -> TimestampUs {
        self.shared.started
    }

    /// A place among the few requests that take long.
    ///
    /// # Errors
    /// All places are taken.
    pub(crate) fn heavy(&self) -> Result<OwnedSemaphorePermit> {
        self.shared.heavy.clone().try_acquire_owned().map_err(|_| {
            Error::Busy(format!(
                "{} loads, joins or verifications are under way, which is the most; repeat after a pause",
                limits::HEAVY_REQUESTS
            ))
        })
    }

    /// A place among the streams of training sets, each of which holds a thread.
    ///
    /// # Errors
    /// All places are taken.
    pub(crate) fn reading(&self) -> Result<OwnedSemaphorePermit> {
        self.shared.reading.clone().try_acquire_owned().map_err(|_| {
            Error::Busy(format!(
                "{} parts of training sets are being read, which is the most; repeat after a pause",
                limits::DATASET_STREAMS
            ))
        })
    }

    /// Everything that is served, as one router.
    pub(crate) fn router(&self) -> Router {
        let grpc = flight::add_to(grpc::routes(self), self).into_axum_router();
        router(grpc, pages::router(self.clone()), self.shared.metrics.clone(), self.stop().clone())
    }
}

/// How long the groups of a store may take to elect their leaders.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(30);
const ELECTION_POLL: Duration = Duration::from_millis(2);

/// Opens a node and waits until every group has a leader here, so that nobody is served a store that cannot answer.
/// With a number of shards the store is made if there is none.
///
/// # Errors
/// There is no store, or the directory is in use, of a newer release, or damaged; or a group elects no leader in time.
pub(crate) async fn open_node(
    data_dir: PathBuf,
    shards: Option<u16>,
    cache_bytes: Option<usize>,
    log_bytes: Option<u64>,
) -> Result<Node> {
    let options = Options {
        data_dir,
        shards,
        cache_bytes: cache_bytes.unwrap_or(limits::CACHE_BYTES),
        log_bytes: log_bytes.unwrap_or(limits::LOG_BYTES),
        clock: Arc::new(SystemClock),
        disk: Arc::new(SystemDisk),
    };
    let node = Node::open(options).await?;
    let elected = async {
        while node.groups().iter().any(|group| !group.leads) {
            tokio::time::sleep(ELECTION_POLL).await;
        }
    };
    match tokio::time::timeout(ELECTION_TIMEOUT, elected).await {
        Ok(()) => Ok(node),
        Err(_) => {
            node.shutdown().await?;
            Err(Error::Stopped("a group of the store elects no leader".into()))
        }
    }
}
