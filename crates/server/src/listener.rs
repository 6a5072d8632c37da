//! Connections: accepted up to a bound, served as HTTP/1.1 or HTTP/2, and ended in peace.
//!
//! tonic's own server leaves most limits off; every limit that a stranger could lean on is set here.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, http::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use lineate_types::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use crate::{Bounds, activity::Activity, app::App};

/// How long a new connection may say nothing.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 request may take to name what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open connections are told `Unavailable` before they are asked to end: a request that meets a closing
/// connection would get an error that says nothing.
const LINGER: Duration = Duration::from_millis(300);
/// How long an idle caller may take to answer that the connection ends.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait after the system refused a connection, out of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams that may be reset before they were accepted (rapid reset).
const PENDING_RESETS: usize = 20;

/// Serves connections until told to stop.
pub(crate) struct Connections {
    served: Served,
    permits: Arc<Semaphore>,
    tracker: TaskTracker,
}

/// What every connection shares.
#[derive(Clone)]
struct Served {
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Connections {
    /// Connections to services.
    pub(crate) fn new(app: &App) -> Self {
        let (bounds, stop) = (app.bounds().clone(), app.stop().clone());
        Self {
            permits: Arc::new(Semaphore::new(bounds.connections)),
            tracker: TaskTracker::new(),
            served: Served { router: app.router(), bounds, stop, abort: CancellationToken::new() },
        }
    }

    /// Accepts and serves until it is dropped. One too many is closed at once.
    pub(crate) async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Ok(permit) = self.permits.clone().try_acquire_owned() else {
                        tracing::warn!(%peer, most = self.served.bounds.connections, "too many connections, one refused");
                        continue;
                    };
                    // Only a hint; the connection works without it.
                    let _ = stream.set_nodelay(true);
                    let served = self.served.clone();
                    self.tracker.spawn(async move {
                        if spoke(&stream, &served.stop).await {
                            serve(stream, served).await;
                        }
                        drop(permit);
                    });
                }
                Err(cause) => {
                    tracing::warn!(%cause, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection that is there already, such as a pipe in this process.
    pub(crate) fn adopt(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        let permit = self
            .permits
            .clone()
            .try_acquire_owned()
            .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections"))?;
        let served = self.served.clone();
        self.tracker.spawn(async move {
            serve(stream, served).await;
            drop(permit);
        });
        Ok(())
    }

    /// Asks every connection to end after what is under way, waits for that, and cuts off what takes longer. Those
    /// accepted meanwhile end soon as well.
    pub(crate) async fn drain(&self, longest: Duration) {
        let Served { stop, abort, .. } = &self.served;
        stop.cancel();
        self.tracker.close();
        if timeout(longest, self.tracker.wait()).await.is_err() {
            tracing::warn!(
                connections = self.tracker.len(),
                "connections did not end in time and are cut off"
            );
            abort.cancel();
            self.tracker.wait().await;
        }
    }
}

/// Waits for the first byte; false if none comes in time, which is short once the server stops.
async fn spoke(stream: &TcpStream, stop: &CancellationToken) -> bool {
    let mut first = [0; 1];
    let stopped = async {
        stop.cancelled().await;
        sleep(LINGER).await;
    };
    tokio::select! {
        () = stopped => false,
        peeked = timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1..))),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, served: Served) {
    let Served { router, bounds, stop, abort } = served;
    let builder = builder();
    let activity = Activity::new();
    let service = TowerToHyperService::new(Counted { router, activity: activity.clone() });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let idle = AtomicBool::new(false);
    let mut ending = std::pin::pin!(async {
        tokio::select! {
            () = stop.cancelled() => sleep(LINGER).await,
            () = activity.idle_for(bounds.idle_timeout) => idle.store(true, Ordering::Relaxed),
        }
    });
    let mut gone = std::pin::pin!(activity.idle_for(GOODBYE_TIMEOUT));
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(cause) = ended {
                    tracing::debug!(%cause, "a connection ended early");
                }
                return;
            }
            () = ending.as_mut(), if !asked_to_end => {
                asked_to_end = true;
                connection.as_mut().graceful_shutdown();
            }
            () = gone.as_mut(), if idle.load(Ordering::Relaxed) => {
                tracing::debug!("an idle connection is closed");
                return;
            }
            () = abort.cancelled() => return,
        }
    }
}

/// The router of one connection: each request carries the connection's count.
#[derive(Clone)]
struct Counted {
    router: Router,
    activity: Activity,
}

impl<Body> Service<Request<Body>> for Counted
where
    Router: Service<Request<Body>>,
{
    type Response = <Router as Service<Request<Body>>>::Response;
    type Error = <Router as Service<Request<Body>>>::Error;
    type Future = <Router as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.router.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(self.activity.clone());
        self.router.call(request)
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(64)
        .max_buf_size(limits::HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .max_header_list_size(limits::HEADER_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(PENDING_RESETS)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}
